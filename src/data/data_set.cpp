#include "data/data_set.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/philox.h"
#include "data/array_visit.h"
#include "data/kinds.h"

namespace lossatlas {

std::string_view name_of(Split split) { return split == Split::train ? "train" : "test"; }

namespace {

constexpr std::int64_t kRankStream = 256;  // of a sample's random numbers: what orders the classes

struct NamedData {
  const DataKind* kind;
  std::string rest;  // after the colon
};

NamedData parse(const std::string& words) {
  const auto colon = words.find(':');
  const std::string name = words.substr(0, colon), rest = colon == words.npos ? "" : in_home(words.substr(colon + 1));
  for (const DataKind& kind : data_kinds()) {
    const bool is_optional = kind.shown.find("[:") == kind.name.size();
    if (kind.name == name && (!rest.empty() || (is_optional && colon == words.npos))) return {&kind, rest};
    if (kind.name != name) continue;
    const bool is_of_folder = kind.shown.find(":DIR") != kind.shown.npos;
    const char* missing = is_of_folder  ? "the folder of its files"
                          : is_optional ? "a number after the colon"
                                        : "a file";
    throw UsageError("`data` {}: requires {}, as in {}", words, missing, kind.shown);
  }
  const bool is_folder = std::filesystem::is_directory(in_home(words));
  throw UsageError("`data` {}: unknown kind of data; requires {}{}", words, list_of_data_kinds(),
                   is_folder ? fmt::format("; of a folder as in cifar10:{}", words) : "");
}

/// What is read: the data of the words, or their copy.
NamedData parse(const std::string& words, const DataSpec& spec) {
  const auto copy = spec.copies.find(words);
  return parse(copy == spec.copies.end() ? words : copy->second);
}

bool has_test(const NamedData& data) { return !data.kind->has_test || data.kind->has_test(data.rest); }

/// What a split is read from. Words for the test split name data that have one, or that are one.
std::pair<std::string, Split> source_of(const DataSpec& spec, Split split) {
  if (split == Split::train) return {spec.words, split};
  if (spec.test_words.empty()) {
    if (has_test(parse(spec.words, spec))) return {spec.words, split};
    throw Error("{}: has no test split; name one with `test_data`, or choose `split` train", spec.words);
  }
  return {spec.test_words, has_test(parse(spec.test_words, spec)) ? Split::test : Split::train};
}

std::string size_text(const char* word, const std::vector<std::int64_t>& size) {
  return size.empty() ? "" : fmt::format("{} {}, ", word, fmt::join(size, "x"));
}

std::string transform_text(const ImageOptions& options) {
  const bool resizes = !options.resize.empty();
  std::string text = size_text("resize", options.resize) + size_text("crop", options.crop);
  return text + (resizes ? options.interpolation : "as decoded");
}

/// Labels are positions in a list of names: two folders of pictures must have the same.
void check_classes(const DataSpec& spec) {
  if (spec.words.empty()) return;
  const auto [train, rest] = parse(spec.words, spec);
  const auto [test, test_rest] = parse(spec.test_words, spec);
  if (!train->class_names || !test->class_names) return;
  const Split part = has_test({test, test_rest}) ? Split::test : Split::train;
  const auto names = train->class_names(rest, Split::train), others = test->class_names(test_rest, part);
  const auto [name, other] = std::ranges::mismatch(names, others);
  if (name == names.end() && other == others.end()) return;
  throw Error("{} and {} do not have the same classes: {} against {}", spec.words, spec.test_words,
              name == names.end() ? "nothing" : *name, other == others.end() ? "nothing" : *other);
}

}  // namespace

DataSet load_data(const DataSpec& spec, Split split, const DataObserver& observer) {
  const auto [words, part] = source_of(spec, split);
  const auto [kind, rest] = parse(words, spec);
  if (!kind->load) throw UsageError("`data` {}: has no class labels; it requires `problem`", words);
  if (split == Split::test && !spec.test_words.empty()) check_classes(spec);
  DataSet data = kind->load(rest, part, spec.images, observer);
  data.name = words;
  if (kind->class_names) data.transform = transform_text(spec.images);
  return data;
}

ArrayData load_arrays(const DataSpec& spec, Split split, const TokenOptions& tokens) {
  const auto [words, part] = source_of(spec, split);
  const auto [kind, rest] = parse(words, spec);
  if (!kind->load_arrays) throw UsageError("`data` {}: images, not arrays", words);
  ArrayData data = kind->load_arrays(rest, part, tokens);
  data.name = words;
  if (tokens.vocabulary > 0) check_ids(data, tokens.vocabulary);
  return data;
}

void check_ids(const ArrayData& data, std::int64_t vocabulary) {
  const auto check = [&](const Array& array, std::string_view what) {
    if (is_float(array.type())) return;
    visit(array, [&](auto ids) {
      const auto bad = std::find_if(ids.begin(), ids.end(), [&](auto id) {
        return static_cast<double>(id) < 0 || static_cast<double>(id) >= static_cast<double>(vocabulary);
      });
      if (bad == ids.end()) return;
      const auto position = static_cast<std::size_t>(bad - ids.begin());
      throw Error("{}: id {} at position {} of its {} (sample {}) is not one of the vocabulary's 0 to {}",
                  data.file.string(), static_cast<double>(*bad), position, what, position * array.rows() / array.size(),
                  vocabulary - 1);
    });
  };
  for (const Array& input : data.inputs) check(input, "inputs");
  if (data.targets) check(*data.targets, "targets");
}

std::string transform_of(const DataSpec& spec) {
  const std::string& words = spec.words.empty() ? spec.test_words : spec.words;
  return !words.empty() && parse(words).kind->class_names ? transform_text(spec.images) : "";
}

std::string list_of_data_kinds() {
  std::string list;
  for (const DataKind& kind : data_kinds()) {
    list += (list.empty() ? "" : &kind == &data_kinds().back() ? " or " : ", ") + kind.shown;
  }
  return list;
}

std::string moved_data(const std::string& words, const std::function<std::string(const std::string&)>& place) {
  const auto [kind, rest] = parse(words);
  const bool has_files = kind->shown.find(":DIR") != kind->shown.npos || kind->shown.find(":FILE") != kind->shown.npos;
  return has_files ? kind->name + ":" + place(rest) : words;
}

bool is_tokens(const std::string& words) { return parse(words).kind->name == "tokens"; }

bool is_arrays(const std::string& words) { return parse(words).kind->load_arrays != nullptr; }

bool has_test_split(const DataSpec& spec) { return !spec.test_words.empty() || has_test(parse(spec.words, spec)); }

std::vector<std::filesystem::path> data_files(const DataSpec& spec) {
  std::vector<std::filesystem::path> files;
  for (const std::string& words : {spec.words, spec.test_words}) {
    if (words.empty()) continue;
    const auto [kind, rest] = parse(words, spec);
    const auto own = kind->files(rest);
    files.insert(files.end(), own.begin(), own.end());
  }
  return files;
}

nlohmann::json settings_of(const DataSet& data) {
  nlohmann::json settings{
      {"data", data.name}, {"mean", data.normalization.mean}, {"std", data.normalization.deviation}};
  if (!data.transform.empty()) settings["transform"] = data.transform;
  return settings;
}

DataSet subset(const DataSet& data, std::span<const std::int64_t> indices) {
  DataSet part = data;
  part.pixels = data.pixels.rows(indices);
  part.labels.clear();
  for (const std::int64_t index : indices) part.labels.push_back(data.labels[static_cast<std::size_t>(index)]);
  return part;
}

std::vector<std::int64_t> stratified_sample(std::span<const std::int64_t> labels, std::size_t count,
                                            std::uint64_t seed) {
  // Image k of the n in its class, in a random order, stands at (k + 1/2) / n of the whole; sorted by that, every
  // prefix holds each class in proportion. Equal places are taken in a random order of the classes.
  const std::int64_t most = labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end());
  const auto ranks = static_cast<std::uint32_t>(std::max(kRankStream, most + 1));
  const auto class_rank = random_order(ranks, RandomStream(seed, Purpose::sample, kRankStream));
  struct Place {
    double where;
    std::uint32_t rank;
    std::int64_t index;
  };
  std::map<std::int64_t, std::vector<std::int64_t>> members;
  for (std::size_t i = 0; i < labels.size(); ++i) members[labels[i]].push_back(static_cast<std::int64_t>(i));
  std::vector<Place> places;
  places.reserve(labels.size());
  for (const auto& [label, indices] : members) {
    const auto stream = static_cast<std::uint64_t>(label < kRankStream ? label : label + 1);
    const auto order =
        random_order(static_cast<std::uint32_t>(indices.size()), RandomStream(seed, Purpose::sample, stream));
    for (std::size_t k = 0; k < order.size(); ++k) {
      const double where = (static_cast<double>(k) + 0.5) / static_cast<double>(order.size());
      places.push_back({where, class_rank[static_cast<std::size_t>(label)], indices[order[k]]});
    }
  }
  std::sort(places.begin(), places.end(),
            [](const Place& a, const Place& b) { return a.where != b.where ? a.where < b.where : a.rank < b.rank; });
  std::vector<std::int64_t> sample;
  sample.reserve(count);
  for (std::size_t i = 0; i < count; ++i) sample.push_back(places[i].index);
  return sample;
}

}  // namespace lossatlas
