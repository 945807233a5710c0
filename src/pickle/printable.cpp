#include "pickle/printable.h"

namespace lossatlas::pickle {

std::string printable(std::string_view text) {
  constexpr std::size_t longest = 80;
  std::string line;
  for (const char letter : text.substr(0, longest)) {
    line += letter >= ' ' && letter <= '~' ? letter : '?';
  }
  return text.size() > longest ? line + "..." : line;
}

}  // namespace lossatlas::pickle
