#pragma once

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/append_file.h"
#include "base/stopwatch.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "jobs/observer.h"

namespace lossatlas {

enum class ProgressStyle {
  line,  // one line that is redrawn on a terminal, one a minute elsewhere
  json,  // JSON objects, one a line, for programs
  none,
};

/// Throws UsageError for a name that is not "line", "json" or "none".
ProgressStyle progress_style_of(const std::string& name);

/// What a job says while it runs: messages and progress, on standard error, and with times in a log. It stops at the
/// first interrupt (interrupt.h).
class Report : public Observer {
 public:
  /// `log`: lines are added to it; "" for none. Throws Error if it cannot be opened, or is a file that is not a log.
  Report(ProgressStyle style, const std::filesystem::path& log);

  /// A message for people, on standard error and in the log.
  void on_note(const std::string& text) override;
  /// A message only for the log: it is printed elsewhere.
  void note(const std::string& text);
  /// Progress of the sweep into `file`, unless the last is too young (JSON: half a second; log: a minute).
  void on_progress(const SweepProgress& now, const std::filesystem::path& file) override;
  /// Of a training, the same way.
  void on_progress(const TrainingProgress& now) override;
  void on_progress(const CurvatureProgress& now) override;
  void on_progress(const DataProgress& now) override;
  /// The last state once more where it was held back, and the line taken away.
  void on_progress_end() override;
  const std::atomic<bool>& should_stop() const override { return catch_interrupts(); }

 private:
  void show(const std::string& text, const nlohmann::ordered_json& object);
  void print_json(const nlohmann::ordered_json& object);

  ProgressStyle style_;
  ProgressLine line_;
  std::optional<AppendFile> log_;
  Stopwatch logged_;
  std::optional<Stopwatch> printed_;
  std::optional<nlohmann::ordered_json> held_back_;
};

}  // namespace lossatlas
