#include <ATen/ScalarOps.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "base/text.h"
#include "programs/graph_nodes.h"

namespace lossatlas {
namespace {

using c10::IValue;
using Values = std::vector<IValue>;

IValue list_value(const ListOf& list, const Values& values) {
  if (list.kind == ListOf::Kind::integers) {
    std::vector<std::int64_t> numbers = list.numbers;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (list.slots[i]) numbers[i] = values[*list.slots[i]].toInt();
    }
    return numbers;
  }
  if (list.kind == ListOf::Kind::tensors) {
    c10::List<at::Tensor> tensors;
    for (const auto& slot : list.slots) tensors.push_back(values[*slot].toTensor());
    return tensors;
  }
  c10::List<std::optional<at::Tensor>> tensors;
  for (const auto& slot : list.slots) {
    tensors.push_back(slot ? std::optional(values[*slot].toTensor()) : std::nullopt);
  }
  return tensors;
}

IValue operand_value(const Operand& operand, const Values& values, const at::Device& device) {
  if (const auto* slot = std::get_if<Slot>(&operand)) return values[*slot];
  if (const auto* list = std::get_if<ListOf>(&operand)) return list_value(*list, values);
  if (std::holds_alternative<RunDevice>(operand)) return device;
  return std::get<IValue>(operand);
}

/// Autocast as it was, when this goes.
class AutocastGuard {
 public:
  explicit AutocastGuard(const GuardedCall::Autocast& autocast)
      : device_(autocast.device),
        was_enabled_(at::autocast::is_autocast_enabled(device_)),
        did_cache_(at::autocast::is_autocast_cache_enabled()),
        type_(at::autocast::get_autocast_dtype(device_)) {
    at::autocast::set_autocast_enabled(device_, autocast.enabled);
    at::autocast::set_autocast_cache_enabled(autocast.caches);
    if (autocast.type) at::autocast::set_autocast_dtype(device_, *autocast.type);
    at::autocast::increment_nesting();
  }
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;
  ~AutocastGuard() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, was_enabled_);
    at::autocast::set_autocast_cache_enabled(did_cache_);
    at::autocast::set_autocast_dtype(device_, type_);
  }

 private:
  c10::DeviceType device_;
  bool was_enabled_, did_cache_;
  at::ScalarType type_;
};

void keep_inputs(const OperatorCall& call, const Values& stack, const RunContext& context) {
  for (const std::size_t argument : call.writes) {
    if (!stack[argument].isTensor() || !stack[argument].toTensor().has_storage()) continue;
    const auto* memory = stack[argument].toTensor().storage().unsafeGetStorageImpl();
    const auto found = std::find(context.kept.begin(), context.kept.end(), memory);
    if (found != context.kept.end()) throw WritesInput{static_cast<std::size_t>(found - context.kept.begin())};
  }
}

/// Expanded tensors take no memory, and any time. Throws Error.
void check_size(const IValue& value) {
  static const auto kMost = static_cast<double>(memory_of_machine());
  if (!value.isTensor() || !value.toTensor().defined()) return;
  const at::Tensor& tensor = value.toTensor();
  const double bytes = static_cast<double>(tensor.numel()) * static_cast<double>(tensor.element_size());
  if (bytes > kMost) throw Error("gives a tensor of {:.0f} GB, more than this machine's memory", bytes / 1e9);
}

Values call(const OperatorCall& call, Values stack, const RunContext& context) {
  keep_inputs(call, stack, context);
  for (std::size_t i = 0; i < stack.size(); ++i) {
    if (!stack[i].isScalar()) continue;
    if (call.takes[i] == c10::TypeKind::TensorType) stack[i] = wrapped_number(stack[i].toScalar());
    if (call.takes[i] == c10::TypeKind::FloatType && stack[i].isInt()) stack[i] = stack[i].toScalar().toDouble();
  }
  call.handle.callBoxed(stack);
  for (const IValue& result : stack) check_size(result);
  return stack;
}

Values call(const GuardedCall& call, const Values& operands, const RunContext& context) {
  std::optional<at::AutoGradMode> gradient;
  if (call.gradient) gradient.emplace(*call.gradient);
  std::optional<AutocastGuard> autocast;
  if (call.autocast) autocast.emplace(*call.autocast);
  Values values(call.body->slots);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (call.body->inputs[i]) values[*call.body->inputs[i]] = operands[i];
  }
  return run_body(*call.body, std::move(values), context);
}

Values results_of(const GraphNode& node, Values operands, const RunContext& context) {
  if (const auto* own = std::get_if<OperatorCall>(&node.call)) return call(*own, std::move(operands), context);
  if (const auto* size = std::get_if<SizeCall>(&node.call)) return {size->compute(operands)};
  return call(std::get<GuardedCall>(node.call), operands, context);
}

void run_node(const GraphNode& node, Values& values, const RunContext& context) {
  Values operands;
  operands.reserve(node.operands.size());
  for (const Operand& operand : node.operands) operands.push_back(operand_value(operand, values, context.device));
  Values results = results_of(node, std::move(operands), context);
  if (node.unpacks_list && results.size() == 1 && results[0].isTensorList()) {
    const auto tensors = results[0].toTensorVector();
    results.assign(tensors.begin(), tensors.end());
  }
  if (results.size() < node.results.size()) {
    throw Error("gives {} results where the graph has {}", results.size(), node.results.size());
  }
  for (std::size_t i = 0; i < node.results.size(); ++i) {
    if (node.results[i]) values[*node.results[i]] = std::move(results[i]);
  }
  for (const Slot slot : node.last_uses) values[slot] = IValue();
}

}  // namespace

at::Tensor wrapped_number(const c10::Scalar& value) {
  at::Tensor tensor = at::scalar_to_tensor(value);
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  return tensor;
}

std::vector<IValue> run_body(const GraphBody& body, std::vector<IValue> values, const RunContext& context) {
  for (const GraphNode& node : body.nodes) {
    try {
      run_node(node, values, context);
    } catch (const Error& error) {
      throw Error("{}: {}", node.name, error.what());
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const c10::Error& error) {
      const std::string_view text = error.what_without_backtrace();
      if (text.find("can't allocate memory") != text.npos) throw std::bad_alloc();
      throw Error("{}: {}", node.name, reason_of(text));
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      throw Error("{}: {}", node.name, error.what());
    }
  }
  Values outputs;
  for (const Operand& output : body.outputs) outputs.push_back(operand_value(output, values, context.device));
  return outputs;
}

}  // namespace lossatlas
