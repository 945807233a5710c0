#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "programs/exported_graph.h"

namespace lossatlas {

/// A value of a graph, by its number among all of its values.
using Slot = std::size_t;

/// What an operator gets for one of its arguments: a constant, one value, or a list of which some are values.
struct ListOf {
  enum class Kind { tensors, optional_tensors, integers } kind;
  std::vector<std::optional<Slot>> slots;
  std::vector<std::int64_t> numbers;  // of integers: if there is no slot
};
/// In the place of a device: that on which the graph runs.
struct RunDevice {};
using Operand = std::variant<c10::IValue, Slot, ListOf, RunDevice>;

struct GraphBody;

/// An operator of LibTorch.
struct OperatorCall {
  c10::OperatorHandle handle;
  std::vector<c10::TypeKind> takes;  // of each argument: a size may be computed for a tensor or a float
  std::vector<std::size_t> writes;   // arguments whose tensors it changes
};
/// A number of sizes: the shapes of outputs are computed as the graph says.
struct SizeCall {
  std::function<c10::IValue(const std::vector<c10::IValue>&)> compute;
};
/// A subgraph with gradients on or off, or under autocast.
struct GuardedCall {
  std::shared_ptr<const GraphBody> body;
  std::optional<bool> gradient;
  struct Autocast {
    c10::DeviceType device;
    std::optional<at::ScalarType> type;
    bool enabled, caches;
  };
  std::optional<Autocast> autocast;
};

struct GraphNode {
  std::string name;  // "conv2d_1 (aten::conv2d)", for messages
  std::variant<OperatorCall, SizeCall, GuardedCall> call;
  std::vector<Operand> operands;
  /// Where the results go; a list of tensors as one result goes to several.
  std::vector<std::optional<Slot>> results;
  bool unpacks_list = false;
  std::vector<Slot> last_uses;  // values that nothing needs after this node
};

struct GraphBody {
  std::size_t slots = 0;
  std::vector<std::optional<Slot>> inputs;  // of each input; nothing for one that is not a tensor or number
  std::vector<GraphNode> nodes;
  std::vector<Operand> outputs;
};

/// A tensor without dimensions that does not decide the type of a result, as Python's numbers do not.
at::Tensor wrapped_number(const c10::Scalar& value);

/// Throws Error: see ExportedGraph.
GraphBody read_body(const nlohmann::json& graph);

/// How a graph is run.
struct RunContext {
  at::Device device;
  std::vector<const c10::StorageImpl*> kept;  // memory of each input that must stay as it is; null for others
};

/// An operator is about to change an input that must stay as it is.
struct WritesInput {
  std::size_t input;
};

/// Runs the nodes; `values` holds the inputs in their slots. Throws WritesInput before an input is changed.
std::vector<c10::IValue> run_body(const GraphBody& body, std::vector<c10::IValue> values, const RunContext& context);

}  // namespace lossatlas
