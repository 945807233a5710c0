#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>

#include "base/error.h"
#include "programs/exported_graph.h"

namespace torch::jit {
struct Graph;
}

namespace lossatlas {

/// Why a graph cannot be cut; the text says what it has.
class CannotCut : public Error {
 public:
  using Error::Error;
};

/// A graph of network and loss in two.
struct GraphCut {
  std::shared_ptr<torch::jit::Graph> network;  // of the first tensor of a batch; its own tensors are constants
  ExportedGraph loss;                          // of what that gives, then all tensors of a batch, then constants
};

/// A whole graph of one result as TorchScript has it. `tensors`: one for each of its inputs, constants there; undefined
/// for the one that is its input. Throws CannotCut.
std::shared_ptr<torch::jit::Graph> script_graph_of(const ExportedGraph& graph, std::span<const at::Tensor> tensors);

/// Cuts a graph at the first value through which all that depends on its state (its first user inputs, parameters and
/// buffers) reaches the outputs: the logits. Throws CannotCut.
GraphCut cut_at_logits(const ExportedGraph& graph, std::span<const at::Tensor> state);

/// The same cut, with the network as a graph of all inputs of the whole, that parameters and buffers are among.
struct GraphHalves {
  ExportedGraph network;
  ExportedGraph loss;  // as GraphCut has it
};

/// `state`: the number of the first user inputs that are parameters and buffers. Throws CannotCut.
GraphHalves halves_at_logits(const ExportedGraph& graph, std::size_t state);

}  // namespace lossatlas
