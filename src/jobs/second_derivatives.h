#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "curvature/vectors.h"
#include "evaluation/loss_products.h"
#include "evaluation/smoothness.h"
#include "jobs/inputs.h"
#include "jobs/observer.h"
#include "landscape/plane.h"
#include "surface/axis_curvature.h"

namespace lossatlas {

/// Samples differentiated at a time. `asked`: 0 for the usual.
std::int64_t differentiated_batch(std::int64_t asked, const LandscapeInputs& inputs);

/// The state that second derivatives are at: the origin, with batch-norm statistics estimated again where the inputs
/// ask for it, on a device.
NetworkState derivative_point(const LandscapeInputs& inputs, at::Device device);
/// The same of another checkpoint.
NetworkState derivative_point(const LandscapeInputs& inputs, const NetworkState& state, at::Device device);

/// A vector of the parameters at these places as a direction of weights, 0 elsewhere.
Direction direction_of(const Vector& vector, const std::vector<std::size_t>& places, const NetworkTensors& origin);

/// Thrown through an algorithm whose products were stopped.
struct ProductsStopped {};

/// Products without their forms. Throws ProductsStopped.
void multiply(LossProducts& products, std::span<const Vector> in, std::span<Vector> out);

/// If the loss of a sample depends on its batch: that the curvature depends on `batch_size`.
void note_coupling(const LandscapeInputs& inputs, std::int64_t batch, Observer& observer);

/// What the second derivatives of this network leave out, or had to be computed by other operators. Runs the network
/// once.
Smoothness look_at_smoothness(const LandscapeInputs& inputs, const NetworkState& point, std::int64_t batch);
/// Says it.
void note_smoothness(const Smoothness& smoothness, Observer& observer);

/// dᵀHd along each direction, over these samples; nothing if it was stopped. Batches are spread over threads, without
/// changing a bit.
std::optional<std::vector<AutodiffCurvature>> autodiff_curvatures(const LandscapeInputs& inputs, const Plane& plane,
                                                                  const std::shared_ptr<const SampleSource>& samples,
                                                                  int threads, const std::atomic<bool>& stop);

}  // namespace lossatlas
