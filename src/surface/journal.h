#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/append_file.h"
#include "base/error.h"
#include "base/stopwatch.h"
#include "grid/measure.h"

namespace lossatlas {

/// Version of the layout that docs/file-format.md describes.
inline constexpr std::uint32_t kJournalVersion = 2;
/// The first 16 bytes of every journal.
inline constexpr std::string_view kJournalMagic = "lossatlas-journ\n";

/// The points of a sweep as they were finished: it holds what a surface file lacks after a kill. Each point is
/// added by one write(), so that no kill takes it away, and reaches the disk within a second of the next one.
class Journal {
 public:
  /// Starts a journal without points, in the place of any that is there. `measures`: those of the surface. Throws
  /// Error, also if the file is not a journal.
  Journal(const std::filesystem::path& file, const nlohmann::json& settings, std::vector<Measure> measures);

  /// `index`: of the point in the surface. Throws Error if it cannot be written; the points before stay. One call at
  /// a time.
  void add(std::size_t index, const Evaluation& evaluation);

  std::size_t points() const { return points_; }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  std::vector<Measure> measures_;
  AppendFile file_;
  Stopwatch synced_;
  std::size_t points_ = 0;
};

struct JournalContents {
  nlohmann::json settings;            // of the surface whose points these are, as the present format has them
  std::vector<std::string> measures;  // their names
  std::vector<std::pair<std::size_t, Evaluation>> points;
  std::size_t lost_bytes = 0;  // after the last good record: torn by a power failure, or damaged
};

/// The head of the file is damaged: whose points it holds cannot be known.
class DamagedJournal : public Error {
 public:
  using Error::Error;
};

/// Reads a journal up to the first record that is torn or damaged. Throws DamagedJournal, or Error for a file of a
/// newer version and for one that is no journal.
JournalContents read_journal(const std::filesystem::path& file);

/// S.h5.journal, beside the surface S.h5.
std::filesystem::path journal_of(const std::filesystem::path& surface);

/// Throws Error if something is at that path that does not begin as a journal does: it belongs to somebody else.
void check_journal(const std::filesystem::path& journal);

/// That, and the journals S.h5.journal.HOST.PID of processes that joined, as far as they are there, by name. Files of
/// such names that do not begin as journals do are left out.
std::vector<std::filesystem::path> journals_of(const std::filesystem::path& surface);

}  // namespace lossatlas
