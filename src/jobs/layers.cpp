#include "jobs/layers.h"

#include "base/error.h"
#include "evaluation/classifier.h"
#include "evaluation/graph_problem.h"
#include "jobs/arithmetic.h"
#include "models/network.h"
#include "models/registry.h"

namespace lossatlas {

LayerTimes time_layers(const LayersRequest& request) {
  if (!request.arch.empty() && !request.problem.empty()) throw UsageError("`arch`: a problem file holds its network");
  if (request.arch.empty() && request.problem.empty()) {
    throw UsageError("what is timed? Name it with `arch` (`lossatlas info --archs` lists them), or with `problem`");
  }
  const auto [set, precision] = arithmetic_of(request.instruction_set, request.dtype);
  if (!request.problem.empty()) {
    const auto file = std::make_shared<const ProblemFile>(request.problem);
    const NetworkState state = copy_state(state_of(*file), at::kCPU);
    file->check_members();
    return time_layers(*make_problem(file), state, set, precision, request.batch_size, request.repeats);
  }
  NetworkSpec spec;
  spec.architecture = request.arch;
  const auto network = make_network(spec);
  return time_layers(*make_classifier(spec), state_of(*network), set, precision, request.batch_size, request.repeats);
}

}  // namespace lossatlas
