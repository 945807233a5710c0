#pragma once

#include <memory>
#include <optional>
#include <string>

namespace lossatlas {

struct ReceivedMessage {
  int source = 0;  // a rank
  std::string bytes;
};

/// Messages between the ranks of a job; those from one rank to another arrive in their order. No function waits. One
/// thread at a time.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Among the ranks of this machine.
  virtual int local_rank() const = 0;
  /// Throws Error if the other rank cannot be reached.
  virtual void send(int to, std::shared_ptr<const std::string> bytes) = 0;
  /// The next message, if one is there.
  virtual std::optional<ReceivedMessage> receive() = 0;
  /// Whether all that was sent has left this process.
  virtual bool is_sent() = 0;
  /// Ends all processes of the job at once.
  [[noreturn]] virtual void abort(int status) = 0;
};

/// MPI's, for the processes that a launcher started: initializes MPI; its destructor finalizes it, which waits for all
/// ranks. Throws UsageError if this program was built without MPI, or MPI sees other processes than the launcher's
/// `size`.
std::unique_ptr<Transport> make_mpi_transport(int size, const std::string& launcher);

}  // namespace lossatlas
