#include "models/script_network.h"

#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/utils.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "models/script.h"
#include "models/shared_tensors.h"

namespace lossatlas {
namespace {

/// Through which LibTorch reads bytes in memory.
class BytesAdapter : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit BytesAdapter(const std::string& bytes) : bytes_(bytes) {}

  std::size_t size() const override { return bytes_.size(); }
  std::size_t read(std::uint64_t position, void* buffer, std::size_t count, const char* /*what*/) const override {
    return bytes_.copy(static_cast<char*>(buffer), count, std::min<std::uint64_t>(position, bytes_.size()));
  }

 private:
  const std::string& bytes_;
};

/// LibTorch throws c10::Error, the errors of its parser, and those of the standard library.
torch::jit::Module load_script(const std::string& bytes) {
  try {
    return torch::jit::load(std::make_shared<BytesAdapter>(bytes), torch::kCPU);
  } catch (const std::exception& error) {
    throw Error("no TorchScript module can be read ({})", reason_of(error.what()));
  }
}

/// Makes the attribute that a dotted name leads to another tensor.
void replace(const torch::jit::Module& root, const std::string& name, const at::Tensor& tensor) {
  torch::jit::Module owner = root;
  std::size_t begin = 0;
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', begin)) {
    owner = owner.attr(name.substr(begin, dot - begin)).toModule();
    begin = dot + 1;
  }
  owner.setattr(name.substr(begin), tensor);
}

}  // namespace

struct ScriptNetwork::Script {
  torch::jit::Module module;
};

// Tensors that are the same memory become one tensor, under its first name. They are the script's own, so that whatever
// is done to them is done to the script.
ScriptNetwork::ScriptNetwork(const std::string& bytes) : script_(std::make_unique<Script>(Script{load_script(bytes)})) {
  const auto forward = script_->module.find_method("forward");
  if (!forward || forward->num_inputs() != 2) {  // the module itself counts
    throw Error("has no forward() of one batch of images");
  }
  std::vector<NamedTensor> parameters;
  const auto is_alias = [&](const std::string& name, const at::Tensor& tensor, const std::vector<NamedTensor>& known) {
    const NamedTensor* same = find_same({name, tensor}, known);
    if (!same) return false;
    replace(script_->module, name, same->tensor);
    aliases_.push_back({name, same->name});
    return true;
  };
  for (const auto& [name, tensor] : script_->module.named_parameters()) {
    if (is_alias(name, tensor, parameters)) continue;
    check_movable({name, tensor}, parameters);
    parameters.push_back({name, tensor});
    add_parameter(*this, {name, tensor}, tensor.requires_grad());
  }
  std::vector<NamedTensor> all = parameters;
  for (const auto& [name, tensor] : script_->module.named_buffers()) {
    if (is_alias(name, tensor, all)) continue;
    check_apart({name, tensor}, parameters);
    all.push_back({name, tensor});
    add_buffer(*this, {name, tensor});
  }
  for (const auto& [name, value] : script_->module.named_attributes()) {  // of neither kind, too
    if (!value.isTensor()) continue;
    if (const NamedTensor* same = find_same({name, value.toTensor()}, all)) {
      replace(script_->module, name, same->tensor);
    } else {
      check_apart({name, value.toTensor()}, parameters);
    }
  }
}

ScriptNetwork::~ScriptNetwork() = default;

torch::Tensor ScriptNetwork::forward(torch::Tensor images) {
  const auto result = script_->module.forward({std::move(images)});
  if (!result.isTensor()) throw Error("the TorchScript network's result is a {}, not logits", result.tagKind());
  return result.toTensor();
}

void ScriptNetwork::train(bool on) {
  Network::train(on);
  script_->module.train(on);
}

std::shared_ptr<torch::jit::Graph> ScriptNetwork::frozen_graph() const {
  auto module = script_->module.clone(/*inplace=*/true);
  module.eval();
  try {
    return torch::jit::freeze_module(module).get_method("forward").graph();
  } catch (const std::exception&) {  // a module that LibTorch does not freeze
    auto graph = module.get_method("forward").graph()->copy();
    torch::jit::Inline(*graph);
    return graph;
  }
}

NetworkTensors read_script_state(const std::string& bytes) { return state_of(ScriptNetwork(bytes)); }

namespace {

/// Runs the network on so many images. Throws Error if the result is not a row of logits for each.
void check_run(ScriptNetwork& network, const NetworkSpec& spec, std::int64_t images) {
  const auto [channels, height, width] = spec.input;
  torch::Tensor logits;
  try {
    logits = network.forward(torch::zeros({images, channels, height, width}));
  } catch (const std::exception& error) {
    throw Error("cannot run on {} images of {}x{}x{} ({})", images, channels, height, width, reason_of(error.what()));
  }
  if (logits.dim() != 2 || logits.size(0) != images || logits.size(1) < spec.classes) {
    throw Error("gives [{}] for {} images, not [images, classes] with {} classes or more",
                fmt::join(logits.sizes(), ", "), images, spec.classes);
  }
}

/// The usual size of a batch that alone a network takes; nothing if it takes several or none.
std::optional<std::int64_t> only_batch_size(ScriptNetwork& network, const NetworkSpec& spec) {
  std::vector<std::int64_t> sizes;
  for (const std::int64_t images : {1, 2, 3, 4, 8, 10, 16, 32, 50, 64, 100, 128, 256}) {
    try {
      check_run(network, spec, images);
      sizes.push_back(images);
    } catch (const Error&) {
    }
  }
  return sizes.size() == 1 ? std::optional(sizes.front()) : std::nullopt;
}

}  // namespace

std::shared_ptr<Network> make_script_network(const NetworkSpec& spec) {
  try {
    auto network = std::make_shared<ScriptNetwork>(*spec.script_bytes);
    const torch::NoGradGuard no_gradients;
    network->eval();
    try {
      for (const std::int64_t images : {2, 3}) check_run(*network, spec, images);
    } catch (const Error&) {
      if (const auto size = only_batch_size(*network, spec)) {
        throw Error(
            "takes a batch of {} alone: it was traced with this size written into it, as by x.view({}, -1); "
            "trace it again with x.flatten(1)",
            *size, *size);
      }
      throw;
    }
    network->train();
    return network;
  } catch (const Error& error) {
    throw Error("{}: {}", spec.script.string(), error.what());
  }
}

}  // namespace lossatlas
