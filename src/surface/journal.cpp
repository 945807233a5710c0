#include "surface/journal.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/crc32.h"
#include "base/files.h"
#include "base/json.h"
#include "surface/schema.h"

namespace lossatlas {
namespace {

static_assert(std::endian::native == std::endian::little, "journals are little-endian");

using Bytes = std::span<const std::byte>;

constexpr std::size_t kPrefix = kJournalMagic.size() + 2 * sizeof(std::uint32_t);
constexpr double kSyncSeconds = 1;
constexpr double kMostImages = 1e15;
/// What journals of version 1 called the values of the first split.
constexpr std::array kOldNames{std::pair{"loss", "_loss"}, std::pair{"loss_se", "_loss_se"},
                               std::pair{"accuracy", "_acc"}, std::pair{"accuracy_se", "_acc_se"},
                               std::pair{"images", "_images"}};

template <class T>
void put(std::vector<std::byte>& out, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <class T>
T get(Bytes bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

void put_checksum(std::vector<std::byte>& out) { put(out, crc32(out)); }

/// Bytes that end in the checksum of those before.
bool is_whole(Bytes bytes) {
  const std::size_t length = bytes.size() - sizeof(std::uint32_t);
  return get<std::uint32_t>(bytes, length) == crc32(bytes.first(length));
}

/// Of the splits that measures are over, the first one's first.
std::vector<Split> splits_of(const std::vector<Measure>& measures) {
  std::vector<Split> splits;
  for (const Measure& measure : measures) {
    if (measure.split && std::find(splits.begin(), splits.end(), *measure.split) == splits.end()) {
      splits.push_back(*measure.split);
    }
  }
  return splits;
}

/// The names of a record's numbers: each value and its standard error, then how many samples of each split made them.
std::vector<std::string> columns_of(const std::vector<Measure>& measures) {
  std::vector<std::string> names;
  for (const Measure& measure : measures) {
    names.push_back(measure.name);
    if (measure.has_error) names.push_back(error_dataset(measure));
  }
  for (const Split split : splits_of(measures)) names.push_back(counts_dataset(split));
  return names;
}

std::vector<std::byte> head_of(const nlohmann::json& settings, const std::vector<Measure>& measures) {
  const std::vector<std::string> names = columns_of(measures);
  const std::string text = json_text(nlohmann::json{{"settings", settings}, {"values", names}});
  std::vector<std::byte> head;
  for (const char c : kJournalMagic) put(head, c);
  put(head, kJournalVersion);
  put(head, static_cast<std::uint32_t>(text.size()));
  for (const char c : text) put(head, c);
  put_checksum(head);
  return head;
}

std::size_t record_size(std::size_t values) {
  return sizeof(std::uint64_t) + values * sizeof(double) + sizeof(std::uint32_t);
}

/// Writes the head whole, so that no journal ever lacks a part of it. Replaces a journal, and nothing else.
const std::filesystem::path& start(const std::filesystem::path& file, const nlohmann::json& settings,
                                   const std::vector<Measure>& measures) {
  check_journal(file);
  write_atomically(file, [&](const ByteSink& sink) { sink(head_of(settings, measures)); });
  return file;
}

/// Where the text of the head begins and ends. Throws if the head is not whole.
std::string head_text(const std::filesystem::path& file, Bytes bytes) {
  if (bytes.size() < kPrefix || std::memcmp(bytes.data(), kJournalMagic.data(), kJournalMagic.size()) != 0) {
    throw DamagedJournal("{}: not a journal of a sweep, or damaged at its start", file.string());
  }
  const auto version = get<std::uint32_t>(bytes, kJournalMagic.size());
  if (version > kJournalVersion) {
    throw Error("{}: journal version {}, this program knows up to {}; use a newer Lossatlas", file.string(), version,
                kJournalVersion);
  }
  const std::size_t length = get<std::uint32_t>(bytes, kJournalMagic.size() + sizeof version);
  const std::size_t size = kPrefix + length + sizeof(std::uint32_t);
  if (bytes.size() < size || !is_whole(bytes.first(size))) {
    throw DamagedJournal("{}: damaged at its start", file.string());
  }
  return {reinterpret_cast<const char*>(bytes.data()) + kPrefix, length};
}

/// The settings, and the names of a record's values.
std::pair<nlohmann::json, std::vector<std::string>> parse_head(const std::filesystem::path& file,
                                                               const std::string& text) {
  const nlohmann::json head = parse_json(text);
  try {
    return {head.at("settings"), head.at("values").get<std::vector<std::string>>()};
  } catch (const nlohmann::json::exception&) {
    throw DamagedJournal("{}: damaged at its start", file.string());
  }
}

/// Where the numbers of a record belong.
struct Columns {
  struct Value {
    Measure measure;
    std::size_t column;
    std::optional<std::size_t> error;  // the column of its standard error
  };
  std::vector<Value> values;
  std::vector<std::pair<Split, std::size_t>> counts;  // of the first split first
};

/// Throws Error if a journal holds no loss, or not how many images made it.
Columns columns_from(const std::filesystem::path& file, std::vector<std::string> names,
                     const nlohmann::json& settings) {
  const std::string first = settings.value("split", nlohmann::json()) == "test" ? "test" : "train";
  for (std::string& name : names) {
    for (const auto& [old, now] : kOldNames) {
      if (name == old) {
        name = first + now;
        break;
      }
    }
  }
  Columns columns;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].ends_with("_se")) continue;
    const Measure measure = measure_of(names[i]);
    if (measure.kind == "images" && measure.split) {
      columns.counts.emplace_back(*measure.split, i);
      continue;
    }
    const auto error = std::find(names.begin(), names.end(), error_dataset(measure));
    columns.values.push_back({measure, i, {}});
    if (error != names.end()) columns.values.back().error = static_cast<std::size_t>(error - names.begin());
  }
  const bool has_loss = !columns.values.empty() && columns.values[0].measure.kind == "loss";
  if (!has_loss || !columns.values[0].measure.split) throw Error("{}: holds no loss", file.string());
  if (columns.counts.empty()) throw Error("{}: holds no images", file.string());
  return columns;
}

}  // namespace

Journal::Journal(const std::filesystem::path& file, const nlohmann::json& settings, std::vector<Measure> measures)
    : measures_(std::move(measures)), file_(start(file, settings, measures_)) {}

void Journal::add(std::size_t index, const Evaluation& evaluation) {
  std::vector<std::byte> record;
  put(record, static_cast<std::uint64_t>(index));
  const auto splits = splits_of(measures_);
  const auto part = [&](Split split) -> const Evaluation& {
    return split == splits[0] ? evaluation : evaluation.second.at(0);
  };
  for (const Measure& measure : measures_) {
    const Evaluation& of = part(measure.split.value_or(splits[0]));
    put(record, of.value(measure.kind));
    if (measure.has_error) put(record, of.standard_error(measure.kind));
  }
  for (const Split split : splits) put(record, static_cast<double>(part(split).images));
  put_checksum(record);
  file_.append(record);
  ++points_;
  if (synced_.seconds() < kSyncSeconds) return;
  file_.sync();
  synced_.restart();
}

JournalContents read_journal(const std::filesystem::path& file) {
  const auto content = content_of(file);
  if (!content) throw Error("{}: cannot be read", file.string());
  const Bytes all = std::as_bytes(std::span(*content));
  const std::string text = head_text(file, all);
  auto [settings, names] = parse_head(file, text);
  const std::size_t size = record_size(names.size());

  JournalContents contents{.settings = upgraded(std::move(settings)), .measures = {}, .points = {}};
  const Columns columns = columns_from(file, names, contents.settings);
  for (const auto& value : columns.values) contents.measures.push_back(value.measure.name);
  const Split first = *columns.values[0].measure.split;
  const bool has_second = std::any_of(columns.values.begin(), columns.values.end(), [&](const auto& value) {
    return value.measure.split && *value.measure.split != first;
  });
  Bytes rest = all.subspan(kPrefix + text.size() + sizeof(std::uint32_t));
  for (; rest.size() >= size && is_whole(rest.first(size)); rest = rest.subspan(size)) {
    const auto number = [&](std::size_t i) { return get<double>(rest, sizeof(std::uint64_t) + i * sizeof(double)); };
    const auto is_count = [&](const auto& count) {
      return number(count.second) >= 0 && number(count.second) < kMostImages;
    };
    if (!std::all_of(columns.counts.begin(), columns.counts.end(), is_count)) break;
    Evaluation point;
    if (has_second) point.second.emplace_back();
    const auto part = [&](Split split) -> Evaluation& {
      return split == first || !has_second ? point : point.second[0];
    };
    for (const auto& [split, column] : columns.counts) part(split).images = static_cast<std::int64_t>(number(column));
    for (const auto& [measure, column, error] : columns.values) {
      part(measure.split.value_or(first)).set(measure.kind, number(column), error ? number(*error) : kNotKnown);
    }
    contents.points.emplace_back(get<std::uint64_t>(rest, 0), std::move(point));
  }
  contents.lost_bytes = rest.size();
  return contents;
}

std::filesystem::path journal_of(const std::filesystem::path& surface) {
  auto file = surface;
  return file += ".journal";
}

void check_journal(const std::filesystem::path& journal) {
  std::error_code code;
  if (!std::filesystem::exists(std::filesystem::symlink_status(journal, code)) || begins_with(journal, kJournalMagic))
    return;
  throw Error(
      "{}: not a journal of this program, which keeps one under this name; move it away, or choose another `out`",
      journal.string());
}

std::vector<std::filesystem::path> journals_of(const std::filesystem::path& surface) {
  const auto own = journal_of(surface);
  const std::string stem = own.filename().string();
  // A temporary file, or a damaged one that was put aside, does not end in a number.
  const auto is_journal = [&](const std::string& name) {
    const std::string end = name.substr(name.rfind('.') + 1);
    return name == stem ||
           (name.starts_with(stem + ".") && !end.empty() && end.find_first_not_of("0123456789") == std::string::npos);
  };
  std::vector<std::filesystem::path> found;
  std::error_code code;
  const auto folder = surface.has_parent_path() ? surface.parent_path() : std::filesystem::path(".");
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    const auto name = entry.path().filename();
    if (is_journal(name.string()) && begins_with(entry.path(), kJournalMagic))
      found.push_back(own.parent_path() / name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace lossatlas
