#include "jobs/layers.h"

#include "jobs/arithmetic.h"

namespace lossatlas {

LayerTimes time_layers(const LayersRequest& request) {
  NetworkSpec spec;
  spec.architecture = request.arch;
  const auto [set, precision] = arithmetic_of(request.instruction_set, request.dtype);
  return time_layers(spec, set, precision, request.batch_size, request.repeats);
}

}  // namespace lossatlas
