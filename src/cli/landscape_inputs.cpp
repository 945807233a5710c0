#include "cli/landscape_inputs.h"

#include <torch/version.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "data/data_digest.h"
#include "landscape/resume.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

using nlohmann::json;

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
DataSet read_training_images(const LandscapeWords& words, const json& metadata) {
  try {
    return words.data.load(Split::train, metadata);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    throw Error("{}; --bn recalibrate requires training images, --bn stored does not", error.what());
  }
}

std::shared_ptr<const DataSet> read_recalibration(const LandscapeWords& words, const json& metadata) {
  const DataSet data = read_training_images(words, metadata);
  check_count("--bn-images", words.batch_norm_images, Split::train, data);
  const auto count = words.batch_norm_images > 0 ? static_cast<std::size_t>(words.batch_norm_images)
                                                 : std::min<std::size_t>(1000, data.size());
  return std::make_shared<const DataSet>(subset(data, stratified_sample(data.labels, count, words.sample_seed)));
}

bool has_statistics(const NetworkState& state) {
  return std::any_of(state.buffers.begin(), state.buffers.end(),
                     [](const NamedTensor& buffer) { return buffer.tensor.is_floating_point(); });
}

std::int64_t batch_norms_of(const NetworkState& state) {
  return std::count_if(state.buffers.begin(), state.buffers.end(),
                       [](const NamedTensor& buffer) { return buffer.name.ends_with("running_var"); });
}

/// What --bn says; without it, whether the points lie between networks. Then the statistics stay stored, with a note,
/// where they cannot be estimated, and where a file that is gone on with has stored ones.
bool recalibrates(const LandscapeWords& words, const LandscapeOptions& options, LandscapeInputs& inputs) {
  if (!words.batch_norm.empty()) return words.batch_norm == "recalibrate";
  if (!options.is_between_networks || words.batch_norm_images > 0) return options.is_between_networks;
  if (!inputs.spec.script.empty()) {
    if (batch_norms_of(inputs.origin) > 0) {
      inputs.notes.push_back(
          fmt::format("{}: batch-norm statistics stay as stored: those of a TorchScript file cannot be "
                      "estimated anew; if its --arch is named, they are",
                      inputs.checkpoint.string()));
    }
    return false;
  }
  const auto before = words.goes_on() ? read_remains(words.out) : std::nullopt;
  if (!before || before->surface.settings.value("bn", json()) != "stored") return true;
  inputs.notes.push_back(
      fmt::format("{} was begun with stored batch-norm statistics, and keeps them", words.out.string()));
  return false;
}

NetworkState load_state(const Checkpoint& checkpoint, const NetworkSpec& spec, const std::filesystem::path& file) {
  const auto network = make_network(spec);
  load_into(checkpoint, *network, spec.architecture, file);
  auto state = state_on(state_of(*network), at::kCPU);
  check_numbers(state, file);
  const auto is_empty = [](const NamedTensor& parameter) { return parameter.tensor.numel() == 0; };
  if (std::all_of(state.parameters.begin(), state.parameters.end(), is_empty)) {
    throw Error("{}: has no parameters to move; save the network before torch.jit.freeze makes them constants",
                file.string());
  }
  return state;
}

}  // namespace

LandscapeInputs read_inputs(const LandscapeWords& words, const LandscapeOptions& options,
                            const std::filesystem::path& file, bool is_nested) {
  // Before the checkpoint, which may be large: a wrong --data is said at once.
  DataSet data = words.data.load(options.split);
  check_count("--samples", words.samples, options.split, data);
  DataSet second = options.second ? words.data.load(*options.second) : DataSet();
  const Checkpoint checkpoint = read_checkpoint(file);
  words.data.normalize(data, checkpoint.metadata);
  LandscapeInputs inputs;
  inputs.checkpoint = file;
  inputs.metadata = checkpoint.metadata;
  inputs.spec = words.network.spec(data, checkpoint, file);
  inputs.images = sample(std::move(data), words.samples, words.sample_seed, is_nested);
  if (options.second) {
    words.data.normalize(second, checkpoint.metadata);
    const auto most = std::min(words.samples, static_cast<std::int64_t>(second.size()));
    inputs.second = sample(std::move(second), most, words.sample_seed, false);
  }
  inputs.origin = load_state(checkpoint, inputs.spec, file);
  inputs.known->emplace(file, KnownCheckpoint{inputs.origin, checkpoint.sha256});
  if (!has_statistics(inputs.origin)) return inputs;
  if (recalibrates(words, options, inputs)) {
    inputs.recalibration = read_recalibration(words, checkpoint.metadata);
    inputs.recalibration_sha256 = digest_of(*inputs.recalibration);
  } else if (words.batch_norm_images > 0) {
    throw UsageError("--bn-images: goes with --bn recalibrate");
  }
  return inputs;
}

NetworkState read_state(const std::filesystem::path& file, const LandscapeInputs& inputs) {
  if (const auto known = inputs.known->find(file); known != inputs.known->end()) return known->second.state;
  const Checkpoint checkpoint = read_checkpoint(file);
  auto state = load_state(checkpoint, inputs.spec, file);
  inputs.known->emplace(file, KnownCheckpoint{state, checkpoint.sha256});
  return state;
}

Engine make_engine(const LandscapeWords& words, const LandscapeOptions& options, const LandscapeInputs& inputs,
                   at::Device device) {
  EngineOptions engine;
  engine.network = inputs.spec;
  engine.loss = options.loss;
  engine.batch_size = options.batch_size;
  engine.population = inputs.images.population;
  engine.engine = options.engine;
  engine.instruction_set = options.arithmetic.instruction_set;
  engine.precision = options.arithmetic.precision;
  engine.extras = words.extras;
  engine.recalibration = inputs.recalibration;
  engine.second = inputs.second.data;
  engine.second_population = inputs.second.population;
  return Engine(std::move(engine), inputs.images.data, device);
}

json settings_of_file(const std::filesystem::path& file, const std::string& sha256) {
  return {{"file", file.filename().string()}, {"sha256", sha256}};
}

json settings_of_checkpoint(const std::filesystem::path& file, const LandscapeInputs& inputs) {
  read_state(file, inputs);
  return settings_of_file(file, inputs.known->at(file).sha256);
}

json settings_of(const LandscapeWords& words, const LandscapeOptions& options, const LandscapeInputs& inputs,
                 const Engine& engine) {
  const DataSet& data = *inputs.images.data;
  json settings = settings_of(engine.options().network);
  settings.update(settings_of(data));
  settings.update({{"checkpoint", settings_of_checkpoint(inputs.checkpoint, inputs)},
                   {"split", words.split},
                   {"samples", data.size()},
                   {"samples_sha256", inputs.images.sha256},
                   {"sample_seed", inputs.images.is_sample ? json(words.sample_seed) : json(nullptr)},
                   {"loss", words.loss},
                   {"bn", inputs.recalibration ? "recalibrate" : "stored"},
                   {"bn_layers", batch_norms_of(inputs.origin)},
                   {"bn_images", inputs.recalibration ? json(inputs.recalibration->size()) : json(nullptr)},
                   {"more", names_of(words.extras, options.split, inputs.spec.classes, options.second)},
                   {"l2", words.extras.weight_decay > 0 ? json(words.extras.weight_decay) : json(nullptr)},
                   {"engine", engine.is_fused() ? "fused" : "eager"},
                   {"dtype", name_of(engine.options().precision)},
                   {"batch_size", options.batch_size},
                   {"device", engine.device().is_cuda() ? "cuda" : "cpu"},
                   {"instruction_set", engine.instruction_set()},
                   {"libtorch", TORCH_VERSION}});
  if (inputs.recalibration) {
    settings["bn_engine"] = engine.recalibrates_fused() ? "fused" : "eager";
    settings["bn_images_sha256"] = inputs.recalibration_sha256;
  }
  if (options.second) {
    settings["test_samples"] = inputs.second.data->size();
    settings["test_samples_sha256"] = inputs.second.sha256;
  }
  return settings;
}

}  // namespace lossatlas
