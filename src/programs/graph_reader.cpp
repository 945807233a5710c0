#include <ATen/core/jit_type.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "programs/allowed_operators.h"
#include "programs/graph_json.h"
#include "programs/graph_nodes.h"
#include "programs/size_functions.h"

namespace lossatlas {
namespace {

using c10::IValue;
using nlohmann::json;

at::MemoryFormat memory_format_of(const json& number) {
  constexpr std::array kFormats{at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast,
                                at::MemoryFormat::ChannelsLast3d, at::MemoryFormat::Preserve};
  const int index = value_as<int>(number, "a memory format");
  if (index < 1 || index > 4) throw Error("the graph uses memory format {}, which is not supported", index);
  return kFormats[static_cast<std::size_t>(index - 1)];
}

/// What the schema of an operator wants of an argument: the JSON gives numbers also where a tensor, a float or a list
/// is meant, as Python does.
c10::TypePtr inner(const c10::TypePtr& type) {
  if (const auto optional = type->cast<c10::OptionalType>()) return optional->getElementType();
  return type;
}

/// How deep subgraphs may lie in each other: a graph of a stranger does not end the stack.
constexpr int kDeepest = 20;

class Reader {
 public:
  explicit Reader(int depth) : depth_(depth) {
    if (depth > kDeepest) throw Error("the graph nests subgraphs more than {} deep", kDeepest);
  }

  GraphBody read(const json& graph) {
    for (const json& input : array(member(graph, "inputs"))) read_input(input);
    for (const json& node : array(member(graph, "nodes"))) read_node(node);
    for (const json& output : array(member(graph, "outputs"))) body_.outputs.push_back(operand(output, nullptr, 0));
    body_.slots = slots_.size();
    mark_last_uses();
    return std::move(body_);
  }

 private:
  static const json& array(const json& value) {
    if (!value.is_array()) throw Error("the graph has {} in the place of a list", json_text(value).substr(0, 60));
    return value;
  }

  /// The one entry of a union: {"as_int": 3}.
  static std::pair<std::string, const json*> alternative(const json& argument) {
    if (!argument.is_object() || argument.size() != 1) {
      throw Error("the graph has {} in the place of an argument", json_text(argument).substr(0, 60));
    }
    return {argument.begin().key(), &argument.begin().value()};
  }

  Slot define(const json& name) {
    const auto text = value_as<std::string>(name, "a name");
    const auto [entry, is_new] = slots_.emplace(text, slots_.size());
    if (!is_new) throw Error("the graph defines {} twice", text);
    return entry->second;
  }

  Slot slot(const json& name) const {
    const auto text = value_as<std::string>(name, "a name");
    const auto found = slots_.find(text);
    if (found == slots_.end()) throw Error("the graph uses {} before it is computed", text);
    return found->second;
  }

  void read_input(const json& input) {
    const auto [kind, value] = alternative(input);
    if (kind == "as_tensor") {
      body_.inputs.emplace_back(define(member(*value, "name")));
    } else if (kind == "as_sym_int" && value->contains("as_name")) {
      body_.inputs.emplace_back(define(value->at("as_name")));
    } else if (kind == "as_none" || kind == "as_int" || kind == "as_bool" || kind == "as_float" ||
               kind == "as_string") {
      body_.inputs.emplace_back(std::nullopt);  // a constant that was built in when the graph was exported
    } else {
      throw Error("the graph has an input of the kind {}, which is not supported", kind);
    }
  }

  /// Names in a list of values: {"as_name": n} or {"as_int": 3}, {"name": t}, {"as_tensor": {"name": t}} or
  /// {"as_none"}.
  ListOf list(const json& values, ListOf::Kind kind) const {
    ListOf list{.kind = kind, .slots = {}, .numbers = {}};
    for (const json& value : array(values)) {
      const json* named = &value;
      if (value.is_object() && value.contains("as_tensor")) named = &value.at("as_tensor");
      const char* key = kind == ListOf::Kind::integers ? "as_name" : "name";
      const bool has_slot = named->is_object() && named->contains(key);
      list.slots.push_back(has_slot ? std::optional(slot(named->at(key))) : std::nullopt);
      list.numbers.push_back(kind == ListOf::Kind::integers && !has_slot
                                 ? value_as<std::int64_t>(member(value, "as_int"), "a whole number")
                                 : 0);
      if (kind == ListOf::Kind::tensors && !has_slot) throw Error("the graph has a list of tensors without names");
    }
    return list;
  }

  /// As Python passes numbers: a whole one where a float or a tensor is meant, one for a whole list (stride = 2).
  static Operand number(const c10::Scalar& value, const c10::TypePtr& type, std::int64_t length) {
    const auto kind = type ? type->kind() : c10::TypeKind::AnyType;
    if (kind == c10::TypeKind::TensorType) return IValue(wrapped_number(value));
    if (kind == c10::TypeKind::FloatType) return IValue(value.toDouble());
    if (kind == c10::TypeKind::ListType) {
      const auto count = static_cast<std::size_t>(std::max<std::int64_t>(length, 1));
      if (type->containedType(0)->kind() == c10::TypeKind::FloatType) {
        return IValue(std::vector<double>(count, value.toDouble()));
      }
      return IValue(std::vector<std::int64_t>(count, value.toLong()));
    }
    return IValue(value);
  }

  /// `type`: what the operator takes there; null if nobody says.
  Operand operand(const json& argument, const c10::TypePtr& type, std::int64_t length) const {
    const auto [kind, found] = alternative(argument);
    const json& value = *found;
    const auto wanted = type ? type->kind() : c10::TypeKind::AnyType;
    if (kind == "as_tensor") return slot(member(value, "name"));
    if (kind == "as_none") return IValue();
    if (kind == "as_int") return number(value_as<std::int64_t>(value, "a whole number"), type, length);
    if (kind == "as_float") return number(float_of(value), type, length);
    if (kind == "as_bool") {
      const bool is_true = value_as<bool>(value, "true or false");
      return wanted == c10::TypeKind::TensorType ? IValue(wrapped_number(is_true)) : IValue(is_true);
    }
    if (kind == "as_string") return IValue(value_as<std::string>(value, "a text"));
    if (kind == "as_ints") {
      const auto numbers = value_as<std::vector<std::int64_t>>(value, "whole numbers");
      const bool takes_floats =
          wanted == c10::TypeKind::ListType && type->containedType(0)->kind() == c10::TypeKind::FloatType;
      return takes_floats ? IValue(std::vector<double>(numbers.begin(), numbers.end())) : IValue(numbers);
    }
    if (kind == "as_floats") {
      std::vector<double> numbers;
      for (const json& entry : array(value)) numbers.push_back(float_of(entry));
      return IValue(numbers);
    }
    if (kind == "as_bools") {
      c10::List<bool> list;
      for (const json& entry : array(value)) list.push_back(value_as<bool>(entry, "true or false"));
      return IValue(list);
    }
    if (kind == "as_sym_int" || kind == "as_sym_bool" || kind == "as_sym_float") return symbolic(value, type, length);
    if (kind == "as_sym_ints") return list(value, ListOf::Kind::integers);
    if (kind == "as_tensors" || kind == "as_optional_tensors") {
      const bool are_optional = wanted == c10::TypeKind::ListType
                                    ? type->containedType(0)->kind() == c10::TypeKind::OptionalType
                                    : kind == "as_optional_tensors";
      return list(value, are_optional ? ListOf::Kind::optional_tensors : ListOf::Kind::tensors);
    }
    if (kind == "as_optional_tensor") {
      return value.contains("as_tensor") ? Operand(slot(member(value.at("as_tensor"), "name"))) : Operand(IValue());
    }
    if (kind == "as_scalar_type") return IValue(static_cast<std::int64_t>(scalar_type_of(value)));
    if (kind == "as_memory_format") return IValue(static_cast<std::int64_t>(memory_format_of(value)));
    if (kind == "as_layout") {
      if (value != 7) throw Error("the graph uses tensors that are not dense");
      return IValue(static_cast<std::int64_t>(at::kStrided));
    }
    if (kind == "as_device") return RunDevice{};
    throw Error("has an argument of the kind {}, which is not supported", kind);
  }

  Operand symbolic(const json& value, const c10::TypePtr& type, std::int64_t length) const {
    const auto [kind, found] = alternative(value);
    if (kind == "as_name") return slot(*found);
    if (kind == "as_bool") return IValue(value_as<bool>(*found, "true or false"));
    if (kind == "as_int") return number(value_as<std::int64_t>(*found, "a whole number"), type, length);
    return number(float_of(*found), type, length);
  }

  /// JSON has no infinity: torch.export writes "Infinity", "-Infinity" and "NaN".
  static double float_of(const json& value) {
    if (value == "Infinity") return std::numeric_limits<double>::infinity();
    if (value == "-Infinity") return -std::numeric_limits<double>::infinity();
    if (value == "NaN") return std::numeric_limits<double>::quiet_NaN();
    return value_as<double>(value, "a number");
  }

  void read_node(const json& json_node) {
    const auto target = value_as<std::string>(member(json_node, "target"), "an operator");
    GraphNode node{.name = target, .call = SizeCall{}, .operands = {}, .results = {}, .last_uses = {}};
    constexpr std::string_view kAten = "torch.ops.aten.";
    try {
      if (target.starts_with(kAten)) {
        if (!read_operator(target.substr(kAten.size()), json_node, node)) return;
      } else if (target.starts_with("torch.ops.higher_order.")) {
        read_guarded(target, json_node, node);
      } else {
        read_size(target, json_node, node);
      }
      read_results(member(json_node, "outputs"), node);
    } catch (const Error& error) {
      throw Error("{}: {}", target, error.what());
    }
    body_.nodes.push_back(std::move(node));
  }

  /// False if the node computes nothing.
  bool read_operator(const std::string& target, const json& json_node, GraphNode& node) {
    const std::size_t dot = target.find('.');
    std::string name = target.substr(0, dot), overload = dot == target.npos ? "" : target.substr(dot + 1);
    if (is_check(name)) return false;
    if (!is_allowed_operator(name)) throw Error("graphs may not call this operator");
    if (overload == "default") overload.clear();
    auto& dispatcher = c10::Dispatcher::singleton();
    const auto handle = dispatcher.findSchema({"aten::" + name, overload});
    if (!handle) throw Error("this LibTorch has no such operator");
    const auto& schema = handle->schema();
    OperatorCall call{.handle = *handle, .takes = {}, .writes = {}};
    // Attention gives strides that differ from one implementation to the other, on which a view may fail.
    if (name == "view" && overload.empty()) call.handle = *dispatcher.findSchema({"aten::reshape", ""});
    // The same, with a look at whether the memory is the tensor's.
    const bool is_alias = name == "_reshape_alias";
    if (is_alias) call.handle = *dispatcher.findSchema({"aten::as_strided", ""});
    std::map<std::string, const json*> given;
    for (const json& input : array(member(json_node, "inputs"))) {
      given[value_as<std::string>(member(input, "name"), "a name")] = &member(input, "arg");
    }
    std::size_t taken = 0;
    for (const auto& argument : schema.arguments()) {
      const auto type = inner(argument.type());
      const auto found = given.find(argument.name());
      call.takes.push_back(type->kind());
      if (found != given.end()) {
        check_enumeration(argument, *found->second);
        node.operands.push_back(operand(*found->second, type, argument.N().value_or(0)));
        ++taken;
      } else if (argument.default_value()) {
        node.operands.emplace_back(*argument.default_value());
      } else {
        throw Error("lacks its argument {}", argument.name());
      }
      refuse_randomness(name, argument.name(), node.operands.back());
    }
    if (taken != given.size()) throw Error("has arguments that this LibTorch does not know");
    call.writes = written(schema, node.operands);
    if (is_alias) {
      node.operands.emplace_back(IValue());  // the offset in the memory: its own
      call.takes.push_back(c10::TypeKind::IntType);
    }
    node.call = std::move(call);
    return true;
  }

  /// Types, layouts and memory formats are numbers to LibTorch, which trusts them.
  static void check_enumeration(const c10::Argument& argument, const json& given) {
    const auto kind = inner(argument.real_type())->kind();
    const std::string wanted = kind == c10::TypeKind::ScalarTypeType     ? "as_scalar_type"
                               : kind == c10::TypeKind::LayoutType       ? "as_layout"
                               : kind == c10::TypeKind::MemoryFormatType ? "as_memory_format"
                                                                         : "";
    const std::string found = alternative(given).first;
    if (wanted.empty() || found == wanted || found == "as_none") return;
    throw Error("has {} as its argument {}", json_text(given).substr(0, 60), argument.name());
  }

  /// Arguments whose tensors the operator changes. The schemas of some batch norms do not say so.
  static std::vector<std::size_t> written(const c10::FunctionSchema& schema, const std::vector<Operand>& operands) {
    std::vector<std::size_t> arguments;
    bool trains = false;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const std::string& name = schema.arguments()[i].name();
      if (name != "training" && name != "train" && name != "use_input_stats") continue;
      const auto* constant = std::get_if<IValue>(&operands[i]);
      trains = constant == nullptr || !constant->isBool() || constant->toBool();
    }
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const auto& argument = schema.arguments()[i];
      const bool is_statistic = argument.name() == "running_mean" || argument.name() == "running_var";
      const bool is_written = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
      if (is_statistic ? !trains : !is_written) continue;
      const auto* constant = std::get_if<IValue>(&operands[i]);
      const bool is_none = constant != nullptr && constant->isNone();
      if (argument.kwarg_only() || (!is_none && !std::holds_alternative<Slot>(operands[i]))) {
        throw Error("writes into something that is not a value of the graph");  // the overloads with `out` too
      }
      if (!is_none) arguments.push_back(i);
    }
    return arguments;
  }

  static void refuse_randomness(const std::string& name, const std::string& argument, const Operand& operand) {
    const auto* value = std::get_if<IValue>(&operand);
    if (value == nullptr) return;
    const bool draws = name.find("dropout") != name.npos || name == "rrelu" || name == "rrelu_" || name == "lstm" ||
                       name == "gru" || name.starts_with("rnn_");
    const bool trains = draws && (argument == "train" || argument == "training") && value->isBool() && value->toBool();
    const bool drops = argument == "dropout_p" && value->isDouble() && value->toDouble() != 0;
    if (trains || drops) throw Error("draws random numbers; export the network in eval() mode");
  }

  void read_size(const std::string& target, const json& json_node, GraphNode& node) {
    node.call = SizeCall{size_function(target)};
    for (const json& input : array(member(json_node, "inputs"))) {
      node.operands.push_back(operand(member(input, "arg"), nullptr, 0));
    }
  }

  void read_guarded(const std::string& target, const json& json_node, GraphNode& node) {
    const json& inputs = array(member(json_node, "inputs"));
    const bool is_gradient = target == "torch.ops.higher_order.wrap_with_set_grad_enabled";
    if (!is_gradient && target != "torch.ops.higher_order.wrap_with_autocast") {
      throw Error("is not supported: export the network without it");
    }
    const std::size_t before = is_gradient ? 1 : 4;  // arguments in front of the subgraph
    if (inputs.size() <= before) throw Error("lacks its subgraph");
    const auto setting = [&](std::size_t index) { return alternative(member(inputs[index], "arg")); };
    GuardedCall call;
    if (is_gradient) {
      call.gradient = value_as<bool>(*setting(0).second, "true or false");
    } else {
      const auto device = value_as<std::string>(*setting(0).second, "a device");
      if (device != "cpu" && device != "cuda") throw Error("asks for autocast on {}, which is not supported", device);
      GuardedCall::Autocast autocast{
          .device = device == "cpu" ? c10::kCPU : c10::kCUDA,
          .type = {},
          .enabled = value_as<bool>(*setting(2).second, "true or false"),
          .caches = setting(3).first == "as_none" || value_as<bool>(*setting(3).second, "true or false")};
      if (setting(1).first == "as_scalar_type") autocast.type = scalar_type_of(*setting(1).second);
      call.autocast = autocast;
    }
    const auto [kind, graph] = setting(before);
    if (kind != "as_graph") throw Error("lacks its subgraph");
    call.body = std::make_shared<GraphBody>(Reader(depth_ + 1).read(member(*graph, "graph")));
    node.call = call;
    for (std::size_t i = before + 1; i < inputs.size(); ++i) {
      node.operands.push_back(operand(member(inputs[i], "arg"), nullptr, 0));
    }
    if (node.operands.size() != call.body->inputs.size()) throw Error("gives its subgraph another number of inputs");
  }

  void read_results(const json& outputs, GraphNode& node) {
    for (const json& output : array(outputs)) {
      const auto [kind, value] = alternative(output);
      if (kind == "as_tensor") {
        node.results.emplace_back(define(member(*value, "name")));
      } else if (kind == "as_tensors") {
        if (outputs.size() != 1) throw Error("gives a list of tensors beside other results");
        node.unpacks_list = true;
        for (const json& tensor : array(*value)) node.results.emplace_back(define(member(tensor, "name")));
      } else if (kind == "as_none") {
        node.results.emplace_back(std::nullopt);
      } else if (kind.starts_with("as_sym_") && value->is_object() && value->contains("as_name")) {
        node.results.emplace_back(define(value->at("as_name")));
      } else if (kind.starts_with("as_sym_") || kind == "as_int" || kind == "as_bool" || kind == "as_float") {
        node.results.emplace_back(std::nullopt);
      } else {
        throw Error("gives a result of the kind {}, which is not supported", kind);
      }
    }
  }

  /// So that a value's memory is free as soon as nothing needs it any more.
  void mark_last_uses() {
    std::vector<bool> is_used(slots_.size(), false);
    const auto use = [&](const Operand& operand, std::vector<Slot>* last) {
      const auto note = [&](Slot slot) {
        if (is_used[slot]) return;
        is_used[slot] = true;
        if (last) last->push_back(slot);
      };
      if (const auto* one = std::get_if<Slot>(&operand)) note(*one);
      if (const auto* list = std::get_if<ListOf>(&operand)) {
        for (const auto& entry : list->slots) {
          if (entry) note(*entry);
        }
      }
    };
    for (const Operand& output : body_.outputs) use(output, nullptr);
    for (auto node = body_.nodes.rbegin(); node != body_.nodes.rend(); ++node) {
      for (const auto& result : node->results) {
        if (result && !is_used[*result]) node->last_uses.push_back(*result);  // nobody wants it
      }
      for (const Operand& operand : node->operands) use(operand, &node->last_uses);
    }
  }

  int depth_;
  std::map<std::string, Slot> slots_;
  GraphBody body_;
};

}  // namespace

at::ScalarType scalar_type_of(const json& number) {
  static const std::map<int, at::ScalarType> kTypes{
      {1, at::kByte},           {2, at::kChar},  {3, at::kShort},    {4, at::kInt},         {5, at::kLong},
      {6, at::kHalf},           {7, at::kFloat}, {8, at::kDouble},   {9, at::kComplexHalf}, {10, at::kComplexFloat},
      {11, at::kComplexDouble}, {12, at::kBool}, {13, at::kBFloat16}};
  const auto found = kTypes.find(value_as<int>(number, "a type of numbers"));
  if (found == kTypes.end())
    throw Error("the graph uses type of numbers {}, which is not supported", json_text(number));
  return found->second;
}

GraphBody read_body(const json& graph) { return Reader(0).read(graph); }

}  // namespace lossatlas
