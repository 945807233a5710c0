#include "jobs/inputs.h"

#include <torch/version.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "evaluation/graph_problem.h"
#include "jobs/metadata.h"
#include "models/exported.h"
#include "models/registry.h"
#include "models/script.h"
#include "surface/resume.h"

namespace lossatlas {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_unnamed(const std::vector<std::string>& fitting) {
  constexpr const char* start = "the checkpoint does not name its network";
  if (fitting.empty()) throw UsageError("{}; name it with `arch` (`lossatlas info --archs` lists them)", start);
  throw UsageError("{}; its tensors fit {}: name {} with `arch`", start, fmt::join(fitting, " and "),
                   fitting.size() == 1 ? "it" : "the right one");
}

/// Images of a data set, with their digest.
ChosenSamples choose(DataSet data, std::int64_t count, std::uint64_t seed, bool is_nested, at::Device device) {
  const auto images = std::make_shared<Images>(std::make_shared<const DataSet>(std::move(data)), device);
  ChosenSamples chosen = choose(images, count, seed, is_nested);
  chosen.sha256 = chosen.source->sha256();
  return chosen;
}

/// For the statistics; of a data set that may lack them.
DataSet read_training_images(const LandscapeRequest& request, Observer& observer, const json& metadata) {
  try {
    return load(request.data, Split::train, observer, metadata);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    throw Error("{}; `bn` recalibrate requires training images, `bn` stored does not", error.what());
  }
}

constexpr std::int64_t kStatisticsSamples = 1000;  // for batch-norm statistics

/// Some training samples, or as many as there are.
std::shared_ptr<const SampleSource> choose_for_statistics(const LandscapeRequest& request,
                                                          std::shared_ptr<const SampleSource> train,
                                                          const std::string& text) {
  check_count("`bn_images`", request.batch_norm_images, train->size(), text,
              request.problem.empty() ? "images" : "samples");
  const auto count =
      request.batch_norm_images > 0 ? request.batch_norm_images : std::min(kStatisticsSamples, train->size());
  return choose(std::move(train), count, request.sample_seed, false).source;
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
    if (inputs.batch_norms > 0) {
      inputs.notes.push_back(
          fmt::format("{}: batch-norm statistics stay as stored: those of a {} file cannot be "
                      "estimated again; if its `arch` is named, they are",
                      inputs.checkpoint.string(), inputs.spec.file_kind()));
    }
    return false;
  }
  try {
    if (inputs.file) inputs.problem->check_recalibration();
  } catch (const Error& error) {
    inputs.notes.push_back(fmt::format("{}; they stay as stored", error.what()));
    return false;
  }
  const auto before = request.resume ? read_remains(request.out) : std::nullopt;
  if (!before || settings_from(before->surface.settings).bn != "stored") return true;
  inputs.notes.push_back(
      fmt::format("{} was begun with stored batch-norm statistics, and keeps them", request.out.string()));
  return false;
}

/// The checkpoint's numbers in a state like those of its network.
KnownCheckpoint load_state(const Checkpoint& checkpoint, const NetworkTensors& like, const std::string& architecture,
                           const std::filesystem::path& file) {
  KnownCheckpoint known{zeros_like(like, StatePart::all), checkpoint.sha256, checkpoint.notes, checkpoint.metadata};
  NetworkState& state = known.state;
  const auto notes = load_into(checkpoint, state, architecture, file);
  known.notes.insert(known.notes.end(), notes.begin(), notes.end());
  check_numbers(state, file);
  const auto is_empty = [](const NamedTensor& parameter) { return parameter.tensor.numel() == 0; };
  if (std::all_of(state.parameters.begin(), state.parameters.end(), is_empty)) {
    throw Error("{}: has no parameters to move; save the network before torch.jit.freeze makes them constants",
                file.string());
  }
  return known;
}

}  // namespace

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
  if ((!checkpoint.script && !checkpoint.exported) || !request.arch.empty()) {
    const NetworkSpec found = spec_of(request, data, checkpoint.metadata);
    if (found.architecture.empty()) refuse_unnamed(fitting_architectures(checkpoint, found));
    return found;
  }
  NetworkSpec spec;
  spec.exported = checkpoint.exported;
  spec.architecture = spec.exported ? kExportedArchitecture : kScriptArchitecture;
  if (request.width > 0) {
    throw UsageError("`width` {}: a {} network has the width it was saved with", request.width, spec.file_kind());
  }
  spec.classes = request.classes > 0 ? request.classes : data.classes;
  spec.input = data.shape;
  spec.script = file;
  spec.script_bytes = checkpoint.script;
  return spec;
}

namespace {

/// Batch-norm statistics as they are stored, or estimated from what `make_source` gives.
template <class MakeSource>
void choose_statistics(const LandscapeRequest& request, const LandscapeOptions& options, LandscapeInputs& inputs,
                       const MakeSource& make_source) {
  if (inputs.batch_norms == 0 && !has_statistics(inputs.origin)) return;
  if (recalibrates(request, options, inputs)) {
    inputs.recalibration = make_source();
  } else if (request.batch_norm_images > 0) {
    throw UsageError("`bn_images`: requires `bn` recalibrate");
  }
}

ChosenSamples choose(const ProblemFile& file, const ProblemSplit& split, std::int64_t count, std::uint64_t seed,
                     bool is_nested) {
  if (file.is_coupled() && count < 0) count = std::min(count / file.batch_size(), std::int64_t{-1}) * file.batch_size();
  if (file.is_coupled() && count % file.batch_size() != 0) {
    throw UsageError("`samples` {}: the samples of a batch are coupled: requires a multiple of {}", count,
                     file.batch_size());
  }
  check_count("`samples`", count, split.source->size(), split.text, "samples");
  auto chosen = choose(split.source, count, seed, is_nested);
  chosen.sha256 = split.sha256.empty() ? chosen.source->sha256() : split.sha256;
  return chosen;
}

/// The parameters of the problem file itself, or of a checkpoint of its network.
KnownCheckpoint read_weights(const ProblemFile& problem, const std::filesystem::path& file, const std::string& key) {
  if (file == problem.file()) return {copy_state(state_of(problem), at::kCPU), problem.sha256(), {}, {}};
  const NetworkTensors like = state_of(problem);
  if (ProblemFile::is_problem(file)) {  // of another problem, perhaps with other data
    const ProblemFile other(file);
    Checkpoint checkpoint;
    const NetworkTensors state = state_of(other);
    checkpoint.tensors = all_tensors(state);
    checkpoint.tensors.insert(checkpoint.tensors.end(), state.fixed.begin(), state.fixed.end());
    checkpoint.sha256 = other.sha256();
    return load_state(checkpoint, like, problem.model(), file);
  }
  return load_state(read_checkpoint(file, key), like, problem.model(), file);
}

LandscapeInputs read_problem(const LandscapeRequest& request, const LandscapeOptions& options,
                             const std::filesystem::path& checkpoint, at::Device device, Observer& observer,
                             bool is_nested) {
  LandscapeInputs inputs;
  inputs.file = std::make_shared<const ProblemFile>(request.problem);
  const ProblemFile& file = *inputs.file;
  file.check_members();
  file.check_samples();
  file.check_reference();
  inputs.checkpoint = checkpoint.empty() ? request.problem : checkpoint;
  inputs.key = request.key;
  inputs.data = request.data;
  inputs.metadata = json::object();
  inputs.problem = make_problem(inputs.file);
  std::map<Split, ProblemSplit> splits;  // each is read once
  const auto split = [&](Split which) -> const ProblemSplit& {
    auto found = splits.find(which);
    if (found == splits.end()) {
      found = splits.emplace(which, problem_split(file, request.data, which, device, observer)).first;
    }
    return found->second;
  };
  inputs.images = choose(file, split(options.split), request.samples, request.sample_seed, is_nested);
  if (options.second) {
    const ProblemSplit& second = split(*options.second);
    const auto most = std::min(request.samples, second.source->size());
    inputs.second = choose(file, second, most, request.sample_seed, false);
  }
  const KnownCheckpoint known = read_weights(file, inputs.checkpoint, inputs.key);
  inputs.origin = known.state;
  inputs.known->emplace(inputs.checkpoint, known);
  inputs.batch_norms = static_cast<std::int64_t>(file.batch_norms().size());
  if (inputs.batch_norms == 0) {
    const bool asks = request.batch_norm == "recalibrate" && !options.is_between_networks;  // there it is the default
    if (!asks && request.batch_norm_images == 0) return inputs;
    throw UsageError("`{}`: this network has no batch norm that keeps statistics",
                     request.batch_norm_images > 0 ? "bn_images" : "bn");
  }
  choose_statistics(request, options, inputs, [&] {
    const ProblemSplit& train = split(Split::train);
    auto chosen = choose_for_statistics(request, train.source, train.text);
    inputs.recalibration_sha256 = train.sha256.empty() ? chosen->sha256() : train.sha256;
    return chosen;
  });
  return inputs;
}

}  // namespace

LandscapeInputs read_inputs(const LandscapeRequest& request, const LandscapeOptions& options,
                            const std::filesystem::path& file, at::Device device, Observer& observer, bool is_nested) {
  if (!request.problem.empty()) return read_problem(request, options, file, device, observer, is_nested);
  // Before the checkpoint, which may be large: a wrong --data is said at once.
  DataSet data = load(request.data, options.split, observer);
  check_count("`samples`", request.samples, static_cast<std::int64_t>(data.size()),
              split_text(options.split, data.name), "images");
  DataSet second = options.second ? load(request.data, *options.second, observer) : DataSet();
  const Checkpoint checkpoint = read_checkpoint(file, request.key);
  normalize(request.data, data, checkpoint.metadata);
  LandscapeInputs inputs;
  inputs.checkpoint = file;
  inputs.key = request.key;
  inputs.data = request.data;
  inputs.metadata = checkpoint.metadata;
  inputs.normalization = data.normalization;
  inputs.spec = spec_of(request.network, data, checkpoint, file);
  const std::string name = data.name;
  inputs.images = choose(std::move(data), request.samples, request.sample_seed, is_nested, device);
  if (options.second) {
    normalize(request.data, second, checkpoint.metadata);
    const auto most = std::min(request.samples, static_cast<std::int64_t>(second.size()));
    inputs.second = choose(std::move(second), most, request.sample_seed, false, device);
  }
  const KnownCheckpoint known =
      load_state(checkpoint, state_of(*make_network(inputs.spec)), inputs.spec.architecture, file);
  inputs.origin = known.state;
  inputs.known->emplace(file, known);
  inputs.problem = make_classifier(inputs.spec, options.loss, request.extras);
  inputs.batch_norms = batch_norms_of(inputs.origin);
  choose_statistics(request, options, inputs, [&] {
    const auto train = std::make_shared<const DataSet>(read_training_images(request, observer, checkpoint.metadata));
    auto chosen =
        choose_for_statistics(request, std::make_shared<Images>(train, device), split_text(Split::train, train->name));
    inputs.recalibration_sha256 = chosen->sha256();
    return chosen;
  });
  return inputs;
}

std::vector<Slices> slices_of(const LandscapeInputs& inputs) {
  std::vector<Slices> slices;
  if (!inputs.file) return slices;
  for (const ProblemParameter& parameter : inputs.file->parameters()) {
    if (!parameter.is_trained) continue;
    Slices own{.axis = parameter.slice_axis.value_or(0), .lacks_heads = parameter.has_unknown_heads};
    if (parameter.head) own.head = {parameter.head->axis, parameter.head->size};
    slices.push_back(own);
  }
  return slices;
}

std::string_view samples_word(const LandscapeInputs& inputs) { return inputs.file ? "samples" : "images"; }

NetworkState read_state(const std::filesystem::path& file, const LandscapeInputs& inputs) {
  if (const auto known = inputs.known->find(file); known != inputs.known->end()) return known->second.state;
  const KnownCheckpoint read =
      inputs.file ? read_weights(*inputs.file, file, inputs.key)
                  : load_state(read_checkpoint(file, inputs.key), inputs.origin, inputs.problem->name(), file);
  inputs.known->emplace(file, read);
  return read.state;
}

std::vector<std::string> gathered(const std::vector<FileNote>& notes) {
  std::vector<std::string> lines;
  std::set<std::string> said;
  for (const FileNote& note : notes) {
    if (!said.insert(note.text).second) continue;
    const auto files =
        std::count_if(notes.begin(), notes.end(), [&](const FileNote& other) { return other.text == note.text; });
    const std::string more = files > 1 ? fmt::format(" and {} more", files - 1) : "";
    lines.push_back(fmt::format("{}{}: {}", note.file.string(), more, note.text));
  }
  return lines;
}

std::vector<std::string> notes_of(const LandscapeInputs& inputs) {
  std::vector<FileNote> of_files;
  for (const auto& [file, known] : *inputs.known) {
    for (const std::string& text : known.notes) of_files.push_back({file, text});
  }
  std::vector<std::string> notes = inputs.notes, lines = gathered(of_files);
  notes.insert(notes.end(), lines.begin(), lines.end());
  return notes;
}

Engine make_engine(const LandscapeRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                   at::Device device) {
  EngineOptions engine;
  engine.batch_size = options.batch_size;
  if (inputs.file && request.batch_size == 0) engine.batch_size = inputs.file->batch_size();
  engine.engine = options.engine;
  engine.instruction_set = options.arithmetic.instruction_set;
  engine.precision = options.arithmetic.precision;
  engine.weight_decay = request.extras.weight_decay;
  const EngineSamples samples{.first = inputs.images.source,
                              .population = inputs.images.population,
                              .second = inputs.second.source,
                              .second_population = inputs.second.population,
                              .recalibration = inputs.recalibration};
  return Engine(inputs.problem, samples, engine, device);
}

FileIdentity identity_of(const std::filesystem::path& file, const std::string& sha256) {
  return {file.filename().string(), sha256};
}

FileIdentity identity_of_checkpoint(const std::filesystem::path& file, const LandscapeInputs& inputs) {
  read_state(file, inputs);
  return identity_of(file, inputs.known->at(file).sha256);
}

std::vector<Measure> measures_of(const Extras& extras, const LandscapeOptions& options, const LandscapeInputs& inputs) {
  return measures_of(*inputs.problem->criterion(), options.split, options.second, extras.weight_decay > 0,
                     samples_word(inputs));
}

namespace {

void name_data(const DataRequest& request, Settings& settings) {
  if (!request.data.empty()) settings.data = request.data;
  if (!request.test_data.empty()) settings.test_data = request.test_data;
  if (const auto transform = transform_of(spec_of(request)); !transform.empty()) settings.transform = transform;
}

}  // namespace

Settings settings_of_problem(const LandscapeInputs& inputs) {
  Settings settings;
  if (inputs.file) {
    settings.arch = inputs.problem->name();
    settings.problem = identity_of(inputs.file->file(), inputs.file->sha256());
    name_data(inputs.data, settings);
    if (!inputs.data.mean.empty()) settings.mean = inputs.data.mean;
    if (!inputs.data.std.empty()) settings.std = inputs.data.std;
    return settings;
  }
  settings.arch = inputs.spec.architecture;
  settings.classes = inputs.spec.classes;
  settings.width = inputs.spec.width;
  name_data(inputs.data, settings);
  settings.mean = inputs.normalization.mean;
  settings.std = inputs.normalization.deviation;
  return settings;
}

Settings settings_of(const LandscapeRequest& request, const LandscapeOptions& options, const LandscapeInputs& inputs,
                     const Engine& engine) {
  Settings settings = settings_of_problem(inputs);
  settings.checkpoint = identity_of_checkpoint(inputs.checkpoint, inputs);
  if (!inputs.key.empty()) settings.key = inputs.key;
  settings.split = request.split;
  settings.samples = inputs.images.samples.size();
  settings.samples_sha256 = inputs.images.sha256;
  settings.sample_seed.emplace();
  if (inputs.images.is_sample) settings.sample_seed = request.sample_seed;
  settings.loss = inputs.file ? inputs.file->loss() : std::string(name_of(options.loss));
  settings.bn = inputs.recalibration ? "recalibrate" : "stored";
  settings.bn_layers = inputs.batch_norms;
  settings.bn_images.emplace();
  settings.l2.emplace();
  if (request.extras.weight_decay > 0) settings.l2 = request.extras.weight_decay;
  settings.engine = engine.is_fused() ? "fused" : "eager";
  settings.dtype = name_of(engine.options().precision);
  settings.batch_size = engine.options().batch_size;
  settings.device = engine.device().is_cuda() ? "cuda" : "cpu";
  settings.instruction_set = engine.instruction_set();
  settings.libtorch = TORCH_VERSION;
  if (inputs.recalibration) {
    settings.bn_images = inputs.recalibration->size();
    settings.bn_engine = engine.recalibrates_fused() ? "fused" : "eager";
    settings.bn_images_sha256 = inputs.recalibration_sha256;
  }
  if (options.second) {
    settings.test_samples = inputs.second.samples.size();
    settings.test_samples_sha256 = inputs.second.sha256;
  }
  return settings;
}

}  // namespace lossatlas
