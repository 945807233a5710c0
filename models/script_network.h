#pragma once

#include <filesystem>
#include <memory>

#include "models/network.h"
#include "models/spec.h"

namespace torch::jit {
struct Graph;
}

namespace lossatlas {

/// A network as torch.jit.save wrote it, traced or scripted: its parameters and buffers under Python's names.
/// Loading one runs no Python; what it computes are operators of LibTorch.
class ScriptNetwork : public Network {
 public:
  /// Throws Error where the file holds no module whose forward() takes one batch of images.
  explicit ScriptNetwork(const std::filesystem::path& file);
  ~ScriptNetwork() override;

  torch::Tensor forward(torch::Tensor images) override;
  void train(bool on = true) override;

  /// What forward() does in evaluation mode: calls inlined, attributes resolved, the network's own tensors as
  /// constants.
  std::shared_ptr<torch::jit::Graph> frozen_graph() const;

 private:
  struct Script;
  std::unique_ptr<Script> script_;
};

/// For make_network: loads spec.script and runs it once on an image of spec.input. Throws Error where the result is
/// not one row of at least spec.classes logits.
std::shared_ptr<Network> make_script_network(const NetworkSpec& spec);

}  // namespace lossatlas
