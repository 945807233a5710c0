#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "models/registry.h"

/// One architecture for each way of building a network: its block, its skip connection, its first layers. The others
/// are deeper or wider; tests of all of them have the tag [.full].
inline constexpr std::array<std::string_view, 11> kFamilies{"resnet18",
                                                            "resnet50-cifar",
                                                            "resnet50-cifar-noshort",
                                                            "resnet20",
                                                            "resnet20-noshort",
                                                            "resnet20-a",
                                                            "vgg9",
                                                            "densenet121",
                                                            "lenet",
                                                            "mlp",
                                                            "linear"};

inline bool is_family(std::string_view name) {
  return std::find(kFamilies.begin(), kFamilies.end(), name) != kFamilies.end();
}

/// One of each family, or every architecture.
enum class Breadth { families, all };

inline std::vector<lossatlas::ArchitectureInfo> architectures_of(Breadth breadth) {
  std::vector<lossatlas::ArchitectureInfo> chosen = lossatlas::architectures();
  if (breadth == Breadth::families) std::erase_if(chosen, [](const auto& info) { return !is_family(info.name); });
  return chosen;
}
