#include "cli/interrupt.h"

#include <csignal>

namespace lossatlas {
namespace {

std::atomic<bool> interrupted{false}, has_signal{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // or a signal handler could not set it

void on_signal(int signal) {
  interrupted = true;
  if (!has_signal.exchange(true)) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

const std::atomic<bool>& catch_interrupts() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    struct sigaction old {};
    sigaction(signal, nullptr, &old);
    if (old.sa_handler != SIG_IGN) std::signal(signal, on_signal);
  }
  return interrupted;
}

void interrupt() { interrupted = true; }

}  // namespace lossatlas
