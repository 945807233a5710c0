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
  /// `bytes`: of the file. Throws Error, without its name, if they hold no module whose forward() takes one batch of
  /// images, or if two parameters are different views of the same numbers.
  explicit ScriptNetwork(const std::string& bytes);
  ~ScriptNetwork() override;

  torch::Tensor forward(torch::Tensor images) override;
  void train(bool on = true) override;
  std::vector<Alias> aliases() const override { return aliases_; }

  /// What forward() does in evaluation mode: calls inlined, attributes resolved, the network's own tensors as
  /// constants. Of a module that LibTorch cannot freeze: calls inlined.
  std::shared_ptr<torch::jit::Graph> frozen_graph() const;

 private:
  struct Script;
  std::unique_ptr<Script> script_;
  std::vector<Alias> aliases_;
};

/// For make_network: loads spec.script_bytes and runs it on two and three images of spec.input. Throws Error if the
/// result is not one row of at least spec.classes logits for each.
std::shared_ptr<Network> make_script_network(const NetworkSpec& spec);

}  // namespace lossatlas
