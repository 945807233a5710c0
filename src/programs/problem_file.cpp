#include "programs/problem_file.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "base/error.h"
#include "base/json.h"
#include "base/process.h"
#include "base/sha256.h"
#include "programs/graph_json.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

const std::map<std::string, at::ScalarType> kTypes{
    {"float64", at::kDouble}, {"float32", at::kFloat}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16},
    {"uint8", at::kByte},     {"int8", at::kChar},     {"int16", at::kShort},  {"int32", at::kInt},
    {"int64", at::kLong},     {"bool", at::kBool}};

at::ScalarType type_of(const json& name) {
  const auto found = kTypes.find(value_as<std::string>(name, "a type of numbers"));
  if (found == kTypes.end()) throw Error("holds numbers of the type {}, which is not supported", json_text(name));
  return found->second;
}

std::vector<std::int64_t> shape_of(const json& shape) {
  auto sizes = value_as<std::vector<std::int64_t>>(shape, "a shape");
  if (std::any_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size < 0; })) {
    throw Error("has {} as a shape", json_text(shape));
  }
  return sizes;
}

std::string text(const json& object, const char* name) { return value_as<std::string>(member(object, name), "a text"); }

template <class T>
std::optional<T> number_or_null(const json& value) {
  return value.is_null() ? std::nullopt : std::optional(value_as<T>(value, "a number"));
}

ProblemParameter parameter_of(const json& entry, at::Tensor tensor) {
  ProblemParameter parameter{.name = text(entry, "name"),
                             .tensor = std::move(tensor),
                             .is_trained = value_as<bool>(member(entry, "trained"), "true or false"),
                             .module = text(entry, "module"),
                             .module_class = text(entry, "class"),
                             .slice_axis = number_or_null<std::int64_t>(member(entry, "slice_axis")),
                             .head = {},
                             .has_unknown_heads = false};
  const json& head = member(entry, "head");
  parameter.has_unknown_heads = head.is_string();
  const std::int64_t dimensions = parameter.tensor.dim();
  const auto check_axis = [&](std::int64_t axis) {
    if (axis < 0 || axis >= dimensions) throw Error("gives {} slices along axis {}", parameter.name, axis);
  };
  if (parameter.slice_axis) check_axis(*parameter.slice_axis);
  if (head.is_object()) {
    const auto number = [&](const char* name) { return value_as<std::int64_t>(member(head, name), "a number"); };
    parameter.head = {.axis = number("axis"), .size = number("size")};
    check_axis(parameter.head->axis);
    if (parameter.head->size < 1 || parameter.tensor.size(parameter.head->axis) % parameter.head->size != 0) {
      throw Error("gives {} heads of {} rows", parameter.name, parameter.head->size);
    }
  }
  return parameter;
}

/// Names of measures are those of datasets, among others of ours.
void check_name(const std::string& name, const std::vector<std::string>& all) {
  const auto is_fine = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.'; };
  if (name.empty() || name.size() > 64 || name == "." || name == ".." ||
      !std::all_of(name.begin(), name.end(), is_fine)) {
    throw Error("has {} as the name of a measure: letters, digits, _, - and . make one", json_text(json(name)));
  }
  const bool is_ours = name == "acc" || name == "acc_top5" || name == "images" || name.ends_with("_se") ||
                       name.ends_with("_error") || name.ends_with("_spread");
  if (is_ours) throw Error("has {} as the name of a measure, which has another meaning in files", name);
  if (std::count(all.begin(), all.end(), name) > 1) throw Error("has two measures of the name {}", name);
}

/// float32's sums differ from processor to processor; bfloat16 and float16 round worse.
double tolerance_of(const std::vector<ProblemParameter>& parameters) {
  double tolerance = 1e-4;
  for (const auto& parameter : parameters) {
    if (parameter.tensor.scalar_type() == at::kHalf) tolerance = std::max(tolerance, 2e-2);
    if (parameter.tensor.scalar_type() == at::kBFloat16) tolerance = std::max(tolerance, 5e-2);
  }
  return tolerance;
}

}  // namespace

bool ProblemFile::is_problem(const std::filesystem::path& file) {
  try {
    return StoredZip(file).has("manifest.json");
  } catch (const Error&) {
    return false;
  }
}

ProblemFile::ProblemFile(const std::filesystem::path& file) : path_(file), zip_(file) {
  try {
    const json manifest = zip_.has("manifest.json") ? parse_json(zip_.text("manifest.json")) : json();
    if (!manifest.is_object() || manifest.value("format", json()) != "lossatlas-problem") {
      throw Error("is not a problem file: export_problem of the Python package writes one");
    }
    const json& version = member(manifest, "version");
    if (version != kVersion) {
      throw Error("a problem file of version {}: this version of lossatlas reads version {}", json_text(version),
                  kVersion);
    }
    Sha256 sum;
    sum.add(zip_.bytes("manifest.json"));
    sha256_ = sum.finish();
    read(manifest);
  } catch (const Error& error) {
    throw Error("{}: {}", file.string(), error.what());
  }
}

void ProblemFile::read(const json& manifest) {
  model_ = text(manifest, "model");
  loss_ = text(member(manifest, "loss"), "name");
  outputs_ = value_as<std::vector<std::string>>(member(manifest, "outputs"), "names");
  if (outputs_.empty() || outputs_.front() != "loss") throw Error("does not give a loss");
  for (const std::string& name : outputs_) check_name(name, outputs_);
  is_coupled_ = value_as<bool>(member(manifest, "coupled"), "true or false");
  is_fixed_batch_ = member(manifest, "batch") != "any";
  batch_size_ = value_as<std::int64_t>(member(manifest, "batch_size"), "a number of samples");
  constexpr std::int64_t kMostOfBatch = 1'000'000;
  if (batch_size_ < 1 || batch_size_ > kMostOfBatch) throw Error("gives a batch of {} samples", batch_size_);
  if (is_fixed_batch_ && manifest.at("batch") != batch_size_) throw Error("gives two sizes of a batch");
  if (is_coupled_ && !is_fixed_batch_) throw Error("couples the samples of a batch, whose size it does not give");
  for (const json& entry : member(manifest, "parameters")) {
    parameters_.push_back(parameter_of(entry, tensor_of(entry)));
  }
  for (const json& entry : member(manifest, "buffers")) {
    const bool is_persistent = value_as<bool>(member(entry, "persistent"), "true or false");
    buffers_.push_back({text(entry, "name"), tensor_of(entry), is_persistent});
  }
  aliases_ = value_as<std::map<std::string, std::string>>(member(manifest, "aliases"), "names");
  for (const json& entry : member(manifest, "batch_norms")) {
    batch_norms_.push_back({.module = text(entry, "module"),
                            .running_mean = text(entry, "running_mean"),
                            .running_var = text(entry, "running_var"),
                            .num_batches_tracked = text(entry, "num_batches_tracked"),
                            .momentum = number_or_null<double>(member(entry, "momentum"))});
  }
  check_tensors();
  for (const json& entry : member(manifest, "inputs")) {
    inputs_.push_back({text(entry, "name"), type_of(member(entry, "dtype")), shape_of(member(entry, "shape"))});
  }
  if (inputs_.empty()) throw Error("has samples of no tensor");
  read_inputs(manifest);
  const json& graphs = member(manifest, "graphs");
  eval_.emplace(read_graph(member(graphs, "eval")));
  if (!member(graphs, "train").is_null()) train_.emplace(read_graph(graphs.at("train")));
  data_ = read_samples(member(manifest, "data"));
  data_sha256_ = digest_of_samples(manifest, manifest.at("data"));
  if (!member(manifest, "test").is_null()) {
    test_ = read_samples(manifest.at("test"));
    test_sha256_ = digest_of_samples(manifest, manifest.at("test"));
  }
  const json& reference = member(member(manifest, "reference"), "outputs");
  for (const std::string& output : outputs_) {
    reference_.push_back(value_as<std::vector<double>>(member(reference, output.c_str()), "losses"));
    if (reference_.back().size() != reference_.front().size()) throw Error("has references of unequal lengths");
  }
}

/// What files of older versions do not tell.
void ProblemFile::read_inputs(const json& manifest) {
  if (const json target = manifest.value("target", json()); !target.is_null()) {
    const auto number = [&](const char* name) { return value_as<std::int64_t>(member(target, name), "a number"); };
    const std::string name = text(target, "input");
    const auto found =
        std::find_if(inputs_.begin(), inputs_.end(), [&](const ProblemInput& input) { return input.name == name; });
    if (found == inputs_.end()) throw Error("has no input {}, its target", name);
    target_ = {static_cast<std::size_t>(found - inputs_.begin()), number("classes"), number("ignore_index")};
  }
  if (const json given = manifest.value("normalization", json()); !given.is_null()) {
    const auto numbers = [&](const char* name) {
      return value_as<std::vector<double>>(member(given, name), "numbers");
    };
    normalization_ = {numbers("mean"), numbers("std")};
  }
}

/// Every name is that of one tensor, and what refers to one does.
void ProblemFile::check_tensors() const {
  std::set<std::string> names;
  const auto add = [&](const std::string& name) {
    if (!names.insert(name).second) throw Error("has two tensors of the name {}", name);
  };
  for (const ProblemParameter& parameter : parameters_) add(parameter.name);
  for (const ProblemBuffer& buffer : buffers_) add(buffer.name);
  const std::set<std::string> listed = names;
  for (const auto& [name, of] : aliases_) {
    if (!listed.contains(of)) throw Error("ties {} to {}, which it does not have", name, of);
    add(name);
  }
  for (const ProblemBatchNorm& norm : batch_norms_) {
    for (const std::string* statistic : {&norm.running_mean, &norm.running_var, &norm.num_batches_tracked}) {
      const std::string& name = *statistic;
      const auto found = std::find_if(buffers_.begin(), buffers_.end(),
                                      [&](const ProblemBuffer& buffer) { return buffer.name == name; });
      if (found == buffers_.end()) throw Error("has no {}, a statistic of {}", name, norm.module);
      const bool is_count = statistic == &norm.num_batches_tracked;
      const at::Tensor& tensor = found->tensor;
      if (is_count ? tensor.dim() == 0 && tensor.scalar_type() == at::kLong
                   : tensor.dim() == 1 && tensor.is_floating_point()) {
        continue;
      }
      throw Error("{} is {} [{}], and no statistic of a batch norm", name, c10::toString(tensor.scalar_type()),
                  fmt::join(tensor.sizes(), ", "));
    }
  }
}

ProblemFile::Graph ProblemFile::read_graph(const json& entry) const {
  const std::string name = text(entry, "member");
  const json model = parse_json(zip_.text(name));
  if (model.is_discarded()) throw Error("{}: is not JSON", name);
  try {
    Graph graph{ExportedGraph(model), {}};
    std::map<std::string, at::Tensor> constants;
    for (const json& constant : member(entry, "constants")) constants[text(constant, "name")] = tensor_of(constant);
    std::size_t users = 0;
    for (const GraphInput& input : graph.graph.inputs()) {
      if (input.kind == InputKind::user) {
        ++users;
        continue;
      }
      const auto found = constants.find(input.name);
      if (input.kind != InputKind::constant || found == constants.end()) {
        throw Error("the graph needs {}, which the file does not hold", input.name);
      }
      graph.constants.push_back(found->second);
    }
    const std::size_t given = parameters_.size() + buffers_.size() + inputs_.size();
    if (users != given) {
      throw Error("the graph takes {} tensors, and the file holds {} parameters, buffers and inputs", users, given);
    }
    if (graph.graph.outputs() != outputs_.size()) throw Error("the graph's results do not match the manifest");
    return graph;
  } catch (const Error& error) {
    throw Error("{}: {}", name, error.what());
  }
}

ProblemSamples ProblemFile::read_samples(const json& split) const {
  ProblemSamples samples;
  samples.count = value_as<std::int64_t>(member(split, "samples"), "a number of samples");
  const auto members = value_as<std::vector<std::string>>(member(split, "members"), "names");
  if (samples.count < 1 || members.size() != inputs_.size()) throw Error("holds no samples that fit its network");
  if (is_coupled_ && samples.count % batch_size_ != 0) {
    throw Error("holds {} samples, which are not whole batches of {}", samples.count, batch_size_);
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    std::vector<std::int64_t> shape = inputs_[i].shape;
    shape.insert(shape.begin(), samples.count);
    samples.inputs.push_back(tensor(members[i], inputs_[i].type, std::move(shape)));
  }
  return samples;
}

std::string ProblemFile::digest_of_samples(const json& manifest, const json& split) const {
  std::string digests;
  for (const auto& name : value_as<std::vector<std::string>>(member(split, "members"), "names")) {
    digests += text(member(member(manifest, "members"), name.c_str()), "sha256");
  }
  Sha256 sum;
  sum.add(std::as_bytes(std::span(digests)));
  return sum.finish();
}

at::Tensor ProblemFile::tensor_of(const json& entry) const {
  return tensor(text(entry, "member"), type_of(member(entry, "dtype")), shape_of(member(entry, "shape")));
}

at::Tensor ProblemFile::tensor(const std::string& name, at::ScalarType type, std::vector<std::int64_t> shape) const {
  constexpr std::size_t kMostAxes = 64;  // that LibTorch's operators take
  if (shape.size() > kMostAxes) throw Error("{} has {} axes", name, shape.size());
  const auto bytes = zip_.bytes(name);
  std::int64_t wanted_bytes = static_cast<std::int64_t>(c10::elementSize(type));
  for (const std::int64_t size : shape) {  // of an empty tensor too: its strides must not overflow
    if (__builtin_mul_overflow(wanted_bytes, std::max<std::int64_t>(size, 1), &wanted_bytes)) {
      throw Error("{} is too large", name);
    }
  }
  const bool is_empty = std::count(shape.begin(), shape.end(), 0) > 0;
  const std::size_t wanted = is_empty ? 0 : static_cast<std::size_t>(wanted_bytes);
  if (bytes.size() != wanted) throw Error("{} has {} bytes, and its shape takes {}", name, bytes.size(), wanted);
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % c10::elementSize(type) != 0) {
    throw Error("{} is not aligned; write the file again", name);
  }
  const auto is_truth = [](std::byte value) { return value <= std::byte{1}; };
  if (type == at::kBool && !std::all_of(bytes.begin(), bytes.end(), is_truth)) {
    throw Error("{} holds what is neither true nor false", name);
  }
  auto* begin = const_cast<std::byte*>(bytes.data());  // at::from_blob has no form for what is only read
  return at::from_blob(
      begin, shape, [file = zip_.file()](void*) {}, at::TensorOptions(type));
}

std::vector<at::Tensor> ProblemFile::run(const std::vector<at::Tensor>& parameters,
                                         const std::vector<at::Tensor>& buffers, const std::vector<at::Tensor>& batch,
                                         const at::Device& device, bool train) const {
  const Graph& graph = train ? train_.value() : *eval_;
  std::vector<at::Tensor> users;
  for (const auto* some : {&parameters, &buffers, &batch}) users.insert(users.end(), some->begin(), some->end());
  std::vector<at::Tensor> all;
  std::vector<bool> may_change;
  std::size_t user = 0, constant = 0;
  for (const GraphInput& input : graph.graph.inputs()) {
    const bool is_user = input.kind == InputKind::user;
    const std::size_t buffer = user - parameters.size();  // or no buffer: then it is large
    may_change.push_back(train && is_user && buffer < buffers.size());
    all.push_back(is_user ? users.at(user++) : graph.constants[constant++].to(device));
  }
  std::vector<at::Tensor> outputs;
  try {
    outputs = graph.graph.run(all, device, may_change);
  } catch (const Error& error) {
    throw Error("{}: {}", path_.string(), error.what());
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const at::ScalarType type = outputs[i].scalar_type();
    const bool is_real = type == at::kFloat || type == at::kDouble;
    if (is_real && outputs[i].dim() == 1 && outputs[i].size(0) == batch.at(0).size(0)) continue;
    throw Error("{}: {} is {} [{}], and not one number of float32 or float64 for each of {} samples", path_.string(),
                outputs_[i], c10::toString(type), fmt::join(outputs[i].sizes(), ", "), batch.at(0).size(0));
  }
  return outputs;
}

void ProblemFile::check_reference() const {
  constexpr unsigned kSeconds = 600;
  const auto compare = [&] {
    at::set_num_threads(1);  // those of a pool stayed in the other process
    compare_with_reference();
  };
  run_apart(path_.string() + ": its graph", compare, kSeconds);
}

void ProblemFile::compare_with_reference() const {
  const at::NoGradGuard no_gradient;
  const auto samples = static_cast<std::int64_t>(reference_.front().size());
  if (samples < 1 || samples > data_.count) throw Error("{}: has no reference for its samples", path_.string());
  std::vector<at::Tensor> parameters, buffers, batch;
  for (const auto& parameter : parameters_) parameters.push_back(parameter.tensor);
  for (const auto& buffer : buffers_) buffers.push_back(buffer.tensor.clone());
  for (const auto& input : data_.inputs) batch.push_back(input.slice(0, 0, samples));
  const auto outputs = run(parameters, buffers, batch, at::kCPU);
  if (train_ && samples > 1) run(parameters, buffers, batch, at::kCPU, true);
  const double tolerance = tolerance_of(parameters_);
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const at::Tensor found = outputs[k].to(at::kDouble).contiguous();
    double largest = 0;
    for (const double value : reference_[k]) largest = std::max(largest, std::abs(value));
    for (std::int64_t i = 0; i < samples; ++i) {
      const double value = found.const_data_ptr<double>()[i], expected = reference_[k][static_cast<std::size_t>(i)];
      if (std::abs(value - expected) <= tolerance * std::max(largest, 1e-30)) continue;
      throw Error(
          "{}: {} of sample {} is {:.8g} here and was {:.8g} where it was exported: the file is damaged, or "
          "this LibTorch computes otherwise; export it again",
          path_.string(), outputs_[k], i, value, expected);
    }
  }
}

void ProblemFile::check_members() const {
  const json manifest = parse_json(zip_.text("manifest.json"));
  for (const auto& [name, member_json] : member(manifest, "members").items()) {
    Sha256 sum;
    sum.add(zip_.bytes(name));
    if (member(member_json, "sha256") != sum.finish()) {
      throw Error("{}: {} does not have its SHA-256: the file is damaged", path_.string(), name);
    }
  }
}

void ProblemFile::check_samples() const {
  check_numbers(data_);
  if (test_) check_numbers(*test_);
}

void ProblemFile::check_numbers(const ProblemSamples& samples) const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    constexpr std::int64_t kAtOnce = 256;
    const auto has_nan = [&](std::int64_t first, std::int64_t count) {
      return samples.inputs[i].slice(0, first, first + count).isnan().any().item<bool>();
    };
    for (std::int64_t row = 0; row < samples.count; ++row) {
      if (row % kAtOnce == 0 && !has_nan(row, kAtOnce))
        row += kAtOnce - 1;
      else if (has_nan(row, 1)) {
        throw Error("{}: sample {} of the {} split has NaN in {}: leave it out, or replace the NaN", path_.string(),
                    row, &samples == &data_ ? "train" : "test", inputs_[i].name);
      }
    }
  }
}

}  // namespace lossatlas
