#include "evaluation/objective.h"

#include <ATen/core/grad_mode.h>

#include <stdexcept>

namespace lossatlas {

Objective::Objective(std::shared_ptr<const Criterion> criterion, std::shared_ptr<const SampleSource> samples,
                     std::int64_t batch_size)
    : criterion_(std::move(criterion)), samples_(std::move(samples)), batch_size_(batch_size) {}

Measurement Objective::evaluate(const NetworkTensors& state, SampleRange range, const Wanted& wanted) {
  const at::NoGradGuard no_gradients;
  load(state);
  Measurement sum(criterion_->measures().size());
  add(*samples_, range, sum, wanted);
  return sum;
}

void Objective::add(const SampleSource& samples, SampleRange range, Measurement& sum, const Wanted& wanted) {
  if (wanted.gradient && !capabilities().gradient) throw std::logic_error("Objective: no gradient");
  if (!wanted.products.empty() && !capabilities().hessian_vector) throw std::logic_error("Objective: no Hessian");
  const at::AutoGradMode gradients(wanted.differentiates());
  Tally tally(sum, wanted.each);
  add_batches(samples, range, tally, wanted);
}

}  // namespace lossatlas
