#pragma once

#include <string>
#include <vector>

namespace lossatlas {

/// tools/plot of the source tree that this program was built from.
std::string plotter();

/// Replaces this process by `plotter` with these words. Throws Error if it cannot be run.
[[noreturn]] void become(std::string plotter, std::vector<std::string> words);

}  // namespace lossatlas
