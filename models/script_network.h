#pragma once

#include <memory>
#include <string>

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
  /// `bytes`: of the file. Throws Error, without its name, where they hold no module whose forward() takes one batch of
  /// images.
  explicit ScriptNetwork(const std::string& bytes);
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

/// For make_network: loads spec.script_bytes and runs it once on an image of spec.input. Throws Error where the result is
/// not one row of at least spec.classes logits.
std::shared_ptr<Network> make_script_network(const NetworkSpec& spec);

}  // namespace lossatlas
