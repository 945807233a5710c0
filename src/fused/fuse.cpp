#include <algorithm>

#include "fused/graph.h"

namespace lossatlas {
namespace {

/// Joins pairs of nodes until nothing is left to join. A joined node keeps the place of the later one, so that all it
/// reads has been computed; the earlier one becomes unread and is dropped at the end.
class Fusion {
 public:
  Fusion(Graph graph, bool joins_norms)
      : nodes_(std::move(graph.nodes)), tensors_(graph.tensors), joins_norms_(joins_norms) {}

  Graph run() {
    count_readers();
    for (std::size_t i = 1; i < nodes_.size(); ++i) {
      if (joins_norms_) join_norm(i);
      join_residual(i);
      join_relu(i);
      if (joins_norms_) join_input_norm(i);
    }
    return without_unread();
  }

 private:
  static bool sums_products(const Node& node) {
    return node.operation == Operation::convolution || node.operation == Operation::linear;
  }

  void count_readers() {
    readers_.assign(nodes_.size(), 0);
    for (const Node& node : nodes_) {
      for (const std::size_t input : node.inputs) ++readers_[input];
    }
    ++readers_.back();
  }

  bool read_once(std::size_t index) const { return readers_[index] == 1; }

  /// nodes_[later] becomes `joined`, which takes over what nodes_[earlier] did.
  void replace(std::size_t later, std::size_t earlier, Node joined) {
    nodes_[later] = std::move(joined);
    readers_[earlier] = 0;
  }

  void join_norm(std::size_t i) {
    if (nodes_[i].operation != Operation::batch_norm) return;
    const std::size_t from = nodes_[i].inputs[0];
    Node joined = nodes_[from];
    if (!sums_products(joined) || joined.norm || joined.residual || joined.relu || !read_once(from)) return;
    joined.norm = nodes_[i].norm;
    replace(i, from, std::move(joined));
  }

  void join_residual(std::size_t i) {
    const Node& add = nodes_[i];
    if (add.operation != Operation::add || add.inputs[0] == add.inputs[1]) return;
    for (const std::size_t k : {0U, 1U}) {
      const std::size_t sum = add.inputs[k];
      Node joined = nodes_[sum];
      if (joined.operation != Operation::convolution || joined.residual || joined.relu || !read_once(sum)) continue;
      joined.residual = add.inputs[1 - k];
      replace(i, sum, std::move(joined));
      return;
    }
  }

  void join_relu(std::size_t i) {
    if (nodes_[i].operation != Operation::relu) return;
    const std::size_t from = nodes_[i].inputs[0];
    Node joined = nodes_[from];
    const bool able =
        sums_products(joined) || joined.operation == Operation::batch_norm || joined.operation == Operation::add;
    if (!able || !read_once(from)) return;
    joined.relu = true;
    replace(i, from, std::move(joined));
  }

  void join_input_norm(std::size_t i) {
    Node& node = nodes_[i];
    if (node.operation != Operation::convolution || node.window.taps() != 1) return;
    const Window& window = node.window;
    const std::size_t from = node.inputs[0];
    if (window.padding_y != 0 || window.padding_x != 0) return;  // what lies past the edge is 0 after the norm
    if (nodes_[from].operation != Operation::batch_norm || !read_once(from)) return;
    Node joined = node;
    joined.input_norm = nodes_[from].norm;
    joined.input_relu = nodes_[from].relu;
    joined.inputs = nodes_[from].inputs;
    replace(i, from, std::move(joined));
  }

  Graph without_unread() const {
    Graph graph;
    graph.tensors = tensors_;
    std::vector<std::size_t> place(nodes_.size());
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (i > 0 && readers_[i] == 0) continue;
      Node node = nodes_[i];
      for (std::size_t& input : node.inputs) input = place[input];
      if (node.residual) node.residual = place[*node.residual];
      place[i] = graph.nodes.size();
      graph.nodes.push_back(std::move(node));
    }
    return graph;
  }

  std::vector<Node> nodes_;
  std::size_t tensors_;
  bool joins_norms_;
  std::vector<int> readers_;
};

}  // namespace

Graph fuse(Graph graph) { return Fusion(std::move(graph), true).run(); }

Graph fuse_with_moments(Graph graph) {
  const Graph fused = Fusion(std::move(graph), false).run();
  Graph measured;
  measured.tensors = fused.tensors;
  std::vector<std::size_t> place;
  for (Node node : fused.nodes) {
    for (std::size_t& input : node.inputs) input = place[input];
    if (node.residual) node.residual = place[*node.residual];
    if (node.operation == Operation::batch_norm) {
      Node moments;
      moments.operation = Operation::moments;
      moments.inputs = node.inputs;
      moments.shape = {node.shape.channels};
      moments.norm = node.norm;
      node.inputs.push_back(measured.nodes.size());
      measured.nodes.push_back(std::move(moments));
    }
    place.push_back(measured.nodes.size());
    measured.nodes.push_back(std::move(node));
  }
  return measured;
}

}  // namespace lossatlas
