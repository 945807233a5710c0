#include "jobs/samples.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/stopwatch.h"
#include "jobs/arithmetic.h"

namespace lossatlas {
namespace {

using nlohmann::json;

std::vector<double> channel_values(const char* field, std::vector<double> values, std::size_t channels) {
  const auto given = values;
  if (values.size() == 1) values.resize(channels, values[0]);
  if (values.size() == channels) return values;
  throw UsageError("`{}` {}: requires {} numbers, one per channel", field, fmt::join(given, ","), channels);
}

/// `given`: what was asked for; empty if the values are those that the checkpoint recorded.
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

}  // namespace

DataSpec spec_of(const DataRequest& request) {
  DataSpec spec(request.data);
  spec.test_words = request.test_data;
  spec.images = {.resize = request.resize,
                 .crop = request.crop,
                 .interpolation = request.interpolation,
                 .skip_bad = request.skip_bad,
                 .cache = request.image_cache};
  spec.copies = request.copies;
  return spec;
}

DataSet load(const DataRequest& request, Split split, Observer& observer, const json& metadata) {
  bool has_progress = false;
  const Stopwatch watch;
  const DataObserver listener{.on_progress =
                                  [&](std::int64_t done, std::int64_t all) {
                                    has_progress = true;
                                    observer.on_progress(DataProgress{done, all, watch.seconds()});
                                  },
                              .on_note = [&](const std::string& text) { observer.on_note("note: " + text); }};
  DataSet set = load_data(spec_of(request), split, listener);
  if (has_progress) observer.on_progress_end();
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
  if (set.pixels.type() != NumberType::uint8) {  // values of any scale
    for (const double deviation : set.normalization.deviation) {
      if (!(deviation > 0)) throw UsageError("`std` {}: requires numbers above 0", fmt::join(request.std, ","));
    }
    return;
  }
  check_normalization(set.normalization.mean, "mean", request.mean,
                      [](double value) { return value >= 0 && value <= 1; });
  check_normalization(set.normalization.deviation, "std", request.std,
                      [](double value) { return value > 0 && value <= 1; });
}

ChosenSamples choose(std::shared_ptr<const SampleSource> source, std::int64_t count, std::uint64_t seed,
                     bool is_nested) {
  ChosenSamples chosen;
  chosen.population = source->size();
  if (count < 0) count = -count < chosen.population ? -count : 0;
  chosen.is_sample = count > 0 || is_nested;
  if (chosen.is_sample) {
    std::vector<std::int64_t> classes = source->classes();
    classes.resize(static_cast<std::size_t>(chosen.population));  // of samples without, one
    chosen.samples = stratified_sample(classes, static_cast<std::size_t>(count > 0 ? count : chosen.population), seed);
    source = source->subset(chosen.samples);
  } else {
    chosen.samples.resize(static_cast<std::size_t>(chosen.population));
    std::iota(chosen.samples.begin(), chosen.samples.end(), 0);
  }
  chosen.source = std::move(source);
  return chosen;
}

void settle_split(LandscapeRequest& request, std::vector<std::string>& notes) {
  if (request.split != "both") return;
  check(request);  // before a file is read
  const DataRequest& data = request.data;
  const bool has_own = !request.problem.empty() && data.data.empty() && data.test_data.empty();
  if (!has_own && data.data.empty() && data.test_data.empty()) return;  // refused elsewhere
  if (has_own ? ProblemFile(request.problem).test().has_value() : has_test_split(spec_of(data))) return;
  request.split = name_of(Split::train);
  notes.push_back(fmt::format("{} has no test split: training {} alone are evaluated",
                              has_own ? request.problem.string() : data.data,
                              request.problem.empty() ? "images" : "samples"));
}

void check_count(const char* option, std::int64_t count, std::int64_t all, const std::string& of,
                 std::string_view word) {
  if (count > all) throw UsageError("{} {}: {} has {} {}", option, count, of, all, word);
}

std::string split_text(Split split, const std::string& data) {
  return fmt::format("the {} split of {}", name_of(split), data);
}

}  // namespace lossatlas
