#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace lossatlas {

struct CurvatureProgress;
struct Evaluation;
struct SweepProgress;
struct TrainingProgress;

/// Of data that are read: images so far, of all, after `seconds`.
struct DataProgress {
  std::int64_t done = 0, all = 0;
  double seconds = 0;
};

/// Whoever asked for a job: hears what happens, and may end it. One call at a time, but from any thread.
class Observer {
 public:
  virtual ~Observer() = default;

  /// A line for people: "note: …", "warning: …", "hint: …", or plain. An option is named by its field, as in `bn`
  /// (base/error.h).
  virtual void on_note(const std::string& text) = 0;
  /// Of a sweep into `file`, after each point.
  virtual void on_progress(const SweepProgress&, const std::filesystem::path& file) { static_cast<void>(file); }
  /// Of a training, after each minibatch.
  virtual void on_progress(const TrainingProgress&) {}
  /// Of products, after each batch of samples.
  virtual void on_progress(const CurvatureProgress&) {}
  /// Of data, while they are decoded.
  virtual void on_progress(const DataProgress&) {}
  /// The last progress of a sweep, a training or data was given.
  virtual void on_progress_end() {}
  /// A point that was evaluated and is on disk; `index` in the surface of `file`.
  virtual void on_point(const std::filesystem::path& file, std::size_t index, const Evaluation&) {
    static_cast<void>(file), static_cast<void>(index);
  }
  /// When true, the job ends soon, with everything so far saved. First called when there is something to save.
  virtual const std::atomic<bool>& should_stop() const = 0;
};

}  // namespace lossatlas
