#include "evaluation/classifier.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "evaluation/engines/fused.h"
#include "fused/lowering.h"
#include "models/exported_network.h"
#include "models/registry.h"
#include "models/script_graph.h"
#include "models/script_network.h"

namespace lossatlas {
namespace {

class Classifier : public Problem {
 public:
  Classifier(const NetworkSpec& network, LossFunction loss, const Extras& extras)
      : network_(network), criterion_(make_class_criterion(loss, extras, network.classes)) {
    if (network.exported) check_exported_network(network);
    if (!network.script_bytes) return;  // a network of ours is in evaluation mode
    mode_ = training_mode_of(ScriptNetwork(*network.script_bytes));
    if (mode_.random.empty()) return;
    throw Error(
        "{}: the network draws random numbers ({}), so its loss differs from run to run; call model.eval() before "
        "torch.jit.trace",
        network.script.string(), mode_.random);
  }

  const std::string& name() const override { return network_.architecture; }
  std::shared_ptr<const Criterion> criterion() const override { return criterion_; }
  std::unique_ptr<Program> make_program(at::Device) const override { return lossatlas::make_program(network_); }
  std::string coupling() const override {
    return mode_.uses_batch_statistics ? "a batch norm uses the statistics of each batch" : "";
  }

  void check_fit(const SampleSource& samples) const override {
    const DataSet& data = dynamic_cast<const Images&>(samples).data();
    if (data.shape != network_.input) {
      throw Error("the images are {} in shape, the network takes {}", fmt::join(data.shape, "x"),
                  fmt::join(network_.input, "x"));
    }
    if (data.classes > network_.classes) {
      throw Error("{} has {} classes, the network distinguishes {}", data.name, data.classes, network_.classes);
    }
  }

  FusedPart lower() const override {
    const auto network = make_network(network_);
    return {make_fused_graph(*network, network_.input), criterion_};
  }

  std::shared_ptr<const Graph> lower_for_recalibration() const override { return make_recalibration_graph(network_); }
  void check_recalibration() const override { lossatlas::check_recalibration(network_); }
  std::unique_ptr<Recalibration> make_recalibration(std::shared_ptr<const SampleSource> samples,
                                                    at::Device device) const override {
    return make_eager_recalibration(network_, std::move(samples), device);
  }

 private:
  NetworkSpec network_;
  std::shared_ptr<const Criterion> criterion_;
  TrainingMode mode_;
};

}  // namespace

std::shared_ptr<const Problem> make_classifier(const NetworkSpec& network, LossFunction loss, const Extras& extras) {
  return std::make_shared<Classifier>(network, loss, extras);
}

std::string why_not_fused(const NetworkSpec& network) { return why_not_fused(*make_classifier(network)); }

std::string why_not_fused(const Problem& problem) {
  try {
    problem.lower();
    return "";
  } catch (const CannotLower& reason) {
    return reason.what();
  }
}

bool gives_probabilities(const NetworkSpec& spec, const SampleSource& images) {
  if (spec.script.empty()) return false;
  const at::NoGradGuard no_gradients;
  constexpr std::int64_t kFew = 8;
  const at::Tensor rows = make_program(spec)->run(images.batch(0, std::min(kFew, images.size())));
  return rows.min().item<double>() >= 0 && rows.sum(1).sub(1).abs().max().item<double>() < 1e-3;
}

}  // namespace lossatlas
