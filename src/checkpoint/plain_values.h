#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "checkpoint/tensors.h"
#include "pickle/value.h"

namespace lossatlas::pickle {

/// Turns what is stored next to a state_dict into JSON. Takes time and memory in proportion to the pickle and to the
/// JSON.
class PlainValues {
 public:
  explicit PlainValues(TensorLoader& loader) : loader_(loader) {}

  /// Numbers, strings, None, and lists and dictionaries of them; tensors of one element become numbers, and the names
  /// of dtypes and devices strings. Nothing for a list or a dictionary that holds a larger tensor itself, and for what
  /// JSON cannot hold; a dictionary loses only such entries, unless no entry would be left.
  /// What holds itself, is nested too deeply or would become too long is left out as well.
  std::optional<nlohmann::json> convert(const Value& value);

 private:
  /// Of the JSON that a value becomes.
  struct Extent {
    std::size_t bytes;  // about
    int depth = 0;      // of the lists and dictionaries in it

    /// Whether both together are within the limits, as a list or a dictionary with `part` in it; then they are one.
    bool add(const Extent& part);
  };
  using Item = std::pair<Ref, Ref>;

  /// Nothing for what is left out. `depth`: of the lists and dictionaries around it.
  std::optional<Extent> measure(const Value& value, int depth);
  std::optional<Extent> measure_list(const std::vector<Ref>& items, int depth);
  std::optional<Extent> measure_dict(const Dict& dict, int depth);
  std::optional<Extent> measure_item(const Item& item, int depth);
  /// Of what measure gave an extent.
  nlohmann::json build(const Value& value);
  nlohmann::json build(const Dict& dict);
  nlohmann::json number(const TensorView& view);

  TensorLoader& loader_;
  // A pickle can name one value any number of times, so each is measured once. Left out are the entries that lead back
  // to what is being measured: the rest has no cycle.
  std::unordered_map<const Value*, std::optional<Extent>> measured_;  // lists, dictionaries and text
  std::unordered_set<const Item*> left_out_;                          // of dictionaries
  std::size_t left_ = std::size_t{256} << 20U;                        // bytes that further values may take together
};

bool is_utf8(const std::string& text);

}  // namespace lossatlas::pickle
