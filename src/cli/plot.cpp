#include "cli/plot.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace lossatlas {

std::string plotter() { return LOSSATLAS_PLOTTER; }

void become(std::string plotter, std::vector<std::string> words) {
  std::vector<char*> arguments{plotter.data()};
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(plotter.c_str(), arguments.data());
  throw Error(
      "plot: {} cannot be run ({}): the source tree that lossatlas was built from is gone or has moved; run "
      "tools/plot of the one you have",
      plotter, std::strerror(errno));
}

}  // namespace lossatlas
