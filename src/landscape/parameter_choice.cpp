#include "landscape/parameter_choice.h"

#include <fnmatch.h>

#include "base/error.h"

namespace lossatlas {

std::vector<std::size_t> parameters_of(const std::vector<std::string>& patterns, const NetworkTensors& state) {
  std::vector<bool> is_chosen(state.parameters.size(), patterns.empty());
  for (const std::string& pattern : patterns) {
    bool found = false;
    for (std::size_t i = 0; i < is_chosen.size(); ++i) {
      if (::fnmatch(pattern.c_str(), state.parameters[i].name.c_str(), 0) != 0) continue;
      is_chosen[i] = found = true;
    }
    if (found) continue;
    throw UsageError("`parameters` {}: no parameter has such a name; the first is {}, the last {}", pattern,
                     state.parameters.front().name, state.parameters.back().name);
  }
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < is_chosen.size(); ++i) {
    if (is_chosen[i]) places.push_back(i);
  }
  return places;
}

}  // namespace lossatlas
