#include "models/spec.h"

#include <nlohmann/json.hpp>

namespace lossatlas {

nlohmann::json settings_of(const NetworkSpec& spec) {
  return {{"arch", spec.architecture}, {"classes", spec.classes}, {"width", spec.width}};
}

}  // namespace lossatlas
