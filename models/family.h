#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/network.h"
#include "models/registry.h"

namespace lossatlas {

/// What the registry knows of one architecture, and how to build it.
struct Architecture {
  /// info.defaults.width is the published width, and 0 where a width cannot be chosen.
  ArchitectureInfo info;
  /// Least height and width of an image, so that no layer is left without a pixel.
  std::int64_t smallest_image = 1;
  /// Called with a spec that the registry has checked, its width filled in.
  std::function<std::shared_ptr<Network>(const NetworkSpec&)> make;
};

using Family = std::vector<Architecture>;

/// The defaults are 10 classes of 32x32 color images, CIFAR-10's.
inline ArchitectureInfo describe(const std::string& name, const std::string& summary, std::int64_t width = 0,
                                 std::int64_t classes = 10, std::array<std::int64_t, 3> input = {3, 32, 32}) {
  return {name, summary, {name, classes, width, input}};
}

// Each defined in the file of its name.
Family resnets();
Family cifar_resnets();
Family vggs();
Family densenets();
Family lenets();
Family perceptrons();

}  // namespace lossatlas
