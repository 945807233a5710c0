#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

namespace lossatlas {

/// An entry of a checkpoint's metadata, or the other value where it is missing or of another type: anybody's trainer
/// may have written it.
template <class T>
T metadata_value(const nlohmann::json& metadata, const char* key, const T& otherwise) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>) return found->is_string() ? found->get<T>() : otherwise;
  if constexpr (std::is_integral_v<T>) return found->is_number_integer() ? found->get<T>() : otherwise;
  if constexpr (std::is_floating_point_v<T>) return found->is_number() ? found->get<T>() : otherwise;
  return otherwise;
}

}  // namespace lossatlas
