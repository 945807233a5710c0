#pragma once

#include <atomic>

namespace lossatlas {

/// From here on the first SIGINT, SIGTERM, SIGHUP (a terminal that is closed) or SIGUSR1 (SLURM's warning) sets the
/// flag that is returned, so that the work under way can be saved; the second of any kind ends the process at once. One
/// that was ignored when the program started, as nohup has it, stays ignored.
const std::atomic<bool>& catch_interrupts();

/// Sets that flag, as another process was interrupted. The signals to this one count from the first.
void interrupt();

}  // namespace lossatlas
