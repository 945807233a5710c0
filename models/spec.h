#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lossatlas {

/// What decides the shape of a network. The architecture is a name that architectures() lists.
struct NetworkSpec {
  std::string architecture;
  std::int64_t classes = 10;
  /// Channels of the first stage of a ResNet (the later stages follow); 0 means the published width.
  std::int64_t width = 0;
  /// Shape of one image, [C, H, W].
  std::array<std::int64_t, 3> input{3, 32, 32};
  /// The TorchScript file of architecture "torchscript"; empty for others.
  std::filesystem::path script{};
  /// The bytes that were read from it, never read again.
  std::shared_ptr<const std::string> script_bytes{};
};

/// The entries of a file's settings that name the network: arch, classes, width.
nlohmann::json settings_of(const NetworkSpec& spec);

}  // namespace lossatlas
