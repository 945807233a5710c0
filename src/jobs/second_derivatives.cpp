#include "jobs/second_derivatives.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/error.h"
#include "curvature/curvature_file.h"
#include "curvature/vectors.h"

namespace lossatlas {
namespace {

/// The numbers of a direction's parameters, one after the other.
Vector vector_of(const Direction& direction) {
  Vector vector;
  for (const NamedTensor& parameter : direction.parameters) {
    const at::Tensor numbers = parameter.tensor.to(at::kCPU).contiguous();
    const auto from = numbers_of(numbers);
    vector.insert(vector.end(), from.begin(), from.end());
  }
  return vector;
}

/// Small enough for a standard error from batch means.
std::int64_t batch_for_errors(std::int64_t samples, const LandscapeInputs& inputs) {
  constexpr std::int64_t kBatches = 16;
  const std::int64_t usual = differentiated_batch(0, inputs);
  if (inputs.file && (inputs.file->is_fixed_batch() || inputs.file->is_coupled())) return usual;
  return std::clamp<std::int64_t>(samples / kBatches, 1, usual);
}

}  // namespace

std::int64_t differentiated_batch(std::int64_t asked, const LandscapeInputs& inputs) {
  constexpr std::int64_t kUsual = 32;  // double backward keeps two to three times what a gradient does
  if (inputs.file && (inputs.file->is_fixed_batch() || inputs.file->is_coupled())) return inputs.file->batch_size();
  if (asked > 0) return asked;
  return inputs.file ? std::min(kUsual, inputs.file->batch_size()) : kUsual;
}

NetworkState derivative_point(const LandscapeInputs& inputs, at::Device device) {
  return derivative_point(inputs, inputs.origin, device);
}

NetworkState derivative_point(const LandscapeInputs& inputs, const NetworkState& state, at::Device device) {
  NetworkState point = copy_state(state, device);
  if (!inputs.recalibration) return point;
  return copy_state(inputs.problem->make_recalibration(inputs.recalibration, device)->apply(point), device);
}

Direction direction_of(const Vector& vector, const std::vector<std::size_t>& places, const NetworkTensors& origin) {
  Direction direction = zeros_like(origin, StatePart::parameters);
  auto from = vector.begin();
  for (const std::size_t place : places) {
    const auto to = numbers_of(direction.parameters[place].tensor);
    std::copy_n(from, to.size(), to.begin());
    from += static_cast<std::ptrdiff_t>(to.size());
  }
  return direction;
}

void multiply(LossProducts& products, std::span<const Vector> in, std::span<Vector> out) {
  std::vector<std::vector<double>> forms(in.size());
  if (!products.multiply(in, out, forms)) throw ProductsStopped();
}

void note_coupling(const LandscapeInputs& inputs, std::int64_t batch, Observer& observer) {
  const std::string coupling = inputs.problem->coupling();
  if (coupling.empty()) return;
  observer.on_note(fmt::format("note: {}: {}, so the curvature depends on `batch_size` (here {})",
                               inputs.checkpoint.string(), coupling, batch));
}

Smoothness look_at_smoothness(const LandscapeInputs& inputs, const NetworkState& point, std::int64_t batch) {
  const auto program = inputs.problem->make_program(point.flat.device());
  const std::int64_t count = std::min(batch, inputs.file && inputs.file->is_fixed_batch() ? batch : 2);
  return smoothness_of(*program, *inputs.problem->criterion(),
                       inputs.images.source->batch(0, std::min(count, inputs.images.source->size())), point);
}

void note_smoothness(const Smoothness& smoothness, Observer& observer) {
  if (smoothness.has_attention) {
    observer.on_note(
        "note: attention is computed as products and a softmax (LibTorch's math path): its fused form has no second "
        "derivative");
  }
  if (smoothness.kinks.empty()) return;
  observer.on_note(fmt::format(
      "note: the network has {}, whose slope jumps. Second derivatives by autodiff, as here, leave the jumps out: the "
      "surface itself curves more",
      fmt::join(smoothness.kinks, ", ")));
}

std::optional<std::vector<AutodiffCurvature>> autodiff_curvatures(const LandscapeInputs& inputs, const Plane& plane,
                                                                  const std::shared_ptr<const SampleSource>& samples,
                                                                  int threads, const std::atomic<bool>& stop) {
  const int operator_threads = at::get_num_threads();
  at::set_num_threads(threads);
  const NetworkState point = derivative_point(inputs, plane.origin.flat.device());
  LossProducts products(*inputs.problem, samples, point,
                        {.batch_size = batch_for_errors(samples->size(), inputs), .threads = threads, .stop = &stop});
  std::vector<AutodiffCurvature> found;
  for (const Direction& direction : plane.directions) {  // one at a time: memory
    const std::vector<Vector> in{vector_of(direction)};
    std::vector<Vector> out(1);
    std::vector<std::vector<double>> forms(1);
    if (!products.multiply(in, out, forms)) break;
    const double error = error_over_batches(forms[0], products.batch_weights(), static_cast<double>(samples->size()),
                                            static_cast<double>(std::max(inputs.images.population, samples->size())));
    found.push_back({dot(in[0], out[0]), error});
  }
  at::set_num_threads(operator_threads);
  if (found.size() < plane.directions.size()) return std::nullopt;
  return found;
}

}  // namespace lossatlas
