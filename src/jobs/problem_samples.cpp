#include <ATen/ops/tensor.h>
#include <c10/core/ScalarType.h>

#include <algorithm>

#include "base/error.h"
#include "evaluation/graph_problem.h"
#include "jobs/samples.h"

namespace lossatlas {
namespace {

bool is_same(const ProblemInput& a, const ProblemInput& b) { return a.type == b.type && a.shape == b.shape; }

/// "x float32 [3, 32, 32], y int64 []"
std::string text_of(const std::vector<ProblemInput>& inputs) {
  std::string text;
  for (const ProblemInput& input : inputs) {
    text += fmt::format("{}{}{}{} [{}]", text.empty() ? "" : ", ", input.name, input.name.empty() ? "" : " ",
                        c10::getDtypeNames(input.type).first, fmt::join(input.shape, ", "));
  }
  return text;
}

/// One sample of each tensor.
std::vector<ProblemInput> inputs_of(const Batch& samples) {
  std::vector<ProblemInput> inputs;
  for (const at::Tensor& tensor : samples.inputs) {
    inputs.push_back({"", tensor.scalar_type(), tensor.sizes().slice(1).vec()});
  }
  return inputs;
}

/// `text` names the samples.
void check_fit(const ProblemFile& file, const Batch& samples, const std::string& text) {
  const auto have = inputs_of(samples);
  if (std::ranges::equal(have, file.inputs(), is_same)) return;
  throw Error("{}: a sample is {}, and {} takes {}", text, text_of(have), file.file().string(), text_of(file.inputs()));
}

/// Labels [N, …] that the network has.
void check_labels(const ProblemFile& file, const at::Tensor& labels, const std::string& text) {
  const ProblemTarget& target = *file.target();
  const at::Tensor is_wrong =
      labels.lt(0).logical_or(labels.ge(target.classes)).logical_and(labels.ne(target.ignore_index));
  if (!is_wrong.any().item<bool>()) return;
  throw Error("{}: label {} of sample {} is not one of the network's 0 to {}", text,
              labels.masked_select(is_wrong)[0].item<std::int64_t>(), is_wrong.nonzero()[0][0].item<std::int64_t>(),
              target.classes - 1);
}

/// Token ids are below the number of classes; of a loss that is a function, below the rows of the largest embedding.
std::int64_t vocabulary_of(const ProblemFile& file) {
  if (file.target()) return file.target()->classes;
  std::int64_t largest = 0;
  for (const ProblemParameter& parameter : file.parameters()) {
    if (parameter.module_class == "Embedding") largest = std::max(largest, parameter.tensor.size(0));
  }
  return largest;
}

std::shared_ptr<const SampleSource> read_tokens(const ProblemFile& file, const DataSpec& spec, Split split,
                                                const std::string& text, at::Device device) {
  const ProblemInput& input = file.inputs().front();
  const std::int64_t block = input.shape.size() == 1 ? input.shape.front() : 0;
  const ArrayData blocks = load_arrays(spec, split, {.block = block, .vocabulary = vocabulary_of(file)});
  Batch ids;
  for (const Array* array : {&blocks.inputs.front(), &*blocks.targets}) {
    if (ids.inputs.size() == file.inputs().size()) break;  // some networks take the tokens alone
    ids.inputs.push_back(tensor_of(*array).view(bytes_of(array->type()) == 2 ? at::kShort : at::kInt));
  }
  auto source = std::make_shared<TokenBlocks>(std::make_shared<TensorSamples>(ids, device, least_batch(file)));
  check_fit(file, source->batch(0, 1), text);
  return source;
}

std::shared_ptr<const SampleSource> read_arrays(const ProblemFile& file, const DataSpec& spec, Split split,
                                                const std::string& text, at::Device device) {
  const ArrayData arrays = load_arrays(spec, split);
  Batch all;
  for (const Array& input : arrays.inputs) all.inputs.push_back(tensor_of(input));
  if (arrays.targets) all.inputs.push_back(tensor_of(*arrays.targets));
  check_fit(file, all, text);
  if (file.target()) check_labels(file, all.inputs[file.target()->input], text);
  return std::make_shared<TensorSamples>(std::move(all), device, least_batch(file));
}

std::shared_ptr<const SampleSource> read_images(const ProblemFile& file, DataRequest request, Split split,
                                                const std::string& text, at::Device device, Observer& observer) {
  const auto& stored = file.normalization();
  if (!stored && (request.mean.empty() || request.std.empty())) {
    throw UsageError(
        "{}: give `mean` and `std`, with which the network's images were normalized; {} does not record them", text,
        file.file().string());
  }
  if (request.mean.empty()) request.mean = stored->mean;
  if (request.std.empty()) request.std = stored->deviation;
  const auto images = std::make_shared<Images>(std::make_shared<const DataSet>(load(request, split, observer)), device);
  auto source = std::make_shared<ImageInputs>(images, file.inputs().size() > 1, least_batch(file));
  check_fit(file, source->batch(0, 1), text);
  if (file.target()) check_labels(file, at::tensor(images->classes(), at::kLong), text);
  return source;
}

}  // namespace

ProblemSplit problem_split(const ProblemFile& file, const DataRequest& request, Split split, at::Device device,
                           Observer& observer) {
  const std::string& words = split == Split::test && !request.test_data.empty() ? request.test_data : request.data;
  if (words.empty()) {
    return {samples_of(file, split, device), split_text(split, file.file().string()),
            file.data_sha256(split == Split::test)};
  }
  const std::string text = split_text(split, words);
  if (is_arrays(words) && !(request.mean.empty() && request.std.empty())) {
    throw UsageError("`{}`: applies to images only; {} is used as it is", request.mean.empty() ? "std" : "mean", words);
  }
  const DataSpec spec = spec_of(request);
  auto source = is_tokens(words)   ? read_tokens(file, spec, split, text, device)
                : is_arrays(words) ? read_arrays(file, spec, split, text, device)
                                   : read_images(file, request, split, text, device, observer);
  if (file.is_coupled() && source->size() % file.batch_size() != 0) {
    throw Error("{}: {} samples are not whole batches of {}, whose samples are coupled", text, source->size(),
                file.batch_size());
  }
  return {std::move(source), text, ""};
}

}  // namespace lossatlas
