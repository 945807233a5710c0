#pragma once

#include <atomic>

namespace lossatlas {

/// From here on the first SIGINT or SIGTERM sets the flag that is returned, so that the work under way can be saved;
/// the second ends the process at once.
const std::atomic<bool>& catch_interrupts();

}  // namespace lossatlas
