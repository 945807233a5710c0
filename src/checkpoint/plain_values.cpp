#include "checkpoint/plain_values.h"

#include <algorithm>

namespace lossatlas::pickle {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxKey = 4096;
constexpr std::size_t kBytesPerValue = 16;

bool is_large_tensor(const Value& value) {
  const auto* view = value.as<const TensorView*>();
  return view != nullptr &&
         std::any_of((*view)->sizes.begin(), (*view)->sizes.end(), [](std::int64_t size) { return size != 1; });
}

/// JSON's keys are strings; Python's may be numbers.
std::optional<std::string> key_of(const Value& key) {
  if (const Text* text = key.as<Text>()) {
    return text->text.size() <= kMaxKey && is_utf8(text->text) ? std::optional(text->text) : std::nullopt;
  }
  if (const auto* number = key.as<std::int64_t>()) {
    return std::to_string(*number);
  }
  return std::nullopt;
}

}  // namespace

bool is_utf8(const std::string& text) {
  try {
    json(text).dump();  // throws type_error 316 if not
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

std::optional<json> PlainValues::convert(const Value& value) {
  const std::size_t quarter = left_ / 4;
  allowance_ = quarter;
  auto result = convert(value, 0);
  left_ -= quarter - allowance_;
  return result;
}

bool PlainValues::spend(std::size_t bytes) {
  const bool affordable = bytes <= allowance_;
  allowance_ = affordable ? allowance_ - bytes : 0;
  return affordable;
}

std::optional<json> PlainValues::text(const std::string& text) {
  return spend(text.size()) && is_utf8(text) ? std::optional<json>(text) : std::nullopt;
}

std::optional<json> PlainValues::number(const TensorView& view) {
  const at::Tensor tensor = loader_.load(view);
  if (tensor.scalar_type() == at::kBool) {
    return json(tensor.item<bool>());
  }
  if (tensor.scalar_type() == at::kUInt64) {
    return json(tensor.item().toUInt64());
  }
  return tensor.is_floating_point() ? json(tensor.item<double>()) : json(tensor.item<std::int64_t>());
}

std::optional<json> PlainValues::list(const std::vector<Ref>& items, int depth) {
  json result = json::array();
  for (const Ref item : items) {
    auto kept = convert(*item, depth + 1);
    if (!kept) {
      return std::nullopt;
    }
    result.push_back(std::move(*kept));
  }
  return result;
}

std::optional<json> PlainValues::dict(const Dict& dict, int depth) {
  json result = json::object();
  for (const auto& [key, value] : dict.items) {
    if (is_large_tensor(*value)) {
      return std::nullopt;
    }
    const auto name = key_of(*key);
    auto kept = name && spend(name->size()) ? convert(*value, depth + 1) : std::nullopt;
    if (kept) {
      result[*name] = std::move(*kept);
    }
  }
  return result.empty() && !dict.items.empty() ? std::nullopt : std::optional<json>(std::move(result));
}

std::optional<json> PlainValues::convert(const Value& value, int depth) {
  if (depth > kMaxDepth || !spend(kBytesPerValue) || is_large_tensor(value)) {
    return std::nullopt;
  }
  return std::visit(
      [&](const auto& content) -> std::optional<json> {
        using T = std::decay_t<decltype(content)>;
        if constexpr (std::is_same_v<T, None>) {
          return json(nullptr);
        } else if constexpr (std::is_arithmetic_v<T>) {
          return json(content);
        } else if constexpr (std::is_same_v<T, Text>) {
          return text(content.text);
        } else if constexpr (std::is_same_v<T, Global>) {
          return text(content.name);
        } else if constexpr (std::is_same_v<T, List> || std::is_same_v<T, Tuple>) {
          return list(content.items, depth);
        } else if constexpr (std::is_same_v<T, Dict>) {
          return dict(content, depth);
        } else if constexpr (std::is_same_v<T, const TensorView*>) {
          return number(*content);
        } else {
          return std::nullopt;
        }
      },
      value.data);
}

}  // namespace lossatlas::pickle
