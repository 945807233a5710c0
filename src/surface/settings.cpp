#include "surface/settings.h"

namespace lossatlas {

Settings settings_of_old_files() {
  Settings settings;
  settings.kind = "surface";
  settings.distribution = "gaussian";
  settings.orthogonal = false;
  settings.dir_type = "weights";
  return settings;
}

Settings settings_from(const nlohmann::json& json) {
  Settings settings = settings_of_old_files();
  read_fields(json, settings);
  return settings;
}

}  // namespace lossatlas
