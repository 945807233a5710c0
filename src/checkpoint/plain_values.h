#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "checkpoint/tensors.h"
#include "pickle/value.h"

namespace lossatlas::pickle {

/// Turns what stands beside a state_dict into JSON.
class PlainValues {
 public:
  explicit PlainValues(TensorLoader& loader) : loader_(loader) {}

  /// Numbers, strings, None, and lists and dictionaries of them; tensors of one element become numbers, and the names
  /// of dtypes and devices strings. Nothing for a list or a dictionary that holds a larger tensor itself, and for what
  /// JSON cannot hold; a dictionary loses such entries alone, unless no entry would be left.
  /// What is nested too deeply or repeats itself without end is left out as well.
  std::optional<nlohmann::json> convert(const Value& value);

 private:
  std::optional<nlohmann::json> convert(const Value& value, int depth);
  std::optional<nlohmann::json> list(const std::vector<Ref>& items, int depth);
  std::optional<nlohmann::json> dict(const Dict& dict, int depth);
  std::optional<nlohmann::json> text(const std::string& text);
  std::optional<nlohmann::json> number(const TensorView& view);
  bool spend(std::size_t bytes);

  TensorLoader& loader_;
  // Bytes of JSON, about: what all values together may still take, and what the present one may. A value may take a
  // quarter of what is left, so that one which repeats itself without end does not cost us those after it.
  std::size_t left_ = std::size_t{256} << 20U;
  std::size_t allowance_ = 0;
};

bool is_utf8(const std::string& text);

}  // namespace lossatlas::pickle
