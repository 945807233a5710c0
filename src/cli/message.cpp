#include "cli/message.h"

#include <cstdio>
#include <string>

namespace lossatlas {

void write_to_error(std::string_view bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stderr);
  std::fflush(stderr);
}

void print_message(std::string_view text) {
  std::string line(text);
  for (char& letter : line) {
    const auto code = static_cast<unsigned char>(letter);
    if ((code < 0x20 && letter != '\n') || code == 0x7f) letter = '?';
  }
  write_to_error(line + '\n');
}

}  // namespace lossatlas
