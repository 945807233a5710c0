#pragma once

#include <chrono>
#include <string>

namespace lossatlas {

/// One line on standard error that is redrawn, on a terminal; elsewhere a line now and then, for logs.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Shows the text, unless the last one is younger than a tenth of a second (a minute where it is no terminal).
  void update(const std::string& text);
  /// Takes the line away, so that another message can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point last_ = Clock::now();
};

}  // namespace lossatlas
