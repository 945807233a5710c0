#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lossatlas {

/// JSON as text. Bytes that are not UTF-8 (a file name may hold any) become the replacement character: a night's work
/// is not thrown away for them. indent < 0: all on one line.
template <class Json>
std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lossatlas
