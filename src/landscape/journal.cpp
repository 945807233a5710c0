#include "landscape/journal.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/crc32.h"
#include "base/files.h"
#include "base/json.h"

namespace lossatlas {
namespace {

static_assert(std::endian::native == std::endian::little, "journals are little-endian");

using Bytes = std::span<const std::byte>;

constexpr std::size_t kPrefix = kJournalMagic.size() + 2 * sizeof(std::uint32_t);
constexpr double kSyncSeconds = 1;
constexpr double kMostImages = 1e15;
const std::array<const char*, 5> kValues{"loss", "loss_se", "accuracy", "accuracy_se", "images"};

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

std::vector<std::byte> head_of(const nlohmann::json& settings, const std::vector<std::string>& more_names) {
  std::vector<std::string> names(kValues.begin(), kValues.end());
  names.insert(names.end(), more_names.begin(), more_names.end());
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
                                   const std::vector<std::string>& more_names) {
  check_journal(file);
  write_atomically(file, [&](const ByteSink& sink) { sink(head_of(settings, more_names)); });
  return file;
}

/// Where the text of the head begins and ends. Throws where the head is not whole.
std::string head_text(const std::filesystem::path& file, Bytes bytes) {
  if (bytes.size() < kPrefix || std::memcmp(bytes.data(), kJournalMagic.data(), kJournalMagic.size()) != 0) {
    throw DamagedJournal("{}: no journal of a sweep, or damaged at its start", file.string());
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

/// The names of a record's values after our own. Throws Error where it lacks one of these.
std::vector<std::string> more_names_of(const std::filesystem::path& file, const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < kValues.size(); ++i) {
    if (i >= names.size() || names[i] != kValues[i]) throw Error("{}: holds no {}", file.string(), kValues[i]);
  }
  return {names.begin() + kValues.size(), names.end()};
}

}  // namespace

Journal::Journal(const std::filesystem::path& file, const nlohmann::json& settings,
                 const std::vector<std::string>& more_names)
    : file_(start(file, settings, more_names)) {}

void Journal::add(std::size_t index, const Evaluation& evaluation) {
  std::vector<std::byte> record;
  put(record, static_cast<std::uint64_t>(index));
  for (const double value : {evaluation.loss, evaluation.loss_se, evaluation.accuracy, evaluation.accuracy_se,
                             static_cast<double>(evaluation.images)}) {
    put(record, value);
  }
  for (const double value : evaluation.more) put(record, value);
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

  JournalContents contents{
      .settings = std::move(settings), .more_names = more_names_of(file, names), .points = {}, .lost_bytes = 0};
  Bytes rest = all.subspan(kPrefix + text.size() + sizeof(std::uint32_t));
  for (; rest.size() >= size && is_whole(rest.first(size)); rest = rest.subspan(size)) {
    const auto value = [&](std::size_t i) { return get<double>(rest, sizeof(std::uint64_t) + i * sizeof(double)); };
    if (!(value(4) >= 0 && value(4) < kMostImages)) break;
    Evaluation point{.loss = value(0),
                     .loss_se = value(1),
                     .accuracy = value(2),
                     .accuracy_se = value(3),
                     .images = static_cast<std::int64_t>(value(4))};
    for (std::size_t i = kValues.size(); i < names.size(); ++i) point.more.push_back(value(i));
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
