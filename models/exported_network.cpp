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
  // torch.export distinguishes one from more, and may not say so.
  const auto [example, given, most] = program_->sizes.front();
  const std::int64_t least = most > 1 ? std::max<std::int64_t>(given, 2) : given, all = images.size(0);
  std::vector<at::Tensor> logits;
  for (std::int64_t first = 0; first < all;) {
    const std::int64_t count = std::min(all - first, most), missing = std::max<std::int64_t>(least - count, 0);
    at::Tensor batch = images.narrow(0, first, count);
    if (missing > 0) batch = torch::cat({batch, batch.narrow(0, 0, 1).expand({missing, -1, -1, -1})});
    logits.push_back(run(batch));
    if (missing > 0) logits.back() = logits.back().narrow(0, 0, count);
    first += count;
  }
  return logits.size() == 1 ? logits.front() : torch::cat(logits);
}

torch::Tensor ExportedNetwork::run(const torch::Tensor& images) {
  std::vector<at::Tensor> inputs;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const InputKind kind = program_->graph.inputs()[i].kind;
    if (kind == InputKind::constant) tensors_[i] = tensors_[i].to(images.device());
    // A state is of float32, whatever the network computes in.
    inputs.push_back(kind == InputKind::user ? images : tensors_[i].to(program_->tensors[i].scalar_type()));
  }
  at::Tensor logits = program_->graph.run(inputs, images.device()).front();
  if (logits.dim() != 2 || logits.size(0) != images.size(0)) {
    throw Error("gives [{}] for {} images, not [images, classes]", fmt::join(logits.sizes(), ", "), images.size(0));
  }
  return logits;
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
    const auto& [example, least, most] = spec.exported->sizes[axis + 1];
    if (least <= spec.input[axis] && spec.input[axis] <= most) continue;
    const auto& sizes = spec.exported->sizes;
    throw Error("the network takes images of {}x{}x{}, these are {}", sizes[1].example, sizes[2].example,
                sizes[3].example, fmt::join(spec.input, "x"));
  }
}

/// Throws Error if the network does not give a row of logits for each image.
at::Tensor logits_of(ExportedNetwork& network, const NetworkSpec& spec, const at::Tensor& images) {
  at::Tensor logits;
  try {
    logits = network.forward(images.clone());  // it may write into them
  } catch (const std::exception& error) {
    throw Error("cannot run on images of {} ({})", fmt::join(spec.input, "x"), reason_of(error.what()));
  }
  if (logits.size(1) >= spec.classes) return logits;
  throw Error("gives {} logits for each image, not those of {} classes", logits.size(1), spec.classes);
}

/// Once it has run: throws Error if it changes its own tensors.
void check_unchanged(const ExportedGraph& graph) {
  for (std::size_t i = 0; i < graph.inputs().size(); ++i) {
    const GraphInput& input = graph.inputs()[i];
    if (input.kind == InputKind::user || !graph.has_written(i)) continue;
    throw Error("the network changes its {} when it runs; call model.eval() before torch.export.export", input.name);
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
    const at::Tensor three = logits_of(network, spec, images);
    check_unchanged(spec.exported->graph);
    const at::Tensor two = logits_of(network, spec, images.narrow(0, 1, 2));
    constexpr double kTolerance = 1e-3;  // of the largest logit: another function, not a rounding
    const double difference = three.narrow(0, 1, 2).sub(two).abs().max().item<double>();
    if (difference > kTolerance * two.abs().max().item<double>()) {
      throw Error(
          "the logits of an image depend on the others of its batch; call model.eval() before torch.export.export, or "
          "write a problem file");
    }
  });
}

}  // namespace lossatlas
