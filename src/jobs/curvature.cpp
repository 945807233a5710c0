#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/names.h"
#include "base/process.h"
#include "curvature/product_journal.h"
#include "evaluation/device.h"
#include "jobs/curvature_run.h"
#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "jobs/landscape_run.h"
#include "jobs/rank_run.h"
#include "jobs/run_files.h"
#include "jobs/scale_trace.h"
#include "jobs/second_derivatives.h"
#include "jobs/shared_products.h"
#include "jobs/sharpness.h"
#include "landscape/direction_file.h"
#include "landscape/parameter_choice.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr NameTable<CurvatureMatrix, 2> kMatrices{
    {{CurvatureMatrix::hessian, "hessian"}, {CurvatureMatrix::gauss_newton, "gauss-newton"}}};

/// What was checked without a file.
struct CheckedCurvature {
  CurvatureRequest request;
  LandscapeOptions landscape;
  CurvatureMatrix matrix;
  std::vector<std::string> notes;
};

void check_engine(const LandscapeRequest& request, const LandscapeOptions& options) {
  if (options.engine == EngineChoice::fused || options.arithmetic.precision != Precision::fp32) {
    throw UsageError("`{}` {}: second derivatives are computed by LibTorch in fp32, with `engine` auto or eager",
                     options.engine == EngineChoice::fused ? "engine" : "dtype",
                     options.engine == EngineChoice::fused ? request.engine : request.dtype);
  }
}

CheckedCurvature check(CurvatureRequest request) {
  LandscapeRequest& landscape = request.landscape;
  const LandscapeOptions options = check(landscape);
  CheckedCurvature checked{request, options, kMatrices.parse("`operator`", request.matrix), {}};
  check_engine(landscape, options);
  if (options.second) throw UsageError("`split` both: curvature is that of one split; choose train or test");
  if (request.largest + request.smallest + request.trace_probes + request.density_probes + request.scale_probes == 0) {
    throw UsageError("`top`, `low`, `trace`, `density` and `scale_curvature` are 0: nothing is left to compute");
  }
  if (!request.save_directions.empty() && request.largest + request.smallest == 0) {
    throw UsageError("`save_directions`: requires `top` or `low` above 0");
  }
  if (!request.save_directions.empty() && landscape.resume && std::filesystem::exists(request.save_directions)) {
    throw Error("{}: exists; choose another `save_directions`", request.save_directions.string());
  }
  if (landscape.step > 0 && request.scale_probes == 0) throw UsageError("`step`: requires `scale_curvature` above 0");
  if (request.density_steps < 2) throw UsageError("`density_steps` {}: requires 2 or more", request.density_steps);
  if (!(request.tolerance > 0 && request.tolerance < 1)) {
    throw UsageError("`tolerance` {}: requires a number between 0 and 1", request.tolerance);
  }
  if (!(request.threshold >= 0)) throw UsageError("`threshold` {}: requires a number of 0 or more", request.threshold);
  auto& checkpoint = checked.request.landscape.checkpoint;
  if (checkpoint.empty()) checkpoint = landscape.problem;
  if (checkpoint.empty()) throw UsageError(kNoCheckpoint);
  checkpoint = checkpoint_of(checkpoint, checked.notes);
  checked.landscape.engine = EngineChoice::eager;
  checked.request.landscape.engine = "eager";
  return checked;
}

json settings_of(const CheckedCurvature& checked, const LandscapeInputs& inputs, const Engine& engine) {
  const CurvatureRequest& request = checked.request;
  Settings settings = settings_of(request.landscape, checked.landscape, inputs, engine);
  settings.kind = "curvature";
  settings.seed = request.seed;
  json all = json_of(settings);
  all.update({{"operator", request.matrix},
              {"top", request.largest},
              {"low", request.smallest},
              {"tolerance", request.tolerance},
              {"most_products", request.most_products},
              {"trace", request.trace_probes},
              {"by_module", request.by_module},
              {"density", request.density_probes},
              {"density_steps", request.density_steps},
              {"threshold", request.threshold},
              {"parameters", request.parameters.empty() ? json(nullptr) : json(request.parameters)}});
  if (request.scale_probes > 0) {
    all["scale_curvature"] = request.scale_probes;
    all["step"] = request.landscape.step > 0 ? json(request.landscape.step) : json(nullptr);
  }
  return all;
}

/// The fastest one, for the trace at scale h; the batch-norm statistics of the point stay as they are.
Engine forward_engine(const CheckedCurvature& checked, const LandscapeInputs& inputs, at::Device device) {
  LandscapeOptions options = checked.landscape;
  options.engine = EngineChoice::automatic;
  return make_engine(checked.request.landscape, options, inputs, device).plain().for_differences();
}

CurvatureRecord begin_record(const CheckedCurvature& checked, const LandscapeInputs& inputs, const Engine& engine,
                             const std::vector<std::size_t>& places, const Caller& caller) {
  CurvatureRecord record;
  std::size_t first = 0;
  for (const std::size_t place : places) {
    const auto& [name, tensor] = inputs.origin.parameters[place];
    record.parameters.push_back(name);
    record.places.push_back({first, static_cast<std::size_t>(tensor.numel())});
    first += record.places.back().count;
  }
  record.samples = inputs.images.samples;
  record.population = inputs.images.population;
  record.threshold = checked.request.threshold;
  record.settings = settings_of(checked, inputs, engine);
  record.provenance = {{"command", caller.command},
                       {"version", caller.version},
                       {"started", utc_now()},
                       {"threads", checked.request.landscape.threads}};
  return record;
}

/// The eigenvectors as directions of weights, of unit length.
void save_directions(const std::filesystem::path& file, const Eigenpairs& pairs, const std::vector<std::size_t>& places,
                     const LandscapeInputs& inputs) {
  std::vector<Direction> directions;
  for (const Vector& vector : pairs.vectors) directions.push_back(direction_of(vector, places, inputs.origin));
  check_writable(file);
  write_directions(file, directions);
}

Outcome run(CheckedCurvature checked, const Caller& caller, Observer& observer) {
  for (const std::string& note : checked.notes) observer.on_note("note: " + note);
  CurvatureRequest& request = checked.request;
  LandscapeRequest& landscape = request.landscape;
  const auto device = open_device(landscape.device);
  const LandscapeInputs inputs = read_inputs(landscape, checked.landscape, landscape.checkpoint, device, observer);
  if (leads(caller.ranks)) check_writable(landscape.out);
  landscape.batch_size = checked.landscape.batch_size = differentiated_batch(landscape.batch_size, inputs);
  const Engine engine = make_engine(landscape, checked.landscape, inputs, device);
  for (const std::string& note : notes_of(inputs)) observer.on_note("note: " + note);
  const auto places = parameters_of(request.parameters, inputs.origin);
  const LanczosOptions lanczos{.largest = request.largest,
                               .smallest = request.smallest,
                               .tolerance = request.tolerance,
                               .most_products = request.most_products,
                               .seed = request.seed};
  CurvatureRecord record = begin_record(checked, inputs, engine, places, caller);
  const std::size_t size = record.size();
  check_memory_of_vectors(size, lanczos, request.density_probes > 0 ? request.density_steps : 0,
                          fmt::format("`top` {}, `low` {}", request.largest, request.smallest));
  at::set_num_threads(landscape.threads);
  const NetworkState point = derivative_point(inputs, device);
  note_coupling(inputs, landscape.batch_size, observer);
  const Smoothness smoothness = look_at_smoothness(inputs, point, landscape.batch_size);
  note_smoothness(smoothness, observer);
  if (!smoothness.kinks.empty() && request.scale_probes > 0) {
    observer.on_note("note: the trace at scale h counts the jumps within its steps, the trace by autodiff does not");
  }
  const std::string_view word = samples_word(inputs);
  Ranks* const ranks = caller.ranks;
  if (ranks)
    record.provenance["ranks"] = compare_ranks(*ranks, record.settings, {point, {}}, landscape.threads, device);
  const SweepHooks hooks = hooks_of(observer, caller.again);
  const auto make_products = [&](std::function<void()> on_batch) {
    return LossProducts(
        *inputs.problem, inputs.images.source, point,
        {.matrix = checked.matrix,
         .batch_size = landscape.batch_size,
         .parameters = places,
         .threads = landscape.threads,
         .stop = hooks.stop,
         .others = ranks && ranks->is_first() ? std::make_shared<SharedProducts>(*ranks, hooks) : nullptr,
         .on_batch = std::move(on_batch)});
  };
  std::optional<Engine> forward;
  if (request.scale_probes > 0) forward = forward_engine(checked, inputs, device);
  const ScaleTraceOptions scale{.probes = request.scale_probes,
                                .step = landscape.step,
                                .seed = request.seed,
                                .threads = landscape.threads,
                                .hooks = hooks,
                                .ranks = ranks};
  if (ranks) observer.on_note(sharing_text(*ranks, groups_of(inputs.images.source->size(), landscape.batch_size)));
  if (!leads(ranks)) {
    LossProducts products = make_products(nullptr);
    serve_products(products, *ranks, *hooks.stop, [&](const std::string& asked) {
      if (asked != kScaleTraceRequest) return false;
      serve(scale_trace_work(point, places, *forward, scale), *ranks);
      return true;
    });
    return {};
  }
  return run_curvature(
      {.out = landscape.out,
       .record = std::move(record),
       .lanczos = lanczos,
       .trace_probes = request.trace_probes,
       .density_probes = request.density_probes,
       .density_steps = request.density_steps,
       .has_diagonal = request.by_module,
       .find_scale_trace =
           [&] { return forward ? scale_trace(point, places, *forward, scale) : std::optional(ScaleTrace()); },
       .seed = request.seed,
       .resume = landscape.resume,
       .force = landscape.force,
       .introduction = fmt::format("{} by {} parameters, {} {} {}, eager engine ({}), into {}",
                                   checked.matrix == CurvatureMatrix::hessian ? "Hessian" : "Gauss-Newton matrix", size,
                                   inputs.images.samples.size(), landscape.split, word, engine.instruction_set(),
                                   landscape.out.string()),
       .again = caller.again,
       .save_vectors =
           [&](const Eigenpairs& pairs) {
             if (!request.save_directions.empty()) save_directions(request.save_directions, pairs, places, inputs);
           },
       .sample = word.substr(0, word.size() - 1),
       .make_products = make_products},
      observer);
}

}  // namespace

Job prepare(CurvatureRequest request, Caller caller) {
  if (request.checkpoints.size() == 1) request.landscape.checkpoint = request.checkpoints.front();
  if (request.is_table()) return prepare_sharpness(request, check(request.landscape), std::move(caller));
  if (request.every > 1) throw UsageError("`every`: requires `run`");
  CheckedCurvature checked = check(std::move(request));
  if (leads(caller.ranks)) {
    check_files(checked.request.landscape, checked.request.save_directions, {});
    check_products(products_of(checked.request.landscape.out));
  }
  return [checked = std::move(checked), caller = std::move(caller)](Observer& observer) {
    return run(checked, caller, observer);
  };
}

}  // namespace lossatlas
