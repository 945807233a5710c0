#pragma once

#include <memory>
#include <vector>

#include "models/network.h"
#include "models/spec.h"

namespace torch::jit {
struct Graph;
}

namespace lossatlas {

/// A network as torch.export.save wrote it: its parameters and buffers, copies, under Python's names. It is always in
/// the mode that it was exported in. Images run in batches of the sizes that the graph is true for, filled up with
/// copies.
class ExportedNetwork : public Network {
 public:
  /// Throws Error, without the file's name, if two parameters are different views of the same numbers.
  explicit ExportedNetwork(std::shared_ptr<const ExportedProgram> program);

  torch::Tensor forward(torch::Tensor images) override;
  std::vector<Alias> aliases() const override { return aliases_; }

  /// What the network reads in addition to images, in the graph's order, and constants among it.
  const std::vector<at::Tensor>& tensors() const { return tensors_; }
  /// The graph, with the network's own tensors as constants. Throws Error if TorchScript cannot say the same.
  std::shared_ptr<torch::jit::Graph> script_graph() const;

 private:
  torch::Tensor run(const torch::Tensor& images);

  std::shared_ptr<const ExportedProgram> program_;
  std::vector<at::Tensor> tensors_;  // of each input of the graph; undefined for the images
  std::vector<Alias> aliases_;
};

/// For make_network, of spec.exported. Throws Error naming the file.
std::shared_ptr<Network> make_exported_network(const NetworkSpec& spec);

/// Runs the network on images of spec.input. Throws Error naming the file if it takes others, does not give a row of
/// at least spec.classes logits for each, changes its own tensors, or has other logits for an image beside others.
void check_exported_network(const NetworkSpec& spec);

}  // namespace lossatlas
