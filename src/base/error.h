#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace lossatlas {

/// What the user can mend. The text is the line they read: what is wrong, where, and what to do.
/// Thrown anywhere, caught once, in main; exit status 1.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& text) : std::runtime_error(text) {}

  template <class... Args>
  explicit Error(fmt::format_string<Args...> text, Args&&... args)
      : std::runtime_error(fmt::format(text, std::forward<Args>(args)...)) {}
};

/// The words of the command line were wrong; exit status 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace lossatlas
