#include "models/script_network.h"

#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/utils.h>

#include <algorithm>
#include <exception>
#include <string>

#include "base/error.h"
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

std::string first_line(const std::string& text) {
  const std::size_t begin = std::min(text.find_first_not_of('\n'), text.size());
  return text.substr(begin, text.find('\n', begin) - begin);
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
  std::string reason;
  try {
    return torch::jit::load(std::make_shared<BytesAdapter>(bytes), torch::kCPU);
  } catch (const c10::Error& error) {
    reason = first_line(error.what_without_backtrace());
  } catch (const std::exception& error) {
    reason = first_line(error.what());
  }
  throw Error("no TorchScript module can be read ({})", reason);
}

}  // namespace

struct ScriptNetwork::Script {
  torch::jit::Module module;
};

// The tensors are the script's own, so that whatever is done to them is done to the script.
ScriptNetwork::ScriptNetwork(const std::string& bytes)
    : script_(std::make_unique<Script>(Script{load_script(bytes)})) {
  const auto forward = script_->module.find_method("forward");
  if (!forward || forward->num_inputs() != 2) {  // the module itself counts
    throw Error("has no forward() of one batch of images");
  }
  for (const auto& entry : script_->module.named_parameters()) {
    at_path(*this, entry.name, [&](torch::nn::Module& module, const std::string& name) {
      module.register_parameter(name, entry.value, entry.value.requires_grad());
    });
  }
  for (const auto& entry : script_->module.named_buffers()) {
    at_path(*this, entry.name,
            [&](torch::nn::Module& module, const std::string& name) { module.register_buffer(name, entry.value); });
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
  return torch::jit::freeze_module(module).get_method("forward").graph();
}

NetworkState read_script_state(const std::string& bytes) { return state_of(ScriptNetwork(bytes)); }

std::shared_ptr<Network> make_script_network(const NetworkSpec& spec) {
  auto network = std::make_shared<ScriptNetwork>(*spec.script_bytes);
  const torch::NoGradGuard no_gradients;
  network->eval();
  torch::Tensor logits;
  try {
    logits = network->forward(torch::zeros({2, spec.input[0], spec.input[1], spec.input[2]}));
  } catch (const std::exception& error) {
    throw Error("{}: cannot run on images of {}x{}x{} ({})", spec.script.string(), spec.input[0], spec.input[1],
                spec.input[2], first_line(error.what()));
  }
  if (logits.dim() != 2 || logits.size(0) != 2 || logits.size(1) < spec.classes) {
    throw Error("{}: gives [{}] for two images, not [2, classes] with {} classes or more", spec.script.string(),
                fmt::join(logits.sizes(), ", "), spec.classes);
  }
  network->train();
  return network;
}

}  // namespace lossatlas
