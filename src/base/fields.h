#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lossatlas {

// A struct declares its fields once, each with its name in JSON:
//
//   template <class Visit>
//   static constexpr void fields(Visit&& visit) {
//     visit("seed", &Options::seed);
//   }
//
// A member is written as it is; a std::optional only if it is set; a Nullable always, null if it has no value;
// another struct that declares fields as an object, and a std::vector of such structs as a list.

/// A member that JSON always has, as null if there is no value.
template <class T>
struct Nullable {
  std::optional<T> value = {};

  Nullable() = default;
  Nullable(std::nullopt_t) {}
  Nullable(T given) : value(std::move(given)) {}
  bool operator==(const Nullable&) const = default;
};

template <class S>
concept DeclaresFields = requires {
  S::fields([](const char*, auto) {});
};

/// Specialized for structs of rooms that do not declare their own.
template <class S>
struct FieldsOf {};
template <DeclaresFields S>
struct FieldsOf<S> {
  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    S::fields(visit);
  }
};

template <class S>
concept HasFields = requires {
  FieldsOf<S>::fields([](const char*, auto) {});
};

/// In the place of a name: the fields of the member belong to the object itself.
inline constexpr const char* kInPlace = "";

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <HasFields S>
nlohmann::json json_of(const S& object);

template <class T>
nlohmann::json value_json(const T& value) {
  if constexpr (HasFields<T>)
    return json_of(value);
  else
    return value;
}
template <class T>
nlohmann::json value_json(const Nullable<T>& value) {
  return value.value ? nlohmann::json(*value.value) : nlohmann::json(nullptr);
}
template <HasFields T>
nlohmann::json value_json(const std::vector<T>& values) {
  nlohmann::json list = nlohmann::json::array();
  for (const T& value : values) list.push_back(json_of(value));
  return list;
}

template <HasFields S>
nlohmann::json json_of(const S& object) {
  nlohmann::json json = nlohmann::json::object();
  FieldsOf<S>::fields([&](const char* name, auto member) {
    const auto& value = object.*member;
    if constexpr (HasFields<std::decay_t<decltype(value)>>) {
      if (*name == '\0') return json.update(json_of(value));
    }
    if constexpr (IsOptional<std::decay_t<decltype(value)>>::value) {
      if (value) json[name] = value_json(*value);
    } else {
      json[name] = value_json(value);
    }
  });
  return json;
}

template <HasFields S>
void read_fields(const nlohmann::json& json, S& object);

/// Throws nlohmann::json::exception if `json` is of another type.
template <class T>
void read_value(const nlohmann::json& json, T& value) {
  if constexpr (HasFields<T>)
    read_fields(json, value);
  else
    value = json.get<T>();
}
template <class T>
void read_value(const nlohmann::json& json, Nullable<T>& value) {
  value = json.is_null() ? Nullable<T>() : Nullable<T>(json.get<T>());
}
template <HasFields T>
void read_value(const nlohmann::json& json, std::vector<T>& values) {
  values.clear();
  for (const auto& entry : json) read_fields(entry, values.emplace_back());
}
template <class T>
void read_value(const nlohmann::json& json, std::optional<T>& value) {
  T read = {};
  read_value(json, read);
  value = std::move(read);
}

/// Sets the members that `json` has. One that is of another type there keeps what it was: anybody may have written it.
template <HasFields S>
void read_fields(const nlohmann::json& json, S& object) {
  FieldsOf<S>::fields([&](const char* name, auto member) {
    auto& into = object.*member;
    if constexpr (HasFields<std::decay_t<decltype(into)>>) {
      if (*name == '\0') return read_fields(json, into);
    }
    const auto found = json.is_object() ? json.find(name) : json.end();
    if (found == json.end()) return;
    try {
      read_value(*found, into);
    } catch (const nlohmann::json::exception&) {
    }
  });
}

template <HasFields S>
S from_json_of(const nlohmann::json& json) {
  S object;
  read_fields(json, object);
  return object;
}

/// Sets the optional members that `other` has set.
template <HasFields S>
void merge(S& object, const S& other) {
  FieldsOf<S>::fields([&](const char*, auto member) {
    if constexpr (IsOptional<std::decay_t<decltype(object.*member)>>::value) {
      if (other.*member) object.*member = other.*member;
    }
  });
}

/// The names of the fields that differ.
template <HasFields S>
std::vector<std::string> difference(const S& a, const S& b) {
  const nlohmann::json first = json_of(a), second = json_of(b);
  std::vector<std::string> names;
  for (const auto& [name, value] : first.items()) {
    if (!second.contains(name) || second.at(name) != value) names.push_back(name);
  }
  for (const auto& [name, value] : second.items()) {
    if (!first.contains(name)) names.push_back(name);
  }
  return names;
}

/// The name under which a member is written: one that is misspelt does not compile.
template <HasFields S, class T>
consteval const char* key_of(T S::*wanted) {
  const char* found = nullptr;
  FieldsOf<S>::fields([&](const char* name, auto member) {
    if constexpr (std::is_same_v<decltype(member), T S::*>) {
      if (member == wanted) found = name;
    }
  });
  if (found == nullptr) throw "a member without a name";
  return found;
}

/// The value of a key as it is stored, whatever its type; null if there is none.
inline nlohmann::json stored(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() ? nlohmann::json() : *found;
}

}  // namespace lossatlas
