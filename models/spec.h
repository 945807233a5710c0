#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lossatlas {

struct ExportedProgram;

/// What decides the shape of a network. The architecture is a name that architectures() lists.
struct NetworkSpec {
  std::string architecture;
  std::int64_t classes = 10;
  /// Channels of the first stage of a ResNet (the later stages follow); 0 means the published width.
  std::int64_t width = 0;
  /// Shape of one image, [C, H, W].
  std::array<std::int64_t, 3> input{3, 32, 32};
  /// The file of a network that comes from one: architecture "torchscript" or "torch.export"; empty for others.
  std::filesystem::path script{};
  /// What was read from it, never read again: the bytes of a TorchScript file, or
  std::shared_ptr<const std::string> script_bytes{};
  std::shared_ptr<const ExportedProgram> exported{};

  /// What such a file is called: "TorchScript" or "torch.export".
  std::string file_kind() const { return exported ? "torch.export" : "TorchScript"; }
};

/// The entries of a file's settings that name the network: arch, classes, width.
nlohmann::json settings_of(const NetworkSpec& spec);

}  // namespace lossatlas
