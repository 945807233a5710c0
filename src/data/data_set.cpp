#include "data/data_set.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/philox.h"
#include "data/cifar.h"
#include "data/idx.h"
#include "data/synthetic.h"

namespace lossatlas {

std::string_view name_of(Split split) { return split == Split::train ? "train" : "test"; }

namespace {

constexpr std::int64_t kRankStream = 256;  // of a sample's random numbers: what orders the classes

/// Data that are files in a folder.
struct FolderKind {
  std::string name;   // "cifar10"
  std::string shown;  // in messages: "cifar10:DIR"
  DataSet (*load)(const std::filesystem::path& folder, Split split);
  std::vector<std::filesystem::path> (*files)(const std::filesystem::path& folder);
};

const std::vector<FolderKind>& folder_kinds() {
  using Folder = const std::filesystem::path&;
  static const std::vector<FolderKind> kinds{
      {"cifar10", "cifar10:DIR", [](Folder folder, Split split) { return load_cifar(Cifar::ten, folder, split); },
       [](Folder folder) { return cifar_files(Cifar::ten, folder); }},
      {"cifar100", "cifar100:DIR[:coarse]",
       [](Folder folder, Split split) { return load_cifar(Cifar::hundred, folder, split); },
       [](Folder folder) { return cifar_files(Cifar::hundred, folder); }},
      {"cifar100-coarse", "",
       [](Folder folder, Split split) { return load_cifar(Cifar::hundred_coarse, folder, split); },
       [](Folder folder) { return cifar_files(Cifar::hundred_coarse, folder); }},
      {"mnist", "mnist:DIR", load_idx, idx_files}};
  return kinds;
}

struct Words {
  const FolderKind* kind = nullptr;  // null: synthetic
  std::string rest;                  // after the colon
};

Words parse(const std::string& words) {
  constexpr std::string_view kCoarse = ":coarse";
  const auto colon = words.find(':');
  std::string name = words.substr(0, colon), rest = colon == words.npos ? "" : words.substr(colon + 1);
  if (name == "synthetic") return {nullptr, colon == words.npos ? "5000" : rest};
  if (name == "cifar100" && rest.ends_with(kCoarse)) {
    rest.resize(rest.size() - kCoarse.size());
    name += "-coarse";
  }
  std::string known = "synthetic[:N]";
  for (const FolderKind& kind : folder_kinds()) {
    if (kind.name == name && colon != words.npos) {
      if (!rest.empty()) return {&kind, rest};
    }
    if (kind.name == name) {
      throw UsageError("`data` {}: requires the folder of its files, as in {}:DIR", words, name);
    }
    if (!kind.shown.empty()) known += (&kind == &folder_kinds().back() ? " and " : ", ") + kind.shown;
  }
  const bool is_folder = std::filesystem::is_directory(in_home(words));
  throw UsageError("`data` {}: unknown kind of data; there are {}{}", words, known,
                   is_folder ? fmt::format("; of a folder as in cifar10:{}", words) : "");
}

}  // namespace

DataSet load_data(const std::string& words, Split split) {
  const auto [kind, rest] = parse(words);
  DataSet data;
  if (kind) {
    data = kind->load(in_home(rest), split);
  } else {
    std::uint32_t count = 5000;
    const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    if (failure != std::errc{} || end != rest.data() + rest.size() || count < 40 || count > 1'000'000) {
      throw UsageError("`data` {}: wants a number of training images from 40 to 1000000, as in synthetic:2000", words);
    }
    data = make_synthetic(count, split);
  }
  data.name = words;
  return data;
}

std::vector<std::filesystem::path> data_files(const std::string& words) {
  const auto [kind, rest] = parse(words);
  return kind ? kind->files(in_home(rest)) : std::vector<std::filesystem::path>{};
}

nlohmann::json settings_of(const DataSet& data) {
  return {{"data", data.name}, {"mean", data.normalization.mean}, {"std", data.normalization.deviation}};
}

DataSet subset(const DataSet& data, std::span<const std::int64_t> indices) {
  DataSet part{.name = data.name,
               .shape = data.shape,
               .classes = data.classes,
               .pixels = {},
               .labels = {},
               .normalization = data.normalization};
  const std::size_t bytes = data.image_bytes();
  part.pixels.reserve(indices.size() * bytes);
  part.labels.reserve(indices.size());
  for (const std::int64_t index : indices) {
    const auto first = data.pixels.begin() + index * static_cast<std::ptrdiff_t>(bytes);
    part.pixels.insert(part.pixels.end(), first, first + static_cast<std::ptrdiff_t>(bytes));
    part.labels.push_back(data.labels[static_cast<std::size_t>(index)]);
  }
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
