#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

namespace lossatlas::pickle {

/// Writes a pickle of protocol 2 the way torch.save's looks, except for the memo: nothing is stored there, which no
/// reader needs. A dictionary is begun, then given a text and a value any number of times, then ended.
class Pickler {
 public:
  Pickler();

  void begin_dict();
  /// collections.OrderedDict, as a state_dict is.
  void begin_ordered_dict();
  void end_dict();

  void text(std::string_view text);

  /// Throws std::logic_error for JSON's binary values, which no checkpoint holds.
  void plain(const nlohmann::json& value);

  /// A contiguous tensor that fills the storage `key`. Throws Error for a type that torch has no storage of.
  void tensor(std::string_view key, c10::ScalarType type, std::span<const std::int64_t> sizes);

  /// Ends the pickle and hands it over.
  std::string finish();

 private:
  void integer(std::int64_t value);
  void large_integer(std::uint64_t value);
  void number(double value);
  void tuple(std::span<const std::int64_t> values);
  void global(std::string_view module, std::string_view name);
  void little_endian(std::uint64_t value, int bytes);

  std::string bytes_;
};

}  // namespace lossatlas::pickle
