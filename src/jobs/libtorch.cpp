#include "jobs/libtorch.h"

#include <c10/util/Exception.h>

namespace lossatlas {

std::optional<std::string> libtorch_text(const std::exception& error) {
  const auto* own = dynamic_cast<const c10::Error*>(&error);
  return own == nullptr ? std::nullopt : std::optional<std::string>(own->what_without_backtrace());
}

}  // namespace lossatlas
