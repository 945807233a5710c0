#include "mpi/transport.h"

#include "base/error.h"

#ifdef LOSSATLAS_MPI
// Not MPI's C++ classes, which are another library.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <list>
#include <map>
#include <utility>
#endif

namespace lossatlas {

#ifdef LOSSATLAS_MPI
namespace {

constexpr int kLast = 0, kPart = 1;                       // tags: a message's end, and what comes before it
constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // of a part: MPI counts in int

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::string text(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error("MPI cannot {}: {}", what, text.substr(0, static_cast<std::size_t>(length)));
}

class MpiTransport : public Transport {
 public:
  MpiTransport() {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "start");
    if (provided < MPI_THREAD_SERIALIZED) throw Error("this MPI was built without threads");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm machine = MPI_COMM_NULL;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine), "start");
    MPI_Comm_rank(machine, &local_rank_);
    MPI_Comm_free(&machine);
  }
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;
  ~MpiTransport() override { MPI_Finalize(); }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }

  void send(int to, std::shared_ptr<const std::string> bytes) override {
    for (std::size_t first = 0, count = 0; first == 0 || first < bytes->size(); first += count) {
      count = std::min(kMostBytes, bytes->size() - first);
      const int tag = first + count == bytes->size() ? kLast : kPart;
      auto& [held, request] = sending_.emplace_back(bytes, MPI_REQUEST_NULL);
      check(MPI_Isend(held->data() + first, static_cast<int>(count), MPI_BYTE, to, tag, MPI_COMM_WORLD, &request),
            "send");
      if (count == 0) return;
    }
  }

  std::optional<ReceivedMessage> receive() override {
    int is_there = 0, length = 0;
    MPI_Status status;
    while (true) {
      check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &is_there, &status), "receive");
      if (is_there == 0) return std::nullopt;
      MPI_Get_count(&status, MPI_BYTE, &length);
      std::string& bytes = parts_[status.MPI_SOURCE];
      const std::size_t before = bytes.size();
      bytes.resize(before + static_cast<std::size_t>(length));
      check(MPI_Recv(bytes.data() + before, length, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE),
            "receive");
      if (status.MPI_TAG == kLast) return ReceivedMessage{status.MPI_SOURCE, std::exchange(bytes, {})};
    }
  }

  bool is_sent() override {
    std::erase_if(sending_, [](auto& sending) {
      int is_done = 0;
      check(MPI_Test(&sending.second, &is_done, MPI_STATUS_IGNORE), "send");
      return is_done != 0;
    });
    return sending_.empty();
  }

  [[noreturn]] void abort(int status) override {
    MPI_Abort(MPI_COMM_WORLD, status);
    std::_Exit(status);
  }

 private:
  int rank_ = 0, size_ = 1, local_rank_ = 0;
  std::list<std::pair<std::shared_ptr<const std::string>, MPI_Request>> sending_;
  std::map<int, std::string> parts_;  // of a message that is not whole yet, by its source
};

}  // namespace

std::unique_ptr<Transport> make_mpi_transport(int size, const std::string& launcher) {
  auto transport = std::make_unique<MpiTransport>();
  if (transport->size() == size) return transport;
  throw UsageError(
      "{} started {} processes, of which MPI sees {}; use the launcher of the MPI that lossatlas was built with{}",
      launcher, size, transport->size(), launcher == "srun" ? " (of srun its kind of MPI, as pmix)" : "");
}

#else

std::unique_ptr<Transport> make_mpi_transport(int size, const std::string& launcher) {
  throw UsageError(
      "{} started {} processes, but this lossatlas was built without MPI; install OpenMPI and build it again, or start "
      "one "
      "process",
      launcher, size);
}

#endif

}  // namespace lossatlas
