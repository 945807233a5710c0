#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lossatlas {

/// JSON as text. Bytes that are not UTF-8 (a file name may hold any) become the replacement character: a night's work
/// is not thrown away for them. indent < 0: all on one line.
template <class Json>
std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// The JSON of a stranger's text, without depth that would end the stack of those who write it again. Discarded
/// (is_discarded()) where the text is no JSON.
inline nlohmann::json parse_json(std::string_view text) {
  constexpr int deepest = 100;
  bool shallow = true;
  const auto keep = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return shallow = shallow && depth <= deepest;
  };
  nlohmann::json parsed = nlohmann::json::parse(text, keep, false);
  return shallow ? parsed : nlohmann::json(nlohmann::json::value_t::discarded);
}

}  // namespace lossatlas
