#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/error.h"

namespace lossatlas {

template <class Enum>
struct Named {
  Enum value;
  std::string_view name;
};

/// The names of an enumeration, each value once, in the order in which messages list them:
///   constexpr NameTable<Rule, 2> kRules{{{Rule::cos, "cos"}, {Rule::lstsq, "lstsq"}}};
template <class Enum, std::size_t N>
struct NameTable {
  Named<Enum> entries[N];

  constexpr std::string_view name_of(Enum value) const {
    for (const auto& entry : entries) {
      if (entry.value == value) return entry.name;
    }
    throw std::logic_error("NameTable: a value without a name");
  }

  /// Throws UsageError for an unknown name: "OPTION NAME: requires a, b or c".
  Enum parse(std::string_view option, std::string_view name) const {
    for (const auto& entry : entries) {
      if (entry.name == name) return entry.value;
    }
    throw UsageError("{} {}: requires {}", option, name, list());
  }

  /// "a", "a or b", "a, b or c".
  std::string list() const {
    std::string text;
    for (std::size_t i = 0; i < N; ++i) {
      text += i == 0 ? "" : i + 1 < N ? ", " : " or ";
      text += entries[i].name;
    }
    return text;
  }
};

}  // namespace lossatlas
