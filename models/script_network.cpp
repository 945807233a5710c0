#include "models/script_network.h"

#include <ATen/MemoryOverlap.h>
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

namespace lossatlas {
namespace {

/// The child of that name, made where it is not there yet.
torch::nn::Module& child(torch::nn::Module& parent, const std::string& name) {
  for (const auto& entry : parent.named_children()) {
    if (entry.key() == name) return *entry.value();
  }
  return *parent.register_module(name, std::make_shared<torch::nn::Module>());
}

/// Calls add(module, last part of the name) with the module that a dotted name leads to.
template <class Add>
void at_path(torch::nn::Module& root, const std::string& name, const Add& add) {
  torch::nn::Module* module = &root;
  std::size_t begin = 0;
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', begin)) {
    module = &child(*module, name.substr(begin, dot - begin));
    begin = dot + 1;
  }
  add(*module, name.substr(begin));
}

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

bool has_memory(const at::Tensor& tensor) { return tensor.has_storage() && tensor.numel() > 0; }

/// The one of the tensors that is the same memory; null where there is none.
const NamedTensor* find_same(const NamedTensor& wanted, const std::vector<NamedTensor>& tensors) {
  const auto is_same = [&](const at::Tensor& tensor) {
    return has_memory(tensor) && has_memory(wanted.tensor) && tensor.data_ptr() == wanted.tensor.data_ptr() &&
           tensor.scalar_type() == wanted.tensor.scalar_type() && tensor.sizes() == wanted.tensor.sizes() &&
           tensor.strides() == wanted.tensor.strides();
  };
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& known) { return is_same(known.tensor); });
  return found == tensors.end() ? nullptr : &*found;
}

/// The last element in its storage.
std::int64_t last_of(const at::Tensor& tensor) {
  std::int64_t last = tensor.storage_offset();
  for (std::int64_t axis = 0; axis < tensor.dim(); ++axis) last += (tensor.size(axis) - 1) * tensor.stride(axis);
  return last;
}

bool share_numbers(const at::Tensor& a, const at::Tensor& b) {
  if (!has_memory(a) || !has_memory(b) || !a.is_alias_of(b)) return false;
  if (a.element_size() != b.element_size()) return true;
  const std::int64_t last_a = last_of(a), last_b = last_of(b);
  if (last_a < b.storage_offset() || last_b < a.storage_offset()) return false;
  const at::Tensor marks = torch::zeros({std::max(last_a, last_b) + 1}, torch::kBool);
  marks.as_strided(a.sizes(), a.strides(), a.storage_offset()).fill_(true);
  return marks.as_strided(b.sizes(), b.strides(), b.storage_offset()).any().item<bool>();
}

/// Throws Error where moving a parameter would move numbers of another tensor too, which has them in other places.
void check_apart(const NamedTensor& tensor, const std::vector<NamedTensor>& parameters) {
  for (const NamedTensor& parameter : parameters) {
    if (!share_numbers(parameter.tensor, tensor.tensor)) continue;
    throw Error(
        "{} and {} are different views of the same numbers, which cannot be moved one by one; "
        "save the network with a copy, or with one of them alone",
        parameter.name, tensor.name);
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
    check_apart({name, tensor}, parameters);
    if (at::has_internal_overlap(tensor) == at::MemOverlap::Yes) {
      throw Error("{} repeats its own numbers, as after expand(); save the network with a copy of it", name);
    }
    parameters.push_back({name, tensor});
    at_path(*this, name, [&, &value = tensor](torch::nn::Module& module, const std::string& last) {
      module.register_parameter(last, value, value.requires_grad());
    });
  }
  std::vector<NamedTensor> all = parameters;
  for (const auto& [name, tensor] : script_->module.named_buffers()) {
    if (is_alias(name, tensor, all)) continue;
    check_apart({name, tensor}, parameters);
    all.push_back({name, tensor});
    at_path(*this, name, [&, &value = tensor](torch::nn::Module& module, const std::string& last) {
      module.register_buffer(last, value);
    });
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

/// Runs the network on so many images. Throws Error where the result is not a row of logits for each.
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

/// The usual size of a batch that alone a network takes; nothing where it takes several or none.
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
