#include "jobs/inputs.h"

#include <torch/version.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "data/data_digest.h"
#include "jobs/metadata.h"
#include "models/registry.h"
#include "models/script.h"
#include "surface/resume.h"

namespace lossatlas {
namespace {

using nlohmann::json;

std::vector<double> channel_values(const char* field, std::vector<double> values, std::size_t channels) {
  const auto given = values;
  if (values.size() == 1) values.resize(channels, values[0]);
  if (values.size() == channels) return values;
  throw UsageError("`{}` {}: wants {} numbers, one a channel", field, fmt::join(given, ","), channels);
}

[[noreturn]] void refuse_unnamed(const std::vector<std::string>& fitting) {
  constexpr const char* start = "the checkpoint does not say which network it belongs to";
  if (fitting.empty()) throw UsageError("{}; name it with `arch` (`lossatlas info --archs` lists them)", start);
  throw UsageError("{}; its tensors fit {}: name {} with `arch`", start, fmt::join(fitting, " and "),
                   fitting.size() == 1 ? "it" : "the right one");
}

/// `given`: what was asked for; empty where the values are those that the checkpoint recorded.
void check_normalization(const std::vector<double>& values, const char* field, const std::vector<double>& given,
                         bool (*is_fine)(double)) {
  if (std::all_of(values.begin(), values.end(), is_fine)) return;
  constexpr auto kScale = "pixel values are 0 … 1, not 0 … 255";
  if (given.empty()) {
    throw Error("the checkpoint records {} {}, but {}; give `{}`", field, fmt::join(values, ","), kScale, field);
  }
  throw UsageError("`{}` {}: requires numbers {} 1: {}", field, fmt::join(given, ","),
                   std::string(field) == "std" ? "above 0, up to" : "from 0 to", kScale);
}

void check_count(const char* option, std::int64_t count, Split split, const DataSet& data) {
  if (count <= static_cast<std::int64_t>(data.size())) return;
  throw UsageError("{} {}: the {} split of {} has {} images", option, count, name_of(split), data.name, data.size());
}

/// `count` images, or all; with `is_nested` all in the order of a sample.
SampledImages sample(DataSet data, std::int64_t count, std::uint64_t seed, bool is_nested) {
  SampledImages images;
  images.is_sample = count > 0 || is_nested;
  images.population = static_cast<std::int64_t>(data.size());
  if (images.is_sample) {
    const auto wanted = count > 0 ? static_cast<std::size_t>(count) : data.size();
    images.samples = stratified_sample(data.labels, wanted, seed);
    data = subset(data, images.samples);
  } else {
    images.samples.resize(data.size());
    std::iota(images.samples.begin(), images.samples.end(), 0);
  }
  images.sha256 = digest_of(data);
  images.data = std::make_shared<const DataSet>(std::move(data));
  return images;
}

/// For the statistics; of a data set that may lack them.
DataSet read_training_images(const LandscapeRequest& request, const json& metadata) {
  try {
    return load(request.data, Split::train, metadata);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    throw Error("{}; `bn` recalibrate requires training images, `bn` stored does not", error.what());
  }
}

std::shared_ptr<const DataSet> read_recalibration(const LandscapeRequest& request, const json& metadata) {
  const DataSet data = read_training_images(request, metadata);
  check_count("`bn_images`", request.batch_norm_images, Split::train, data);
  const auto count = request.batch_norm_images > 0 ? static_cast<std::size_t>(request.batch_norm_images)
                                                   : std::min<std::size_t>(1000, data.size());
  return std::make_shared<const DataSet>(subset(data, stratified_sample(data.labels, count, request.sample_seed)));
}

bool has_statistics(const NetworkTensors& state) {
  return std::any_of(state.buffers.begin(), state.buffers.end(),
                     [](const NamedTensor& buffer) { return buffer.tensor.is_floating_point(); });
}

std::int64_t batch_norms_of(const NetworkTensors& state) {
  return std::count_if(state.buffers.begin(), state.buffers.end(),
                       [](const NamedTensor& buffer) { return buffer.name.ends_with("running_var"); });
}

/// What --bn says; without it, whether the points lie between networks. Then the statistics stay stored, with a note,
/// where they cannot be estimated, and where a file that is gone on with has stored ones.
bool recalibrates(const LandscapeRequest& request, const LandscapeOptions& options, LandscapeInputs& inputs) {
  if (!request.batch_norm.empty()) return request.batch_norm == "recalibrate";
  if (!options.is_between_networks || request.batch_norm_images > 0) return options.is_between_networks;
  if (!inputs.spec.script.empty()) {
    if (batch_norms_of(inputs.origin) > 0) {
      inputs.notes.push_back(
          fmt::format("{}: batch-norm statistics stay as stored: those of a TorchScript file cannot be "
                      "estimated anew; if its `arch` is named, they are",
                      inputs.checkpoint.string()));
    }
    return false;
  }
  const auto before = request.goes_on() ? read_remains(request.out) : std::nullopt;
  if (!before || settings_from(before->surface.settings).bn != "stored") return true;
  inputs.notes.push_back(
      fmt::format("{} was begun with stored batch-norm statistics, and keeps them", request.out.string()));
  return false;
}

/// The checkpoint's numbers in a state like those of its network.
NetworkState load_state(const Checkpoint& checkpoint, const NetworkTensors& like, const std::string& architecture,
                        const std::filesystem::path& file) {
  NetworkState state = zeros_like(like, StatePart::all);
  load_into(checkpoint, state, architecture, file);
  check_numbers(state, file);
  const auto is_empty = [](const NamedTensor& parameter) { return parameter.tensor.numel() == 0; };
  if (std::all_of(state.parameters.begin(), state.parameters.end(), is_empty)) {
    throw Error("{}: has no parameters to move; save the network before torch.jit.freeze makes them constants",
                file.string());
  }
  return state;
}

}  // namespace

DataSet load(const DataRequest& request, Split split, const json& metadata) {
  DataSet set = load_data(request.data, split);
  normalize(request, set, metadata);
  return set;
}

void normalize(const DataRequest& request, DataSet& set, const json& metadata) {
  const auto channels = static_cast<std::size_t>(set.shape[0]);
  const auto recorded = [&](const char* key, std::vector<double>& values) {
    const auto found = metadata.find(key);
    const auto is_number = [](const nlohmann::json& value) { return value.is_number(); };
    if (found == metadata.end() || !found->is_array() || found->size() != channels) return;
    if (std::all_of(found->begin(), found->end(), is_number)) values = found->get<std::vector<double>>();
  };
  recorded("mean", set.normalization.mean);
  recorded("std", set.normalization.deviation);
  if (!request.mean.empty()) set.normalization.mean = channel_values("mean", request.mean, channels);
  if (!request.std.empty()) set.normalization.deviation = channel_values("std", request.std, channels);
  check_normalization(set.normalization.mean, "mean", request.mean,
                      [](double value) { return value >= 0 && value <= 1; });
  check_normalization(set.normalization.deviation, "std", request.std,
                      [](double value) { return value > 0 && value <= 1; });
}

NetworkSpec spec_of(const NetworkRequest& request, const DataSet& data, const json& metadata) {
  NetworkSpec spec;
  spec.architecture = !request.arch.empty() ? request.arch : metadata_value<std::string>(metadata, "arch", "");
  spec.classes = request.classes > 0 ? request.classes : metadata_value(metadata, "classes", data.classes);
  spec.width = request.width > 0 ? request.width : metadata_value(metadata, "width", std::int64_t{0});
  spec.input = data.shape;
  if (request.classes > 0 && request.classes < data.classes) {
    throw UsageError("`classes` {}: {} has {} classes", request.classes, data.name, data.classes);
  }
  return spec;
}

NetworkSpec spec_of(const NetworkRequest& request, const DataSet& data, const Checkpoint& checkpoint,
                    const std::filesystem::path& file) {
  if (checkpoint.format != kScriptFormat || !request.arch.empty()) {
    const NetworkSpec found = spec_of(request, data, checkpoint.metadata);
    if (found.architecture.empty()) refuse_unnamed(fitting_architectures(checkpoint, found));
    return found;
  }
  if (request.width > 0)
    throw UsageError("`width` {}: a TorchScript network has the width it was saved with", request.width);
  NetworkSpec spec;
  spec.architecture = kScriptArchitecture;
  spec.classes = request.classes > 0 ? request.classes : data.classes;
  spec.input = data.shape;
  spec.script = file;
  spec.script_bytes = checkpoint.script;
  return spec;
}

LandscapeInputs read_inputs(const LandscapeRequest& request, const LandscapeOptions& options,
                            const std::filesystem::path& file, bool is_nested) {
  // Before the checkpoint, which may be large: a wrong --data is said at once.
  DataSet data = load(request.data, options.split);
  check_count("`samples`", request.samples, options.split, data);
  DataSet second = options.second ? load(request.data, *options.second) : DataSet();
  const Checkpoint checkpoint = read_checkpoint(file);
  normalize(request.data, data, checkpoint.metadata);
  LandscapeInputs inputs;
  inputs.checkpoint = file;
  inputs.metadata = checkpoint.metadata;
  inputs.spec = spec_of(request.network, data, checkpoint, file);
  inputs.images = sample(std::move(data), request.samples, request.sample_seed, is_nested);
  if (options.second) {
    normalize(request.data, second, checkpoint.metadata);
    const auto most = std::min(request.samples, static_cast<std::int64_t>(second.size()));
    inputs.second = sample(std::move(second), most, request.sample_seed, false);
  }
  inputs.origin = load_state(checkpoint, state_of(*make_network(inputs.spec)), inputs.spec.architecture, file);
  inputs.known->emplace(file, KnownCheckpoint{inputs.origin, checkpoint.sha256});
  if (!has_statistics(inputs.origin)) return inputs;
  if (recalibrates(request, options, inputs)) {
    inputs.recalibration = read_recalibration(request, checkpoint.metadata);
    inputs.recalibration_sha256 = digest_of(*inputs.recalibration);
  } else if (request.batch_norm_images > 0) {
    throw UsageError("`bn_images`: goes with `bn` recalibrate");
  }
  return inputs;
}

NetworkState read_state(const std::filesystem::path& file, const LandscapeInputs& inputs) {
  if (const auto known = inputs.known->find(file); known != inputs.known->end()) return known->second.state;
  const Checkpoint checkpoint = read_checkpoint(file);
  auto state = load_state(checkpoint, inputs.origin, inputs.spec.architecture, file);
  inputs.known->emplace(file, KnownCheckpoint{state, checkpoint.sha256});
  return state;
}

Engine make_engine(const LandscapeRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                   at::Device device) {
  EngineOptions engine;
  engine.network = inputs.spec;
  engine.loss = options.loss;
  engine.batch_size = options.batch_size;
  engine.population = inputs.images.population;
  engine.engine = options.engine;
  engine.instruction_set = options.arithmetic.instruction_set;
  engine.precision = options.arithmetic.precision;
  engine.extras = request.extras;
  engine.recalibration = inputs.recalibration;
  engine.second = inputs.second.data;
  engine.second_population = inputs.second.population;
  return Engine(std::move(engine), inputs.images.data, device);
}

FileIdentity identity_of(const std::filesystem::path& file, const std::string& sha256) {
  return {file.filename().string(), sha256};
}

FileIdentity identity_of_checkpoint(const std::filesystem::path& file, const LandscapeInputs& inputs) {
  read_state(file, inputs);
  return identity_of(file, inputs.known->at(file).sha256);
}

std::vector<Measure> measures_of(const Extras& extras, const LandscapeOptions& options, const LandscapeInputs& inputs) {
  return measures_of(extras, options.loss, inputs.spec.classes, options.split, options.second);
}

Settings settings_of(const NetworkSpec& network, const DataSet& data) {
  Settings settings;
  settings.arch = network.architecture;
  settings.classes = network.classes;
  settings.width = network.width;
  settings.data = data.name;
  settings.mean = data.normalization.mean;
  settings.std = data.normalization.deviation;
  return settings;
}

Settings settings_of(const LandscapeRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                     const Engine& engine) {
  const DataSet& data = *inputs.images.data;
  Settings settings = settings_of(engine.options().network, data);
  settings.checkpoint = identity_of_checkpoint(inputs.checkpoint, inputs);
  settings.split = request.split;
  settings.samples = data.size();
  settings.samples_sha256 = inputs.images.sha256;
  settings.sample_seed.emplace();
  if (inputs.images.is_sample) settings.sample_seed = request.sample_seed;
  settings.loss = request.loss;
  settings.bn = inputs.recalibration ? "recalibrate" : "stored";
  settings.bn_layers = batch_norms_of(inputs.origin);
  settings.bn_images.emplace();
  settings.measures = names_of(measures_of(request.extras, options, inputs));
  settings.l2.emplace();
  if (request.extras.weight_decay > 0) settings.l2 = request.extras.weight_decay;
  settings.engine = engine.is_fused() ? "fused" : "eager";
  settings.dtype = name_of(engine.options().precision);
  settings.batch_size = options.batch_size;
  settings.device = engine.device().is_cuda() ? "cuda" : "cpu";
  settings.instruction_set = engine.instruction_set();
  settings.libtorch = TORCH_VERSION;
  if (inputs.recalibration) {
    settings.bn_images = inputs.recalibration->size();
    settings.bn_engine = engine.recalibrates_fused() ? "fused" : "eager";
    settings.bn_images_sha256 = inputs.recalibration_sha256;
  }
  if (options.second) {
    settings.test_samples = inputs.second.data->size();
    settings.test_samples_sha256 = inputs.second.sha256;
  }
  return settings;
}

}  // namespace lossatlas
