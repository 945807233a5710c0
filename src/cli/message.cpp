#include "cli/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace lossatlas {

void write_to_error(std::string_view bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stderr);
  std::fflush(stderr);
}

namespace {

/// The bytes of the UTF-8 character that begins the text; 0 where none does.
std::size_t length_of_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) < 0x80 ? 1 : byte(0) < 0xc2 ? 0 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
  if (byte(0) > 0xf4 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (byte(i) >> 6 != 2) return 0;
  }
  return length;
}

/// C0 (but newlines), DEL and C1.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return (first < 0x20 && first != '\n') || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

template <class Replace>
std::string replace_controls(std::string_view text, const Replace& replace) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = length_of_character(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    result += length == 0 || is_control(character) ? replace(character) : std::string(character);
    text.remove_prefix(character.size());
  }
  return result;
}

void write_to_output(const std::string& line) { std::fwrite(line.data(), 1, line.size(), stdout); }

}  // namespace

std::string printable(std::string_view text) {
  return replace_controls(text, [](std::string_view) { return std::string("?"); });
}

void print_message(std::string_view text) { write_to_error(printable(text) + '\n'); }

void print_line(std::string_view text) {
  std::string line = printable(text);
  std::replace(line.begin(), line.end(), '\n', '?');
  write_to_output(line + '\n');
}

void print_json(std::string_view text) {
  const auto escape = [](std::string_view character) {
    return fmt::format("\\u{:04x}", static_cast<unsigned char>(character.back()));
  };
  write_to_output(replace_controls(text, escape) + '\n');
}

}  // namespace lossatlas
