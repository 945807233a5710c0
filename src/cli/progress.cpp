#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cli/message.h"

namespace lossatlas {

ProgressLine::ProgressLine() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::update(const std::string& text) {
  const auto age = Clock::now() - last_;
  if (age < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(60'000))) return;
  last_ = Clock::now();
  drawn_ = terminal_;
  if (terminal_) {
    write_to_error("\r\x1b[K\x1b[?7l" + text + "\x1b[?7h");  // cut at the edge: \r leads back to one row alone
  } else {
    print_message(text);
  }
}

void ProgressLine::clear() {
  if (drawn_) write_to_error("\r\x1b[K");
  drawn_ = false;
}

}  // namespace lossatlas
