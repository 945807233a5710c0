#include "mpi/transport.h"

#include "base/error.h"

#ifdef LOSSATLAS_MPI
// Not MPI's C++ classes, which are another library.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <cstdlib>
#include <list>
#include <utility>
#endif

namespace lossatlas {

#ifdef LOSSATLAS_MPI
namespace {

constexpr int kTag = 0;

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

  void send(int to, std::string bytes) override {
    auto& [held, request] = sending_.emplace_back(std::move(bytes), MPI_REQUEST_NULL);
    check(MPI_Isend(held.data(), static_cast<int>(held.size()), MPI_BYTE, to, kTag, MPI_COMM_WORLD, &request), "send");
  }

  std::optional<ReceivedMessage> receive() override {
    int is_there = 0, length = 0;
    MPI_Status status;
    check(MPI_Iprobe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &is_there, &status), "receive");
    if (is_there == 0) return std::nullopt;
    MPI_Get_count(&status, MPI_BYTE, &length);
    ReceivedMessage message{status.MPI_SOURCE, std::string(static_cast<std::size_t>(length), '\0')};
    check(MPI_Recv(message.bytes.data(), length, MPI_BYTE, message.source, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE),
          "receive");
    return message;
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
  std::list<std::pair<std::string, MPI_Request>> sending_;
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
