#include "checkpoint/plain_values.h"

#include <algorithm>

namespace lossatlas::pickle {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxKey = 4096;
constexpr std::size_t kBytesPerValue = 16;
constexpr std::size_t kMostBytes = std::size_t{64} << 20U;  // of one value

bool is_large_tensor(const Value& value) {
  const auto* view = value.as<const TensorView*>();
  return view != nullptr &&
         std::any_of((*view)->sizes.begin(), (*view)->sizes.end(), [](std::int64_t size) { return size != 1; });
}

bool is_dict_of_tensors(const Dict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(),
                     [](const auto& item) { return is_large_tensor(*item.second); });
}

/// JSON's keys are strings; Python's may be numbers.
std::string key_of(const Value& key) {
  const Text* text = key.as<Text>();
  return text ? text->text : std::to_string(*key.as<std::int64_t>());
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

bool PlainValues::Extent::add(const Extent& part) {
  if (part.bytes > kMostBytes - bytes || part.depth >= kMaxDepth) return false;
  bytes += part.bytes;
  depth = std::max(depth, part.depth + 1);
  return true;
}

std::optional<json> PlainValues::convert(const Value& value) {
  const auto extent = measure(value, 0);
  if (!extent || extent->bytes > left_ / 4) return std::nullopt;  // a quarter: the values after it count too
  left_ -= extent->bytes;
  return build(value);
}

std::optional<PlainValues::Extent> PlainValues::measure(const Value& value, int depth) {
  if (depth > kMaxDepth || is_large_tensor(value)) return std::nullopt;
  const Text* text = value.as<Text>();
  const List* list = value.as<List>();
  const Tuple* tuple = value.as<Tuple>();
  const Dict* dict = value.as<Dict>();
  if (!text && !list && !tuple && !dict) {
    const bool is_lost =
        value.as<Bytes>() || value.as<Foreign>() || value.as<NumpyType>() || value.as<const Storage*>();
    return is_lost ? std::nullopt : std::optional(Extent{kBytesPerValue});
  }
  const auto [known, is_new] = measured_.try_emplace(&value);  // as left out, until it is known
  if (!is_new) return known->second;
  std::optional<Extent>& extent = known->second;
  if (text) {
    if (text->text.size() < kMostBytes && is_utf8(text->text)) extent = Extent{kBytesPerValue + text->text.size()};
  } else {
    extent = dict ? measure_dict(*dict, depth) : measure_list(list ? list->items : tuple->items, depth);
  }
  return extent;
}

std::optional<PlainValues::Extent> PlainValues::measure_list(const std::vector<Ref>& items, int depth) {
  Extent whole{kBytesPerValue};
  for (const Ref item : items) {
    const auto part = measure(*item, depth + 1);
    if (!part || !whole.add(*part)) return std::nullopt;
  }
  return whole;
}

std::optional<PlainValues::Extent> PlainValues::measure_dict(const Dict& dict, int depth) {
  if (is_dict_of_tensors(dict)) return std::nullopt;
  Extent whole{kBytesPerValue};
  bool is_empty = true;
  for (const Item& item : dict.items) {
    const auto part = measure_item(item, depth);
    if (part && whole.add(*part)) {
      is_empty = false;
    } else {
      left_out_.insert(&item);
    }
  }
  return is_empty && !dict.items.empty() ? std::nullopt : std::optional(whole);
}

std::optional<PlainValues::Extent> PlainValues::measure_item(const Item& item, int depth) {
  const Text* text = item.first->as<Text>();
  if (text ? text->text.size() > kMaxKey : !item.first->as<std::int64_t>()) return std::nullopt;
  const auto key = measure(*item.first, depth + 1);
  auto value = key ? measure(*item.second, depth + 1) : std::nullopt;
  if (value) value->bytes += key->bytes;
  return value;
}

json PlainValues::number(const TensorView& view) {
  const at::Tensor tensor = loader_.load(view);
  if (tensor.scalar_type() == at::kBool) {
    return json(tensor.item<bool>());
  }
  if (tensor.scalar_type() == at::kUInt64) {
    return json(tensor.item().toUInt64());
  }
  return tensor.is_floating_point() ? json(tensor.item<double>()) : json(tensor.item<std::int64_t>());
}

json PlainValues::build(const Dict& dict) {
  json result = json::object();
  for (const Item& item : dict.items) {
    if (!left_out_.contains(&item)) result[key_of(*item.first)] = build(*item.second);
  }
  return result;
}

json PlainValues::build(const Value& value) {
  return std::visit(
      [&](const auto& content) -> json {
        using T = std::decay_t<decltype(content)>;
        if constexpr (std::is_arithmetic_v<T>) {
          return content;
        } else if constexpr (std::is_same_v<T, Text>) {
          return content.text;
        } else if constexpr (std::is_same_v<T, Global>) {
          return content.name;
        } else if constexpr (std::is_same_v<T, List> || std::is_same_v<T, Tuple>) {
          json result = json::array();
          for (const Ref item : content.items) result.push_back(build(*item));
          return result;
        } else if constexpr (std::is_same_v<T, Dict>) {
          return build(content);
        } else if constexpr (std::is_same_v<T, const TensorView*>) {
          return number(*content);
        } else {
          return nullptr;
        }
      },
      value.data);
}

}  // namespace lossatlas::pickle
