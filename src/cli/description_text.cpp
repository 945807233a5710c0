#include "cli/description_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/json.h"
#include "cli/message.h"

namespace lossatlas {
namespace {

using nlohmann::ordered_json;

// Settings and metadata that stand for all: what was evaluated, where, and how it was trained.
constexpr std::array<std::string_view, 27> kFirst{
    "arch",          "width",   "classes",    "epoch",    "acc",
    "optimizer",     "lr",      "batch_size", "data",     "split",
    "samples",       "problem", "checkpoint", "plane",    "seed",
    "normalization", "ignore",  "runs",       "dir_type", "bn",
    "loss",          "curve",   "tolerance",  "budget",   "image_evaluations",
    "seconds",       "command"};

ordered_json first_of(const ordered_json& object) {
  ordered_json first = ordered_json::object();
  for (const std::string_view key : kFirst) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) continue;
    const bool is_file = found->is_object() && found->contains("file");
    first[std::string(key)] = is_file ? found->at("file") : *found;
  }
  return first;
}

std::string text_of_tensors(const ordered_json& tensors) {
  const auto text = [](const ordered_json& tensor) {
    return tensor["name"].get<std::string>() + " " + json_text(tensor["shape"]);
  };
  if (tensors.empty()) return "none";
  return fmt::format("{}, from {} to {}", tensors.size(), text(tensors.front()), text(tensors.back()));
}

/// The first and last of a list of rows.
ordered_json ends_of(const ordered_json& rows) {
  constexpr std::size_t kEnds = 3;
  ordered_json ends = ordered_json::array();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i < kEnds || i + kEnds >= rows.size()) ends.push_back(rows[i]);
  }
  return ends;
}

/// Words for one value: text bare, numbers to six digits, the rest as JSON.
std::string text_of(const ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  if (value.is_array() && value.size() <= 3) {
    std::string text;
    for (const auto& entry : value) text += (text.empty() ? "" : ", ") + text_of(entry);
    return text;
  }
  return json_text(value);
}

}  // namespace

ordered_json shortened(const ordered_json& description) {
  ordered_json shorter = ordered_json::object();
  for (const auto& [key, value] : description.items()) {
    if (key == "tensors" && value.is_array()) {
      shorter[key] = text_of_tensors(value);
    } else if (key == "metadata" || key == "settings" || key == "provenance") {
      if (auto first = first_of(value); !first.empty() || value.empty()) shorter[key] = std::move(first);
    } else if (value.is_array() && !value.empty() && value[0].is_object()) {
      shorter[key] = ends_of(value);
    } else {
      shorter[key] = value;
    }
  }
  if (shorter != description) shorter["more"] = "--all shows each tensor, setting and row; --json as JSON";
  return shorter;
}

void print_entries(const ordered_json& object, int indent) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      print_line(fmt::format("{:{}}{}", "", indent, key));
      print_entries(value, indent + 2);
    } else if (key == "summary" && value.is_array()) {
      print_line(fmt::format("{:{}}{}", "", indent, key));
      for (const auto& line : value) print_line(fmt::format("{:{}}{}", "", indent + 2, line.get<std::string>()));
    } else if (value.is_array() && !value.empty() && value[0].is_object()) {
      print_line(fmt::format("{:{}}{}", "", indent, key));
      for (const auto& entry : value) {
        std::string line;
        for (const auto& [name, part] : entry.items())
          line += fmt::format("{}{} {}", line.empty() ? "" : "  ", name, text_of(part));
        print_line(fmt::format("{:{}}{}", "", indent + 2, line));
      }
    } else {
      print_line(fmt::format("{:{}}{:<20} {}", "", indent, key, text_of(value)));
    }
  }
}

}  // namespace lossatlas
