#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "fused/graph.h"
#include "kernels/kernels.h"

namespace lossatlas {

/// The tensors of a state by their TensorIndex: float32, contiguous; null if a tensor holds no floats.
using Tensors = std::vector<const float*>;

/// Of each channel: the mean over images and pixels, and the sum of squared differences from it.
struct Moments {
  std::int64_t count = 0;  // images times pixels
  std::vector<double> means, squares;

  /// Takes in those of other images (Chan et al. 1979, "Updating formulae and a pairwise algorithm for computing sample
  /// variances").
  void add(const Moments& more);
};

/// What steps read and write while a plan runs.
struct StepMemory {
  std::int64_t first = 0;           // image of the batch, with which the slice begins
  PlanarImages images;              // the input
  std::vector<Activations> values;  // by node
  std::vector<Moments> moments;     // by node, of the batch so far
  float* scratch = nullptr;
};

/// One operation of a plan, with its parameters in the form that its kernel requires.
class Step {
 public:
  virtual ~Step() = default;
  /// Takes the parameters of a point.
  virtual void load(const Tensors&, float* /*scratch*/) {}
  virtual void run(StepMemory& memory) = 0;
  /// How the operation is done, in a word: "winograd 4x4".
  virtual std::string_view method() const { return ""; }
  /// Floats of scratch memory that load() uses, and run() for a slice of so many images.
  virtual std::size_t scratch(std::int64_t) const { return 0; }
  /// Floats of parameters that run() reads.
  virtual std::size_t weights() const { return 0; }
};

/// The step for a node, not the input, of a fused graph. `graph` and `kernels` outlive the step.
std::unique_ptr<Step> make_step(const Graph& graph, std::size_t node, const Kernels& kernels);

/// Sums of products: convolutions and linear layers.
std::unique_ptr<Step> make_product_step(const Graph& graph, std::size_t node, const Kernels& kernels);

/// A batch norm as one factor and one summand a channel, filled up with zeros to whole blocks.
struct ScaleAndShift {
  std::vector<float> scale, shift;
};
ScaleAndShift fold(const BatchNorm& norm, const Tensors& tensors, std::int64_t channels);
/// With these moments for its statistics, as in training mode.
ScaleAndShift fold(const BatchNorm& norm, const Tensors& tensors, std::int64_t channels, const Moments& moments);

}  // namespace lossatlas
