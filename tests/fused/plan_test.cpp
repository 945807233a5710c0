#include "fused/plan.h"

#include <ATen/record_function.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>

#include "catch.h"
#include "families.h"
#include "fused/lowering.h"
#include "fused/tensor_plan.h"
#include "models/network.h"
#include "models/registry.h"

using namespace lossatlas;

namespace {

Tensors tensors_of(const NetworkTensors& state) {
  Tensors tensors;
  for (const auto* list : {&state.parameters, &state.buffers}) {
    for (const auto& [name, tensor] : *list) {
      tensors.push_back(tensor.scalar_type() == torch::kFloat32 ? tensor.data_ptr<float>() : nullptr);
    }
  }
  return tensors;
}

/// Statistics and affine parameters as a trained network has them: none is 0 or 1.
void train_a_little(Network& network) {
  for (const auto& [name, buffer] : state_of(network).buffers) {
    if (!buffer.is_floating_point()) continue;
    buffer.copy_(name.ends_with("var") ? torch::rand_like(buffer) + 0.5 : torch::randn_like(buffer) * 0.1);
  }
  for (const auto& [name, parameter] : state_of(network).parameters) {
    if (parameter.dim() == 1) parameter.add_(torch::randn_like(parameter) * 0.1);
  }
}

std::shared_ptr<Network> ready_network(const NetworkSpec& spec) {
  torch::manual_seed(7);
  auto network = make_network(spec);
  network->eval();
  for (torch::Tensor& parameter : network->parameters()) parameter.requires_grad_(false);
  train_a_little(*network);
  return network;
}

torch::Tensor run(Plan& plan, const torch::Tensor& images) {
  auto logits = torch::empty({images.size(0), plan.classes()});
  plan.run({images.data_ptr<float>(), images.size(0), images.size(1), images.size(2), images.size(3)},
           {logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())});
  return logits;
}

double relative_error(const torch::Tensor& got, const torch::Tensor& wanted) {
  return (got - wanted).abs().max().item<double>() / wanted.abs().max().item<double>();
}

void check_architectures(Breadth breadth) {
  const torch::NoGradGuard no_gradients;
  const auto set =
      GENERATE(InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512, InstructionSet::amx);
  if (!is_available(set)) return;
  for (const ArchitectureInfo& info : architectures_of(breadth)) {
    NetworkSpec spec = info.defaults;
    // Smaller images, odd where the network allows it: the tiles of Winograd's convolutions then reach past the edge.
    if (spec.input[1] > 64) spec.input = {3, 49, 40};
    const bool large = info.name.find("152") != std::string::npos || info.name.find("101") != std::string::npos;
    if (set != best_instruction_set() && large) continue;  // the same kernels as the smaller ones of the family
    CAPTURE(info.name, name_of(set));
    const auto network = ready_network(spec);
    const auto graph = std::make_shared<const Graph>(fuse(lower(*network, spec.input)));
    Plan plan(graph, {set, 4});
    plan.load(tensors_of(state_of(*network)));
    const auto images = torch::randn({3, spec.input[0], spec.input[1], spec.input[2]});
    CHECK(relative_error(run(plan, images), network->forward(images)) < 2e-5);
  }
}

}  // namespace

TEST_CASE("a network of each family computes what LibTorch computes") { check_architectures(Breadth::families); }

TEST_CASE("every architecture computes what LibTorch computes", "[.full]") { check_architectures(Breadth::all); }

TEST_CASE("a graph run on tensors computes what LibTorch computes") {
  const torch::NoGradGuard no_gradients;
  for (const ArchitectureInfo& info : architectures()) {
    const std::array families{
        "resnet18", "resnet18-cifar", "resnet20-noshort", "resnet20-a", "vgg11", "densenet121", "lenet", "mlp"};
    if (std::find(families.begin(), families.end(), info.name) == families.end()) continue;
    NetworkSpec spec = info.defaults;
    if (spec.input[1] > 64) spec.input = {3, 49, 40};
    CAPTURE(info.name);
    const auto network = ready_network(spec);
    const auto state = state_of(*network);
    std::vector<torch::Tensor> tensors;
    for (const auto* list : {&state.parameters, &state.buffers}) {
      for (const auto& [name, tensor] : *list) tensors.push_back(tensor);
    }
    const auto graph = std::make_shared<const Graph>(fuse(lower(*network, spec.input)));
    const auto images = torch::randn({3, spec.input[0], spec.input[1], spec.input[2]});
    const auto wanted = network->forward(images);
    // tf32 is float32 in another layout where there is no CUDA device.
    for (const auto precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
      TensorPlan plan(graph, torch::kCPU, precision);
      plan.load(tensors);
      CHECK(relative_error(plan.run(images), wanted) < (precision == Precision::bf16 ? 0.1 : 2e-5));
    }
  }
}

/// Operators that write memory, of those that `call` runs: kernels on a GPU.
template <class Call>
int operators_of(const Call& call) {
  static int count;
  count = 0;
  const auto note = [](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
    const std::string name = function.name();
    const std::array views{"aten::narrow",  "aten::view", "aten::permute", "aten::slice",         "aten::as_strided",
                           "aten::flatten", "aten::to",   "aten::reshape", "aten::_reshape_alias"};
    if (std::find(views.begin(), views.end(), name) == views.end()) ++count;
    return nullptr;
  };
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(note).scopes({at::RecordScope::FUNCTION}));
  call();
  at::removeCallback(handle);
  return count;
}

TEST_CASE("the fold of a network on tensors takes as many operators however deep it is") {
  const torch::NoGradGuard no_gradients;
  std::vector<int> counts;
  for (const std::string name : {"resnet20", "resnet110"}) {
    const auto network = ready_network({name, 10, 0, {3, 32, 32}});
    const auto state = state_of(*network);
    std::vector<torch::Tensor> tensors;
    for (const auto* list : {&state.parameters, &state.buffers}) {
      for (const auto& [_, tensor] : *list) tensors.push_back(tensor);
    }
    TensorPlan plan(std::make_shared<const Graph>(fuse(lower(*network, {3, 32, 32}))), torch::kCPU, Precision::bf16);
    plan.load(tensors);
    counts.push_back(operators_of([&] { plan.load(tensors); }));
  }
  CHECK(counts[0] > 10);
  CHECK(counts[0] < 80);
  CHECK(counts[1] == counts[0]);
}

TEST_CASE("batch norms are folded in float64 and rounded once") {
  const torch::NoGradGuard no_gradients;
  for (const auto layout : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    Graph graph;
    graph.nodes.resize(3);
    graph.nodes[1].weight = 0;
    graph.nodes[1].bias = 1;
    graph.nodes[1].norm = BatchNorm{2, 3, 4, 5, 1e-3};
    graph.nodes[1].input_norm = BatchNorm{{}, {}, 6, 7, 1e-5};
    graph.nodes[2].weight = 8;  // a linear layer without a bias
    const std::vector<torch::Tensor> tensors{torch::randn({5, 3, 2, 4}), torch::randn({5}),      torch::randn({5}),
                                             torch::randn({5}),          torch::randn({5}),      torch::rand({5}) + 0.1,
                                             torch::randn({3}),          torch::rand({3}) + 0.1, torch::randn({7, 5})};
    const TensorFold fold(graph, tensors, layout);
    const auto folded = fold(tensors, torch::kFloat32);
    const auto wide = [&](int index) { return tensors[static_cast<std::size_t>(index)].to(torch::kDouble); };
    const auto scale = wide(2) / (wide(5) + 1e-3).sqrt();
    const auto input_scale = 1 / (wide(7) + 1e-5).sqrt();
    const auto same = [](const torch::Tensor& got, const torch::Tensor& wanted) {
      return got.sizes() == wanted.sizes() && torch::allclose(got.to(torch::kDouble), wanted, 1.2e-7, 1e-9);
    };
    CHECK(same(folded[1].weight, wide(0) * scale.view({5, 1, 1, 1})));
    CHECK(folded[1].weight.is_contiguous(layout));
    CHECK(same(folded[1].bias, wide(3) + (wide(1) - wide(4)) * scale));
    CHECK(same(folded[1].input_scale, input_scale.view({3, 1, 1})));
    CHECK(same(folded[1].input_shift, (-wide(6) * input_scale).view({3, 1, 1})));
    CHECK(torch::equal(folded[2].weight, tensors[8]));
    CHECK(torch::equal(folded[2].bias, torch::zeros({7})));
    CHECK_FALSE(folded[0].weight.defined());
    CHECK_FALSE(folded[2].scale.defined());
  }
}

TEST_CASE("bfloat16 changes logits by as much as it rounds") {
  if (!is_available(InstructionSet::amx, Precision::bf16)) return;
  const torch::NoGradGuard no_gradients;
  for (const std::string name : {"resnet18-cifar", "resnet56", "vgg11", "densenet121", "resnet50-cifar", "lenet"}) {
    CAPTURE(name);
    const auto network = ready_network({name, 10, 0, {3, 32, 32}});
    const auto graph = std::make_shared<const Graph>(fuse(lower(*network, {3, 32, 32})));
    Plan plan(graph, {InstructionSet::amx, 4, Precision::bf16});
    plan.load(tensors_of(state_of(*network)));
    const auto images = torch::randn({3, 3, 32, 32});
    const double error = relative_error(run(plan, images), network->forward(images));
    CHECK(error < 5e-2);
    CHECK(error > 1e-5);  // or it would not be bfloat16
  }
}

TEST_CASE("batch norms, sums and ReLUs leave no step of their own in a ResNet") {
  const auto network = ready_network({"resnet18-cifar", 10, 8, {3, 32, 32}});
  const Graph graph = fuse(lower(*network, {3, 32, 32}));
  std::size_t convolutions = 0, others = 0;
  for (const Node& node : graph.nodes) (node.operation == Operation::convolution ? convolutions : others) += 1;
  CHECK(convolutions == 20);  // 17 of 3x3, 3 of 1x1
  CHECK(others == 4);         // input, pooling, flatten, linear
}

TEST_CASE("a batch's size and its slices do not matter but for rounding") {
  const torch::NoGradGuard no_gradients;
  const auto network = ready_network({"resnet20", 10, 0, {3, 32, 32}});
  const auto graph = std::make_shared<const Graph>(fuse(lower(*network, {3, 32, 32})));
  const auto images = torch::randn({37, 3, 32, 32});
  const auto wanted = network->forward(images);
  for (const std::int64_t batch : {37, 64, 200}) {
    Plan plan(graph, {best_instruction_set(), batch});
    plan.load(tensors_of(state_of(*network)));
    CHECK(relative_error(run(plan, images), wanted) < 1e-5);
  }
}

TEST_CASE("a plan takes each point anew") {
  const torch::NoGradGuard no_gradients;
  const auto network = ready_network({"lenet", 10, 0, {3, 32, 32}});
  const auto graph = std::make_shared<const Graph>(fuse(lower(*network, {3, 32, 32})));
  Plan plan(graph, {best_instruction_set(), 8});
  const auto images = torch::randn({8, 3, 32, 32});
  plan.load(tensors_of(state_of(*network)));
  const auto before = run(plan, images);
  for (const auto& [name, parameter] : state_of(*network).parameters) parameter.mul_(1.5);
  plan.load(tensors_of(state_of(*network)));
  const auto after = run(plan, images);
  CHECK_FALSE(torch::equal(before, after));
  CHECK(relative_error(after, network->forward(images)) < 1e-5);
}

TEST_CASE("parameters that are not finite give logits that are not") {
  const torch::NoGradGuard no_gradients;
  const auto name = GENERATE("conv1.weight", "layer1.0.conv2.weight", "bn1.weight", "linear.bias");
  const float bad = GENERATE(NAN, INFINITY);
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  if (!is_available(best_instruction_set(), precision)) return;
  const auto network = ready_network({"resnet18-cifar", 10, 8, {3, 32, 32}});
  const auto graph = std::make_shared<const Graph>(fuse(lower(*network, {3, 32, 32})));
  Plan plan(graph, {best_instruction_set(), 2, precision});
  for (const auto& [key, parameter] : state_of(*network).parameters) {
    if (key == name) parameter.view({-1})[0] = bad;
  }
  plan.load(tensors_of(state_of(*network)));
  CAPTURE(name, bad);
  CHECK_FALSE(run(plan, torch::randn({2, 3, 32, 32})).isfinite().all().item<bool>());
}

namespace {

/// What a network does, as a function.
class FunctionNetwork : public Network {
 public:
  explicit FunctionNetwork(std::function<torch::Tensor(torch::Tensor)> function) : function_(std::move(function)) {
    weight_ = register_parameter("weight", torch::randn({20, 3, 3, 3}), false);
    grouped_ = register_parameter("grouped", torch::randn({20, 5, 3, 3}), false);
    wide_ = register_parameter("wide", torch::randn({32, 3, 3, 3}), false);
    narrow_ = register_parameter("narrow", torch::randn({16, 3, 3, 3}), false);
    linear_ = register_parameter("linear", torch::randn({10, 20}), false);
    spread_ = register_parameter("spread", torch::randn({64, 3, 1, 1}), false);
    mixing_ = register_parameter("mixing", torch::randn({64, 64, 3, 3}), false);
    point_ = register_parameter("point", torch::randn({64, 64, 1, 1}), false);
    head_ = register_parameter("head", torch::randn({10, 64}), false);
  }
  torch::Tensor forward(torch::Tensor images) override { return function_(std::move(images)); }
  torch::Tensor weight_, grouped_, wide_, narrow_, linear_, spread_, mixing_, point_, head_;

 private:
  std::function<torch::Tensor(torch::Tensor)> function_;
};

}  // namespace

TEST_CASE("what cannot be lowered is named") {
  const std::array<std::int64_t, 3> input{3, 8, 8};
  const std::vector<std::int64_t> one{1}, none{0};
  FunctionNetwork* self = nullptr;
  const auto refuses = [&](const std::function<torch::Tensor(torch::Tensor)>& function, const std::string& word) {
    FunctionNetwork network(function);
    self = &network;
    CHECK_THROWS_WITH(lower(network, input), ContainsSubstring(word));
  };
  const auto head = [&](const torch::Tensor& x) { return torch::linear(x.mean({2, 3}), self->linear_); };
  const auto stem = [&](const torch::Tensor& x) { return torch::conv2d(x, self->weight_); };
  refuses([&](const torch::Tensor& x) { return head(torch::sigmoid(stem(x))); }, "aten::sigmoid");
  refuses(
      [&](const torch::Tensor& x) {
        return head(torch::conv2d(stem(x), self->grouped_, torch::Tensor(), one, none, one, 4));
      },
      "groups");
  refuses([&](const torch::Tensor& x) { return head(torch::conv2d(x, self->weight_ * 2)); }, "aten::mul");
  refuses([&](const torch::Tensor& x) { return stem(x); }, "logits");
  refuses([&](const torch::Tensor& x) { return head(torch::conv2d(x.relu(), self->weight_)); }, "images");
}

TEST_CASE("writing in place changes what is read later, and nothing read before") {
  const torch::NoGradGuard no_gradients;
  FunctionNetwork* self = nullptr;
  FunctionNetwork network([&](const torch::Tensor& images) {
    auto x = torch::conv2d(images, self->weight_);
    const auto pooled = torch::avg_pool2d(x, 2);
    x.relu_();
    const auto both = torch::avg_pool2d(x, 2).add_(pooled);
    return torch::linear(both.mean({2, 3}), self->linear_);
  });
  self = &network;
  const auto graph = std::make_shared<const Graph>(fuse(lower(network, {3, 8, 8})));
  Plan plan(graph, {best_instruction_set(), 4});
  plan.load(tensors_of(state_of(network)));
  const auto images = torch::randn({4, 3, 8, 8});
  CHECK(relative_error(run(plan, images), network.forward(images)) < 1e-5);
}

TEST_CASE("concatenations hold what LibTorch's do, copied or written in place") {
  const torch::NoGradGuard no_gradients;
  const auto kind = GENERATE(as<std::string>(), "a list that grows", "out of order", "before", "behind", "part blocks",
                             "twice", "two places", "alone", "nested");
  FunctionNetwork* self = nullptr;
  FunctionNetwork network([&](const torch::Tensor& images) {
    const auto a = torch::conv2d(images, self->wide_), b = torch::conv2d(images, self->narrow_);
    const auto c = torch::max_pool2d(a, 3, 1, 1), part = torch::conv2d(images, self->weight_);  // 20 channels
    const auto join = [](const std::vector<torch::Tensor>& parts) { return torch::cat(parts, 1); };
    std::vector<torch::Tensor> read;
    if (kind == "a list that grows") read = {join({a, b}), join({a, b, c}), join({a, b, c, part})};
    if (kind == "out of order") read = {join({b, a}), join({a, c}), join({b, c}), join({a, b, c})};
    if (kind == "before") read = {join({b, a}), join({c, join({b, a})}), join({part, c, b})};
    if (kind == "behind") read = {join({join({a, b}), c}), join({join({join({a, b}), c}), part})};
    if (kind == "part blocks") read = {join({a, part}), join({part, a}), join({a, part, b})};
    if (kind == "twice") read = {join({a, a, b}), join({b, c, b}), join({part, a, part})};
    if (kind == "two places") read = {join({a, b}), join({b, a}), join({c, a})};
    if (kind == "alone") read = {join({a}), join({b, part}), join({part})};
    if (kind == "nested") read = {join({join({b, a}), join({c, join({a, b})})})};
    for (torch::Tensor& tensor : read) tensor = torch::max_pool2d(tensor, 2).mean({2, 3});
    for (const torch::Tensor& tensor : {a, b, c, part}) read.push_back(tensor.mean({2, 3}));
    return join(read);
  });
  self = &network;
  const bool large = GENERATE(false, true);  // images run in slices
  const std::int64_t side = large ? 80 : 9;
  const auto graph = std::make_shared<const Graph>(fuse(lower(network, {3, side, side})));
  Plan plan(graph, {best_instruction_set(), 8});
  plan.load(tensors_of(state_of(network)));
  CAPTURE(kind, side);
  for (const std::int64_t count : {8, 3}) {
    const auto images = torch::randn({count, 3, side, side});
    CHECK(relative_error(run(plan, images), network.forward(images)) < 1e-5);
  }
}

TEST_CASE("features that are dead, or that nothing reads, take no digits of others however large they are") {
  const torch::NoGradGuard no_gradients;
  const auto set =
      GENERATE(InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512, InstructionSet::amx);
  if (!is_available(set)) return;
  const bool is_dead = GENERATE(true, false);
  const float large = GENERATE(1e4f, 1e6f, 1e12f);
  const std::int64_t stride = GENERATE(0, 1, 2);  // of the 3x3 convolution; 0: it is of 1x1
  CAPTURE(name_of(set), is_dead, large, stride);
  FunctionNetwork* self = nullptr;
  FunctionNetwork network([&](const torch::Tensor& images) {
    const auto x = torch::conv2d(images, self->spread_).relu();
    const auto y =
        stride == 0 ? torch::conv2d(x, self->point_) : torch::conv2d(x, self->mixing_, torch::Tensor(), stride, 1);
    return torch::linear(y.relu().mean({2, 3}), self->head_);
  });
  self = &network;
  for (const std::int64_t feature : {5, 40}) {
    network.spread_[feature].fill_(is_dead ? 0.0f : large);
    network.mixing_.select(1, feature).fill_(is_dead ? large : 0.0f);
    network.point_.select(1, feature).fill_(is_dead ? large : 0.0f);
  }
  const auto graph = std::make_shared<const Graph>(fuse(lower(network, {3, 8, 8})));
  Plan plan(graph, {set, 4});
  plan.load(tensors_of(state_of(network)));
  const auto images = torch::randn({3, 3, 8, 8});
  const auto logits = run(plan, images);
  network.to(torch::kFloat64);
  CHECK(relative_error(logits, network.forward(images.to(torch::kFloat64))) < 2e-6);
}

TEST_CASE("an image of extreme numbers changes no bit of others") {
  const torch::NoGradGuard no_gradients;
  const auto set = GENERATE(InstructionSet::avx512, InstructionSet::amx);
  if (!is_available(set)) return;
  FunctionNetwork* self = nullptr;
  FunctionNetwork network([&](const torch::Tensor& images) {
    const auto x = torch::conv2d(images, self->spread_).relu();
    const auto y = torch::conv2d(x, self->mixing_, torch::Tensor(), 1, 1).relu_();
    return torch::linear(y.mean({2, 3}), self->head_);
  });
  self = &network;
  // The last channel of the images goes to one feature alone, which nothing reads.
  network.spread_.select(1, 2).zero_();
  network.spread_[7].zero_()[2] = 1.0f;
  network.mixing_.select(1, 7).zero_();
  const auto graph = std::make_shared<const Graph>(fuse(lower(network, {3, 8, 8})));
  Plan plan(graph, {set, 8});
  plan.load(tensors_of(state_of(network)));
  auto images = torch::randn({8, 3, 8, 8});
  const auto before = run(plan, images);
  images[3][2].fill_(1e7f);
  const auto after = run(plan, images);
  const auto others = torch::tensor({0, 1, 2, 4, 5, 6, 7});
  CHECK(torch::equal(before.index_select(0, others), after.index_select(0, others)));
  const auto wanted = network.forward(images);
  CHECK(relative_error(after[3], wanted[3]) < 1e-5);
}
