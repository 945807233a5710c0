#include "models/exported_network.h"

#include <torch/utils.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "models/exported.h"
#include "models/shared_tensors.h"
#include "programs/exported_program.h"
#include "programs/graph_cut.h"

namespace lossatlas {

ExportedNetwork::ExportedNetwork(std::shared_ptr<const ExportedProgram> program) : program_(std::move(program)) {
  std::vector<NamedTensor> parameters, all;  // as the file has them
  std::vector<at::Tensor> own;               // copies of `all`
  for (std::size_t i = 0; i < program_->tensors.size(); ++i) {
    const auto& [kind, name] = program_->graph.inputs()[i];
    const NamedTensor given{name, program_->tensors[i]};
    if (kind == InputKind::user || kind == InputKind::constant) {
      tensors_.push_back(given.tensor);
      continue;
    }
    const bool is_parameter = kind == InputKind::parameter;
    if (const NamedTensor* same = find_same(given, all)) {
      aliases_.push_back({name, same->name});
      tensors_.push_back(own[static_cast<std::size_t>(same - all.data())]);
      continue;
    }
    is_parameter ? check_movable(given, parameters) : check_apart(given, parameters);
    if (is_parameter) parameters.push_back(given);
    all.push_back(given);
    own.push_back(given.tensor.clone(at::MemoryFormat::Contiguous));
    tensors_.push_back(own.back());
    is_parameter ? add_parameter(*this, {name, own.back()}, given.tensor.is_floating_point())
                 : add_buffer(*this, {name, own.back()});
  }
}

torch::Tensor ExportedNetwork::forward(torch::Tensor images) {
  // A graph for any number of images may be true for two or more alone.
  if (images.size(0) == 1 && !program_->sizes.front().is_fixed)
    return forward(torch::cat({images, images})).narrow(0, 0, 1);
  std::vector<at::Tensor> inputs;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const InputKind kind = program_->graph.inputs()[i].kind;
    if (kind == InputKind::constant) tensors_[i] = tensors_[i].to(images.device());
    // A state is of float32, whatever the network computes in.
    inputs.push_back(kind == InputKind::user ? images : tensors_[i].to(program_->tensors[i].scalar_type()));
  }
  return program_->graph.run(inputs, images.device()).front();
}

std::shared_ptr<torch::jit::Graph> ExportedNetwork::script_graph() const {
  return script_graph_of(program_->graph, tensors_);
}

NetworkTensors exported_state(std::shared_ptr<const ExportedProgram> program) {
  return state_of(ExportedNetwork(std::move(program)));
}

namespace {

/// What `call` gives, with the file's name in whatever Error it throws.
template <class Call>
auto named(const NetworkSpec& spec, const Call& call) {
  try {
    return call();
  } catch (const Error& error) {
    throw Error("{}: {}", spec.script.string(), error.what());
  }
}

void check_images(const NetworkSpec& spec) {
  for (std::size_t axis = 0; axis < spec.input.size(); ++axis) {
    const auto& [size, is_fixed] = spec.exported->sizes[axis + 1];
    if (!is_fixed || size == spec.input[axis]) continue;
    const auto& sizes = spec.exported->sizes;
    throw Error("the network takes images of {}x{}x{}, these are {}", sizes[1].size, sizes[2].size, sizes[3].size,
                fmt::join(spec.input, "x"));
  }
}

/// Throws Error if the network does not give a row of logits for each image.
at::Tensor logits_of(ExportedNetwork& network, const NetworkSpec& spec, const at::Tensor& images) {
  at::Tensor logits;
  try {
    logits = network.forward(images.clone());  // it may write into them
  } catch (const std::exception& error) {
    throw Error("cannot run on {} images of {} ({})", images.size(0), fmt::join(spec.input, "x"),
                reason_of(error.what()));
  }
  if (logits.dim() != 2 || logits.size(0) != images.size(0) || logits.size(1) < spec.classes) {
    throw Error("gives [{}] for {} images, not [images, classes] with {} classes or more",
                fmt::join(logits.sizes(), ", "), images.size(0), spec.classes);
  }
  return logits;
}

/// The same of a few images, with what to do where only the batch size of the export is taken.
at::Tensor logits_of_few(ExportedNetwork& network, const NetworkSpec& spec, const at::Tensor& images) {
  try {
    return logits_of(network, spec, images);
  } catch (const Error&) {
    const auto [count, is_fixed] = spec.exported->sizes.front();
    if (!is_fixed || count < 1 || count > 1024) throw;
    logits_of(network, spec, images.narrow(0, 0, 1).expand({count, -1, -1, -1}).contiguous());  // or its own Error
    throw Error(
        "takes a batch of {} alone, with which it was exported; export it with two images or more and "
        "dynamic_shapes=({{0: torch.export.Dim.DYNAMIC}},)",
        count);
  }
}

/// Counts what was written into the tensor.
std::uint32_t version_of(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<std::uint32_t>(tensor._version()) : 0;
}

void check_unchanged(const ExportedNetwork& network, const std::vector<std::uint32_t>& versions,
                     const ExportedProgram& program) {
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (version_of(network.tensors()[i]) == versions[i]) continue;
    throw Error("the network changes its {} when it runs; call model.eval() before torch.export.export",
                program.graph.inputs()[i].name);
  }
}

}  // namespace

std::shared_ptr<Network> make_exported_network(const NetworkSpec& spec) {
  return named(spec, [&] { return std::make_shared<ExportedNetwork>(spec.exported); });
}

void check_exported_network(const NetworkSpec& spec) {
  const torch::NoGradGuard no_gradients;
  named(spec, [&] {
    check_images(spec);
    ExportedNetwork network(spec.exported);
    const auto [channels, height, width] = spec.input;
    constexpr std::int64_t kImages = 3;
    const at::Tensor images = torch::arange(kImages * channels * height * width)
                                  .remainder(251)
                                  .div(125)
                                  .sub(1)
                                  .view({kImages, channels, height, width});
    std::vector<std::uint32_t> versions;
    for (const at::Tensor& tensor : network.tensors()) versions.push_back(version_of(tensor));
    const at::Tensor three = logits_of_few(network, spec, images);
    check_unchanged(network, versions, *spec.exported);
    const at::Tensor two = logits_of_few(network, spec, images.narrow(0, 1, 2));
    constexpr double kTolerance = 1e-3;  // of the largest logit: another function, not a rounding
    const double difference = three.narrow(0, 1, 2).sub(two).abs().max().item<double>();
    if (difference > kTolerance * two.abs().max().item<double>()) {
      throw Error(
          "the logits of an image depend on the others of its batch; call model.eval() before "
          "torch.export.export");
    }
  });
}

}  // namespace lossatlas
