#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

namespace lossatlas {

/// What an input of an exported graph is.
enum class InputKind {
  user,       // given at each run: of a problem file parameters and buffers too
  parameter,  // of the module, by its name
  buffer,     // of its state_dict
  constant,   // a tensor that the graph needs and the state_dict does not have, by its name
};

struct GraphInput {
  InputKind kind = InputKind::user;
  std::string name;  // of a parameter, buffer or constant; of a user input its name in the graph
};

struct GraphBody;

/// A graph as torch.export stores it (model.json of a .pt2 file, schema version 8): calls of LibTorch's operators in
/// order, symbolic sizes, and subgraphs under a guard for gradients or autocast. It is run through the dispatcher, so
/// values have eager PyTorch's bits, and autograd sees what it would see there. Nothing in it is code: only operators
/// that allowed_operator() knows are called. Immutable; any number of threads may run it at once.
class ExportedGraph {
 public:
  /// `model`: the parsed JSON. Throws Error, without a file's name, for another schema version, an operator that is not
  /// allowed or is unknown to this LibTorch, an argument of a kind that is not known, and for JSON that is no graph.
  explicit ExportedGraph(const nlohmann::json& model);
  ~ExportedGraph();
  ExportedGraph(ExportedGraph&&) noexcept;
  ExportedGraph& operator=(ExportedGraph&&) noexcept;

  /// A part of a graph, with what each of its inputs is.
  ExportedGraph(GraphBody body, std::vector<GraphInput> inputs);

  const GraphBody& body() const;
  const std::vector<GraphInput>& inputs() const;
  /// Whether an operator was about to change an input that it may not change, in any run so far.
  bool has_written(std::size_t input) const { return is_cloned_[input]; }
  std::size_t outputs() const;

  /// One tensor for each of inputs(), on `device`, where the graph makes new tensors too; the outputs in their order.
  /// Operators may change inputs (relu_ its own, batch norm in training mode its statistics): they change those of
  /// which `may_change` is true (none if it is empty), and clones of others. Throws Error, with the operator's name, if
  /// one fails.
  std::vector<at::Tensor> run(std::span<const at::Tensor> inputs, const at::Device& device,
                              const std::vector<bool>& may_change = {}) const;

 private:
  std::vector<at::Tensor> run_once(std::span<const at::Tensor> inputs, const at::Device& device,
                                   const std::vector<bool>& may_change) const;

  std::unique_ptr<const GraphBody> body_;
  std::vector<GraphInput> inputs_;
  std::unique_ptr<std::atomic<bool>[]> is_cloned_;  // of each input: an operator was about to change it
};

}  // namespace lossatlas
