#include "fused/lowering.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>

#include "models/exported_network.h"
#include "models/script_network.h"

namespace lossatlas {
namespace {

namespace jit = torch::jit;

constexpr std::int64_t kTraceBatch = 2;

/// A whole number of the graph: known, or the number of images.
struct Number {
  std::int64_t value = 0;
  bool is_batch = false;
};

/// Translates a TorchScript graph node by node. Operators that write in place give the value a new meaning from there
/// on; a value that others see through a view may not be written.
class Lowering {
 public:
  Lowering(const jit::Graph& graph, const NetworkTensors& state, const std::array<std::int64_t, 3>& input)
      : graph_(graph) {
    for (const auto* tensors : {&state.parameters, &state.buffers}) {
      for (const NamedTensor& named : *tensors) tensors_.push_back(named.tensor);
    }
    result_.tensors = tensors_.size();
    Node images;
    images.shape = {input[0], input[1], input[2]};
    result_.nodes.push_back(images);
    nodes_[graph.inputs().back()] = 0;
  }

  Graph run() {
    for (const jit::Node* node : graph_.nodes()) {  // the cause, rather than what its condition is computed with
      if (!node->blocks().empty()) throw CannotLower("the operator {}", node->kind().toQualString());
    }
    for (const jit::Node* node : graph_.nodes()) translate(*node);
    if (graph_.outputs().size() != 1) throw CannotLower("a network with {} results", graph_.outputs().size());
    const std::size_t logits = node_of(graph_.outputs()[0]);
    if (result_.nodes[logits].shape.size() != result_.nodes[logits].shape.channels || logits == 0) {
      throw CannotLower("a result that is not one row of logits an image");
    }
    result_.nodes.resize(logits + 1);
    return std::move(result_);
  }

 private:
  struct View {
    std::size_t node, of;
  };
  using Translate = void (Lowering::*)(const jit::Node&);

  void translate(const jit::Node& node) {
    static const std::map<std::string, Translate> translations{
        {"aten::_convolution", &Lowering::convolution},
        {"aten::convolution", &Lowering::convolution},
        {"aten::conv2d", &Lowering::conv2d},
        {"aten::linear", &Lowering::linear},
        {"aten::addmm", &Lowering::addmm},
        {"aten::batch_norm", &Lowering::batch_norm},
        {"aten::relu", &Lowering::relu},
        {"aten::relu_", &Lowering::relu},
        {"aten::add", &Lowering::add},
        {"aten::add_", &Lowering::add},
        {"aten::max_pool2d", &Lowering::max_pool},
        {"aten::avg_pool2d", &Lowering::average_pool},
        {"aten::adaptive_avg_pool2d", &Lowering::adaptive_pool},
        {"aten::mean", &Lowering::mean},
        {"aten::cat", &Lowering::concatenate},
        {"aten::slice", &Lowering::slice},
        {"aten::pad", &Lowering::pad},
        {"aten::constant_pad_nd", &Lowering::pad},
        {"aten::flatten", &Lowering::flatten},
        {"aten::view", &Lowering::view},
        {"aten::reshape", &Lowering::view},
        {"aten::dropout", &Lowering::dropout},
        {"aten::feature_dropout", &Lowering::dropout},
        {"aten::dropout_", &Lowering::dropout},
        {"aten::contiguous", &Lowering::same},
        {"aten::detach", &Lowering::same},
        {"aten::size", &Lowering::size},
        {"aten::t", &Lowering::transpose},
        {"prim::NumToTensor", &Lowering::same_number},
        {"aten::Int", &Lowering::same_number},
    };
    const std::string name = node.kind().toQualString();
    if (name == "prim::Constant" || name == "prim::ListConstruct") return;
    const auto found = translations.find(name);
    if (found == translations.end()) throw CannotLower("the operator {}", name);
    try {
      (this->*found->second)(node);
    } catch (const Error&) {
      throw;
    } catch (const std::exception&) {  // an overload with other inputs
      throw CannotLower("the operator {} in another form than is known here", name);
    }
  }

  // --- what nodes read ---

  std::size_t node_of(const jit::Value* value) const {
    const auto found = nodes_.find(value);
    if (found == nodes_.end()) throw CannotLower("{}, which depends on more than the images", value->debugName());
    return found->second;
  }

  c10::IValue constant(const jit::Node& node, std::size_t input) const {
    const auto value = jit::toIValue(node.input(input));
    if (!value) throw CannotLower("{} with an input known only at run time", node.kind().toQualString());
    return *value;
  }

  Number number(const jit::Value* value) const {
    if (const auto found = numbers_.find(value); found != numbers_.end()) return found->second;
    const auto known = jit::toIValue(value);
    if (!known || !known->isInt()) throw CannotLower("{}, a number known only at run time", value->debugName());
    return {known->toInt(), false};
  }

  std::vector<Number> numbers(const jit::Node& node, std::size_t input) const {
    const jit::Value* value = node.input(input);
    std::vector<Number> list;
    if (const auto known = jit::toIValue(value)) {
      if (known->isInt()) return {{known->toInt(), false}};
      for (const std::int64_t entry : known->toIntVector()) list.push_back({entry, false});
    } else if (value->node()->kind() == c10::prim::ListConstruct) {
      for (const jit::Value* entry : value->node()->inputs()) list.push_back(number(entry));
    } else {
      throw CannotLower("{} with sizes known only at run time", node.kind().toQualString());
    }
    return list;
  }

  /// One number for height and width, or one each.
  std::array<std::int64_t, 2> pair(const jit::Node& node, std::size_t input) const {
    const auto list = numbers(node, input);
    if (list.empty() || list.size() > 2) throw CannotLower("{} over other than two axes", node.kind().toQualString());
    return {list.front().value, list.back().value};
  }

  std::optional<TensorIndex> tensor(const jit::Value* value) const {
    const auto known = jit::toIValue(value);
    if (known && known->isNone()) return std::nullopt;
    if (!known || !known->isTensor()) throw CannotLower("a parameter that is computed at run time");
    const at::Tensor wanted = known->toTensor();
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (tensors_[i].is_same(wanted) ||
          (tensors_[i].data_ptr() == wanted.data_ptr() && tensors_[i].sizes() == wanted.sizes() &&
           tensors_[i].strides() == wanted.strides())) {
        return i;
      }
    }
    throw CannotLower("a constant tensor that is not a parameter");
  }

  TensorIndex required_tensor(const jit::Node& node, std::size_t input) const {
    const auto index = tensor(node.input(input));
    if (!index) throw CannotLower("{} without a tensor that it needs", node.kind().toQualString());
    return *index;
  }

  ImageShape shape_of(std::size_t node) const { return result_.nodes[node].shape; }

  // --- what nodes become ---

  Node make(Operation operation, const jit::Node& node) const {
    Node made;
    made.operation = operation;
    made.inputs = {node_of(node.input(0))};
    made.shape = shape_of(made.inputs[0]);
    const bool reads_images = operation == Operation::convolution || operation == Operation::flatten;
    if (made.inputs[0] == 0 && !reads_images) throw CannotLower("{} on the images", node.kind().toQualString());
    return made;
  }

  void append(const jit::Node& from, Node node) {
    const ImageShape& shape = node.shape;
    if (shape.channels < 1 || shape.height < 1 || shape.width < 1) {
      throw CannotLower("{} with an empty result", from.kind().toQualString());
    }
    result_.nodes.push_back(std::move(node));
    nodes_[from.output()] = result_.nodes.size() - 1;
    write_in_place(from, result_.nodes.size() - 1);
  }

  /// In LibTorch it is the same memory as its input.
  void append_view(const jit::Node& from, Node node) {
    views_.push_back({result_.nodes.size(), node.inputs[0]});
    append(from, std::move(node));
  }

  void write_in_place(const jit::Node& from, std::size_t node) {
    const std::string name = from.kind().toQualString();
    if (!name.ends_with('_')) return;
    const std::size_t written = nodes_.at(from.input(0));
    const auto concerns = [&](const View& view) { return view.node == written || view.of == written; };
    if (std::any_of(views_.begin(), views_.end(), concerns)) throw CannotLower("{} through a view", name);
    for (auto& [value, meaning] : nodes_) {
      if (meaning == written) meaning = node;
    }
  }

  static std::int64_t windows(std::int64_t size, std::int64_t window, std::int64_t stride, std::int64_t padding,
                              std::int64_t dilation) {
    return (size + 2 * padding - dilation * (window - 1) - 1) / stride + 1;
  }

  static void set_window(Node& node, const Window& window) {
    node.window = window;
    node.shape.height = windows(node.shape.height, window.height, window.stride_y, window.padding_y, window.dilation_y);
    node.shape.width = windows(node.shape.width, window.width, window.stride_x, window.padding_x, window.dilation_x);
  }

  void convolve(const jit::Node& node, std::int64_t groups) {
    Node made = make(Operation::convolution, node);
    made.weight = required_tensor(node, 1);
    made.bias = tensor(node.input(2));
    const auto weight = tensors_[*made.weight];
    if (weight.dim() != 4) throw CannotLower("a convolution over other than two axes");
    const auto stride = pair(node, 3), padding = pair(node, 4), dilation = pair(node, 5);
    if (groups != 1) throw CannotLower("a convolution in groups");
    made.shape.channels = weight.size(0);
    set_window(made, {.height = weight.size(2),
                      .width = weight.size(3),
                      .stride_y = stride[0],
                      .stride_x = stride[1],
                      .padding_y = padding[0],
                      .padding_x = padding[1],
                      .dilation_y = dilation[0],
                      .dilation_x = dilation[1]});
    append(node, std::move(made));
  }

  void convolution(const jit::Node& node) {
    if (constant(node, 6).toBool()) throw CannotLower("a transposed convolution");
    convolve(node, constant(node, 8).toInt());
  }

  void conv2d(const jit::Node& node) { convolve(node, constant(node, 6).toInt()); }

  void linear_layer(const jit::Node& node, const jit::Value* input, TensorIndex weight,
                    std::optional<TensorIndex> bias) {
    Node made;
    made.operation = Operation::linear;
    made.inputs = {node_of(input)};
    const ImageShape in = shape_of(made.inputs[0]);
    if (in.size() != in.channels) throw CannotLower("a linear layer on more than a row of numbers");
    made.weight = weight;
    made.bias = bias;
    made.shape = {tensors_[weight].size(0), 1, 1};
    append(node, std::move(made));
  }

  void linear(const jit::Node& node) {
    linear_layer(node, node.input(0), required_tensor(node, 1), tensor(node.input(2)));
  }

  void addmm(const jit::Node& node) {
    const jit::Node* transposed = node.input(2)->node();
    const bool plain = constant(node, 3).toScalar().toDouble() == 1 && constant(node, 4).toScalar().toDouble() == 1;
    if (std::string(transposed->kind().toQualString()) != "aten::t" || !plain) throw CannotLower("aten::addmm");
    linear_layer(node, node.input(1), required_tensor(*transposed, 0), tensor(node.input(0)));
  }

  void transpose(const jit::Node&) {}  // only of weights; whoever reads it says so

  void batch_norm(const jit::Node& node) {
    if (constant(node, 5).toBool()) throw CannotLower("a batch norm in training mode");
    Node made = make(Operation::batch_norm, node);
    BatchNorm norm;
    norm.weight = tensor(node.input(1));
    norm.bias = tensor(node.input(2));
    norm.mean = required_tensor(node, 3);
    norm.variance = required_tensor(node, 4);
    norm.epsilon = constant(node, 7).toDouble();
    made.norm = norm;
    append(node, std::move(made));
  }

  void relu(const jit::Node& node) {
    Node made = make(Operation::relu, node);
    made.relu = true;
    append(node, std::move(made));
  }

  void add(const jit::Node& node) {
    if (constant(node, 2).toScalar().toDouble() != 1) throw CannotLower("a sum with a factor");
    Node made = make(Operation::add, node);
    made.inputs.push_back(node_of(node.input(1)));
    if (made.inputs[1] == 0) throw CannotLower("aten::add of the images");
    if (shape_of(made.inputs[1]) != made.shape) throw CannotLower("a sum of different shapes");
    append(node, std::move(made));
  }

  Window pooling_window(const jit::Node& node) const {
    const auto size = pair(node, 1), padding = pair(node, 3);
    const auto stride = numbers(node, 2).empty() ? size : pair(node, 2);
    return {.height = size[0],
            .width = size[1],
            .stride_y = stride[0],
            .stride_x = stride[1],
            .padding_y = padding[0],
            .padding_x = padding[1]};
  }

  void max_pool(const jit::Node& node) {
    Node made = make(Operation::max_pool, node);
    Window window = pooling_window(node);
    const auto dilation = pair(node, 4);
    window.dilation_y = dilation[0];
    window.dilation_x = dilation[1];
    pool(node, std::move(made), window, constant(node, 5).toBool());
  }

  void average_pool(const jit::Node& node) {
    Node made = make(Operation::average_pool, node);
    made.count_padding = constant(node, 5).toBool();
    if (!constant(node, 6).isNone()) throw CannotLower("aten::avg_pool2d with a divisor");
    pool(node, std::move(made), pooling_window(node), constant(node, 4).toBool());
  }

  void pool(const jit::Node& node, Node made, const Window& window, bool ceil_mode) {
    const ImageShape in = made.shape;
    set_window(made, window);
    const auto left = [](std::int64_t size, std::int64_t extent, std::int64_t stride, std::int64_t padding) {
      return (size + 2 * padding - extent) % stride;
    };
    if (ceil_mode && (left(in.height, window.height, window.stride_y, window.padding_y) != 0 ||
                      left(in.width, window.width, window.stride_x, window.padding_x) != 0)) {
      ceil_pool(made, in, window);
    }
    append(node, std::move(made));
  }

  /// A last window that reaches past the image, if there is a row or a column for it.
  static void ceil_pool(Node& made, const ImageShape& in, const Window& window) {
    if (window.padding_y != 0 || window.padding_x != 0 || window.dilation_y != 1 || window.dilation_x != 1) {
      throw CannotLower("a pooling with ceil_mode and padding");
    }
    made.shape.height = (in.height - window.height + window.stride_y - 1) / window.stride_y + 1;
    made.shape.width = (in.width - window.width + window.stride_x - 1) / window.stride_x + 1;
    made.count_padding = false;  // the part past the image does not count
  }

  void average_all(const jit::Node& node, std::int64_t height, std::int64_t width) {
    Node made = make(Operation::average_pool, node);
    const ImageShape in = made.shape;
    if (height < 1 || width < 1 || in.height % height != 0 || in.width % width != 0) {
      throw CannotLower("{} into windows of unequal size", node.kind().toQualString());
    }
    const std::int64_t down = in.height / height, across = in.width / width;
    set_window(made, {.height = down, .width = across, .stride_y = down, .stride_x = across});
    append(node, std::move(made));
  }

  void adaptive_pool(const jit::Node& node) {
    const auto size = pair(node, 1);
    average_all(node, size[0], size[1]);
  }

  /// The mean over height and width, which leaves one number a channel whether the axes are kept or not.
  void mean(const jit::Node& node) {
    std::vector<std::int64_t> list;
    for (const Number& axis : numbers(node, 1)) list.push_back(axis.value < 0 ? axis.value + 4 : axis.value);
    std::sort(list.begin(), list.end());
    if (list != std::vector<std::int64_t>{2, 3}) throw CannotLower("aten::mean over other axes than height and width");
    average_all(node, 1, 1);
  }

  void concatenate(const jit::Node& node) {
    if (constant(node, 1).toInt() != 1) throw CannotLower("aten::cat along another axis than the channels");
    Node made;
    made.operation = Operation::concatenate;
    for (const jit::Value* part : node.input(0)->node()->inputs()) {
      const std::size_t index = node_of(part);
      const ImageShape shape = shape_of(index);
      if (made.inputs.empty()) made.shape = {0, shape.height, shape.width};
      if (shape.height != made.shape.height || shape.width != made.shape.width) {
        throw CannotLower("aten::cat of different sizes");
      }
      if (index == 0) throw CannotLower("aten::cat of the images");
      made.inputs.push_back(index);
      made.shape.channels += shape.channels;
    }
    append(node, std::move(made));
  }

  /// All of an axis, or every step-th pixel of it: a pooling with windows of one pixel.
  void slice(const jit::Node& node) {
    const std::int64_t axis = constant(node, 1).toInt(), step = constant(node, 4).toInt();
    const auto begin = constant(node, 2), end = constant(node, 3);
    const bool from_first = begin.isNone() || begin.toInt() == 0;
    const bool to_last = end.isNone() || end.toInt() == std::numeric_limits<std::int64_t>::max();
    if (!from_first || !to_last) throw CannotLower("aten::slice of a part of an axis");
    if (step == 1) return same(node);
    if (axis != 2 && axis != 3) throw CannotLower("aten::slice with a step along axis {}", axis);
    Node made = make(Operation::average_pool, node);
    set_window(made, {.stride_y = axis == 2 ? step : 1, .stride_x = axis == 3 ? step : 1});
    append_view(node, std::move(made));
  }

  /// Zeros before and after the channels alone.
  void pad(const jit::Node& node) {
    const std::string name = node.kind().toQualString();
    const bool has_mode = name == "aten::pad";
    if (has_mode && constant(node, 2).toStringRef() != "constant") throw CannotLower("aten::pad with other than zeros");
    const auto value = constant(node, has_mode ? 3 : 2);
    const auto sizes = numbers(node, 1);
    const auto is_zero = [](const Number& number) { return number.value == 0; };
    if ((!value.isNone() && value.toScalar().toDouble() != 0) || sizes.size() != 6 ||
        !std::all_of(sizes.begin(), sizes.begin() + 4, is_zero) || sizes[4].value < 0 || sizes[5].value < 0) {
      throw CannotLower("{} of other than channels of zeros", name);
    }
    Node made = make(Operation::pad, node);
    made.channels_before = sizes[4].value;
    made.shape.channels += sizes[4].value + sizes[5].value;
    append(node, std::move(made));
  }

  void flatten_all(const jit::Node& node) {
    Node made = make(Operation::flatten, node);
    made.shape = {made.shape.size(), 1, 1};
    append_view(node, std::move(made));
  }

  void flatten(const jit::Node& node) {
    const std::int64_t last = constant(node, 2).toInt();
    if (constant(node, 1).toInt() != 1 || (last != -1 && last != 3)) throw CannotLower("aten::flatten of some axes");
    flatten_all(node);
  }

  void view(const jit::Node& node) {
    const auto sizes = numbers(node, 1);
    const std::int64_t features = shape_of(node_of(node.input(0))).size();
    const auto is_batch = [](const Number& n) { return n.is_batch || n.value == -1; };
    const bool flat =
        sizes.size() == 2 && ((sizes[0].is_batch && (sizes[1].value == -1 || sizes[1].value == features)) ||
                              (is_batch(sizes[0]) && sizes[1].value == features));
    if (!flat) throw CannotLower("{} into another shape than [images, features]", node.kind().toQualString());
    flatten_all(node);
  }

  void dropout(const jit::Node& node) {
    if (constant(node, 2).toBool()) throw CannotLower("a dropout in training mode");
    same(node);
  }

  void same(const jit::Node& node) { nodes_[node.output()] = node_of(node.input(0)); }

  void size(const jit::Node& node) {
    const std::int64_t axis = constant(node, 1).toInt();
    const ImageShape shape = shape_of(node_of(node.input(0)));
    const std::array<Number, 4> sizes{
        {{0, true}, {shape.channels, false}, {shape.height, false}, {shape.width, false}}};
    if (axis < 0 || axis > 3) throw CannotLower("aten::size of axis {}", axis);
    numbers_[node.output()] = sizes[static_cast<std::size_t>(axis)];
  }

  void same_number(const jit::Node& node) { numbers_[node.output()] = number(node.input(0)); }

  const jit::Graph& graph_;
  std::vector<at::Tensor> tensors_;
  Graph result_;
  std::vector<View> views_;
  std::unordered_map<const jit::Value*, std::size_t> nodes_;
  std::unordered_map<const jit::Value*, Number> numbers_;
};

/// What LibTorch's tracer records of one run. A network of a file is not run: its own graph says more.
std::shared_ptr<jit::Graph> graph_of(Network& network, const std::array<std::int64_t, 3>& input) {
  if (const auto* script = dynamic_cast<const ScriptNetwork*>(&network)) return script->frozen_graph();
  if (const auto* exported = dynamic_cast<const ExportedNetwork*>(&network)) {
    try {
      return exported->script_graph();
    } catch (const Error& reason) {
      throw CannotLower("{}", reason.what());
    }
  }
  const auto images = at::zeros({kTraceBatch, input[0], input[1], input[2]});
  const auto forward = [&network](jit::Stack stack) { return jit::Stack{network.forward(stack[0].toTensor())}; };
  const auto no_names = [](const at::Tensor&) { return std::string(); };
  return jit::tracer::trace({images}, forward, no_names).first->graph;
}

}  // namespace

Graph lower(Network& network, const std::array<std::int64_t, 3>& input) {
  const at::NoGradGuard no_gradients;
  return lower(*graph_of(network, input), state_of(network), input);
}

Graph lower(const jit::Graph& graph, const NetworkTensors& state, const std::array<std::int64_t, 3>& input) {
  return Lowering(graph, state, input).run();
}

}  // namespace lossatlas
