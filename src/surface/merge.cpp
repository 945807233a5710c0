#include "surface/merge.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "storage/hdf5.h"
#include "surface/comparison.h"
#include "surface/resume.h"
#include "surface/settings.h"
#include "surface/shard.h"

namespace lossatlas {
namespace {

using nlohmann::json;

struct ShardFile {
  std::filesystem::path file;
  Shard shard;
};

/// Throws Error if the file is not a shard.
ShardFile identify(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) throw Error("{}: no such file", file.string());
  if (Hdf5Reader::is_hdf5(file)) {
    const Hdf5Reader reader(file);
    if (reader.has("/lossatlas") && reader.has_attribute("/lossatlas", "settings")) {
      const auto shard = shard_of(parse_json(reader.text_attribute("/lossatlas", "settings")));
      if (shard) return {file, *shard};
    }
  }
  throw Error("{}: not a shard; `shard` of a surface or line writes them", file.string());
}

/// By their numbers. Throws Error if one is of another number of shards, or comes twice.
std::vector<ShardFile> identify(const std::vector<std::filesystem::path>& files) {
  std::vector<ShardFile> shards;
  for (const auto& file : files) shards.push_back(identify(file));
  std::stable_sort(shards.begin(), shards.end(),
                   [](const ShardFile& a, const ShardFile& b) { return a.shard.number < b.shard.number; });
  for (std::size_t i = 1; i < shards.size(); ++i) {
    const auto &before = shards[i - 1], &now = shards[i];
    if (now.shard.count != before.shard.count) {
      throw Error("{}: shard {}, but {} is shard {}", now.file.string(), text_of(now.shard), before.file.string(),
                  text_of(before.shard));
    }
    if (now.shard == before.shard) {
      throw Error("{}: shard {}, as is {}; name one of them", now.file.string(), text_of(now.shard),
                  before.file.string());
    }
  }
  return shards;
}

bool same_point(const Surface& a, const Surface& b, std::size_t point) {
  for (std::size_t f = 0; f < a.fields.size(); ++f) {
    const Field &first = a.fields[f], &second = b.fields[f];
    if (!same_bits(first.values[point], second.values[point])) return false;
    if (first.measure.has_error && !same_bits(first.standard_errors[point], second.standard_errors[point]))
      return false;
  }
  for (std::size_t s = 0; s < a.samples.size(); ++s) {
    if (a.samples[s].counts[point] != b.samples[s].counts[point]) return false;
  }
  return true;
}

/// "3, 7-9".
std::string ranges_text(const std::vector<std::size_t>& ascending) {
  std::vector<std::string> ranges;
  for (std::size_t i = 0, end = 0; i < ascending.size(); i = end) {
    for (end = i + 1; end < ascending.size() && ascending[end] == ascending[end - 1] + 1;) ++end;
    const std::string first = std::to_string(ascending[i]);
    ranges.push_back(end == i + 1 ? first : fmt::format("{}-{}", first, ascending[end - 1]));
  }
  return fmt::format("{}", fmt::join(ranges, ", "));
}

class Merge {
 public:
  Merge(const std::vector<std::filesystem::path>& files, const MergeOptions& options)
      : shards_(identify(files)), options_(options) {}

  Merged run() {
    for (std::uint32_t number = 0; number < shards_.size(); ++number) add(number);
    if (const std::string missing = missing_text(); !missing.empty()) {
      if (!options_.partial) throw Error("{}; compute the rest, or merge what is there with `partial`", missing);
      notes_.push_back(
          fmt::format("note: {}; the same command without `shard`, with `resume`, computes the rest", missing));
    }
    whole_->provenance.update({{"seconds", seconds_}, {"merged_from", merged_from_}});
    return {std::move(*whole_), std::move(notes_)};
  }

 private:
  void add(std::uint32_t number) {
    const auto& file = shards_[number].file;
    Remains remains = read_remains(file).value();
    for (const std::string& remark : remains.remarks) notes_.push_back("note: " + remark);
    Surface& part = remains.surface;
    part.settings.erase(key_of(&Settings::shard));
    note_origin(shards_[number], part);
    if (!whole_) {
      whole_.emplace(std::move(part));
      whole_->provenance = json::object();
      from_.assign(whole_->size(), number);
      return;
    }
    check_belongs(file, part);
    take_points(number, part);
    take_rest(part);
  }

  /// Into the provenance of the whole.
  void note_origin(const ShardFile& shard, const Surface& part) {
    json entry = part.provenance;
    entry.update(
        {{"file", shard.file.filename().string()}, {"shard", text_of(shard.shard)}, {"points", part.evaluated()}});
    merged_from_.push_back(std::move(entry));
    seconds_ += part.provenance.value("seconds", 0.0);
  }

  /// What shards hold besides their points, if those before did not get to it.
  void take_rest(const Surface& part) {
    if (whole_->centre_check.is_null()) whole_->centre_check = part.centre_check;
    if (whole_->axis_curvatures.empty()) whole_->axis_curvatures = part.axis_curvatures;
    for (std::size_t i = 0; i < whole_->points.size(); ++i) {
      for (const auto& [dataset, value] : part.points[i].values) {
        if (std::isnan(whole_->points[i].value(dataset))) whole_->points[i].values[dataset] = value;
      }
    }
  }

  void check_belongs(const std::filesystem::path& file, const Surface& part) {
    const std::string name = file.string(), first = shards_.front().file.string();
    const auto others = differences(part.settings, whole_->settings);
    std::vector<std::string> keys;
    for (const Difference& other : others) keys.push_back(other.key);
    const bool is_arithmetic = !others.empty() && others.front().arithmetic;  // which come last
    const auto text = fmt::format("{}: other settings than {}: {}", name, first, fmt::join(keys, ", "));
    if (!others.empty() && !is_arithmetic) throw Error("{} (`lossatlas info --diff` compares them)", text);
    if (grid_text(part) != grid_text(*whole_) || part.size() != whole_->size()) {
      throw Error("{}: its grid is {}, that of {} is {}", name, grid_text(part), first, grid_text(*whole_));
    }
    if (names_of(part.measures()) != names_of(whole_->measures()) || part.points.size() != whole_->points.size()) {
      throw Error("{}: holds other values than {}", name, first);
    }
    if (!is_arithmetic) return;
    if (!options_.force) throw Error("{}; merge them anyway with `force`: the last bits may differ", text);
    notes_.push_back("warning: " + text + "; the last bits of their points may differ");
    whole_->provenance["other_arithmetic"] = fmt::format("{} of the shards", fmt::join(keys, ", "));
  }

  void take_points(std::uint32_t number, const Surface& part) {
    for (std::size_t point = 0; point < part.size(); ++point) {
      if (part.state[point] == PointState::missing) continue;
      if (whole_->state[point] == PointState::missing) {
        whole_->set(point, part.at(point));
        from_[point] = number;
      } else if (!same_point(*whole_, part, point)) {
        throw Error("{}: holds other values at ({}) than {}; compute one of the two again",
                    shards_[number].file.string(), fmt::join(part.grid.coordinates_of(point % part.grid.size()), ", "),
                    shards_[from_[point]].file.string());
      }
    }
  }

  /// What is missing of the whole, by shards; "" if nothing is.
  std::string missing_text() const {
    const auto order = order_of_shards(*whole_);
    const std::size_t count = shards_.front().shard.count;
    std::vector<std::size_t> points(count), missing(count);
    for (std::size_t place = 0; place < order.size(); ++place) {
      const std::size_t shard = shard_at(place, order.size(), count) - 1;
      ++points[shard];
      if (whole_->state[order[place]] == PointState::missing) ++missing[shard];
    }
    std::vector<std::string> texts;
    for (const auto& [file, shard] : shards_) {
      const std::size_t of_it = std::exchange(missing[shard.number - 1], 0);
      if (of_it == 0) continue;
      texts.push_back(fmt::format("{}: not finished, {} of its {} points are missing", file.string(), of_it,
                                  points[shard.number - 1]));
    }
    std::vector<std::size_t> absent;
    for (std::size_t shard = 0; shard < count; ++shard) {
      if (missing[shard] > 0) absent.push_back(shard + 1);
    }
    if (!absent.empty()) {
      texts.push_back(fmt::format("shard{} {} of {} {} missing", absent.size() == 1 ? "" : "s", ranges_text(absent),
                                  count, absent.size() == 1 ? "is" : "are"));
    }
    return fmt::format("{}", fmt::join(texts, "; "));
  }

  std::vector<ShardFile> shards_;
  MergeOptions options_;
  std::optional<Surface> whole_;
  std::vector<std::uint32_t> from_;  // for each point the shard that gave it
  std::vector<std::string> notes_;
  json merged_from_ = json::array();
  double seconds_ = 0;
};

}  // namespace

Merged merge_shards(const std::vector<std::filesystem::path>& files, const MergeOptions& options) {
  return Merge(files, options).run();
}

}  // namespace lossatlas
