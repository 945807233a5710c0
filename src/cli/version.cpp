#include "cli/version.h"

namespace lossatlas {

std::string_view version() { return LOSSATLAS_VERSION; }

}  // namespace lossatlas
