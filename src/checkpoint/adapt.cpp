#include "checkpoint/adapt.h"

#include <ATen/ops/_weight_norm.h>
#include <ATen/ops/mul.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace lossatlas {
namespace {

using Names = std::set<std::string, std::less<>>;

/// What torch.compile, FSDP and activation checkpointing put before the names of the layer that they wrap.
constexpr std::string_view kWrapperParts[]{"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."};

std::string unwrapped(std::string name) {
  for (const std::string_view part : kWrapperParts) {
    for (auto at = name.find(part); at != name.npos; at = name.find(part, at)) name.erase(at, part.size());
  }
  return name;
}

/// The wrappers' parts that are in the names: "_orig_mod.", or several with commas.
std::string wrappers_in(const std::vector<std::string>& names) {
  std::vector<std::string_view> found;
  for (const std::string_view part : kWrapperParts) {
    const auto has_part = [&](const std::string& name) { return name.find(part) != name.npos; };
    if (std::any_of(names.begin(), names.end(), has_part)) found.push_back(part);
  }
  return fmt::format("{}", fmt::join(found, "', '"));
}

/// The parts that all names share, up to a dot each: {"module.", "model."}. Each name keeps a part of its own.
std::vector<std::string> shared_parts(const std::vector<std::string>& names) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (!names.empty()) {
    const std::size_t dot = names.front().find('.', begin);
    if (dot == std::string::npos) break;
    const std::string prefix = names.front().substr(0, dot + 1);
    const auto has_prefix = [&](const std::string& name) { return name.starts_with(prefix) && name != prefix; };
    if (!std::all_of(names.begin(), names.end(), has_prefix)) break;
    parts.push_back(prefix.substr(begin));
    begin = dot + 1;
  }
  return parts;
}

/// Each tensor that the network requires, by all of its names.
std::vector<std::vector<std::string>> required(const NetworkTensors& state) {
  std::vector<std::vector<std::string>> all;
  for (const NamedTensor& tensor : all_tensors(state)) {
    if (may_be_missing(tensor.name)) continue;
    auto& names = all.emplace_back(1, tensor.name);
    for (const Alias& alias : state.aliases) {
      if (alias.of == tensor.name) names.push_back(alias.name);
    }
  }
  return all;
}

bool gives_all(const Renaming& renaming, const std::vector<std::string>& names,
               const std::vector<std::vector<std::string>>& required) {
  Names given;
  for (const std::string& name : names) given.insert(renaming(name));
  const auto is_given = [&](const std::string& name) { return given.contains(name); };
  return std::all_of(required.begin(), required.end(), [&](const auto& names_of_one) {
    return std::any_of(names_of_one.begin(), names_of_one.end(), is_given);
  });
}

/// "a.weight" of "a.weight_g"; of "a.parametrizations.weight.original0" too. "" for other endings.
std::string whole_of(const std::string& name, std::string_view ending) {
  if (!name.ends_with(ending)) return "";
  std::string whole = name.substr(0, name.size() - ending.size());
  constexpr std::string_view kParametrizations = "parametrizations.";
  if (!ending.starts_with('.')) return whole;
  const std::size_t dot = whole.rfind('.');  // before the parameter's own name
  const std::size_t begin =
      dot == whole.npos || dot + 1 < kParametrizations.size() ? whole.npos : dot + 1 - kParametrizations.size();
  if (begin == whole.npos || whole.compare(begin, kParametrizations.size(), kParametrizations) != 0) return "";
  if (begin > 0 && whole[begin - 1] != '.') return "";
  return whole.erase(begin, kParametrizations.size());
}

struct Endings {
  std::string_view first, second;
  bool is_pruned;
};
constexpr Endings kEndings[]{{"_orig", "_mask", true}, {"_g", "_v", false}, {".original0", ".original1", false}};

std::string shape_text(at::IntArrayRef sizes) { return fmt::format("[{}]", fmt::join(sizes, ", ")); }

std::optional<Renaming> renaming_by_prefix(const std::vector<std::string>& names,
                                           const std::vector<std::vector<std::string>>& wanted) {
  if (gives_all({}, names, wanted)) return Renaming{};
  Renaming renaming;
  for (const std::string& part : shared_parts(names)) {
    renaming.stripped += part;
    if (gives_all(renaming, names, wanted)) return renaming;
  }
  renaming.stripped.clear();
  std::vector<std::string> own;
  for (const auto& names_of_one : wanted) own.push_back(names_of_one.front());
  for (const std::string& part : shared_parts(own)) {
    renaming.added += part;
    if (gives_all(renaming, names, wanted)) return renaming;
  }
  return std::nullopt;
}

}  // namespace

bool may_be_missing(std::string_view name) {
  return name == "num_batches_tracked" || name.ends_with(".num_batches_tracked");
}

std::string Renaming::operator()(std::string name) const {
  if (!unwrapped.empty()) name = lossatlas::unwrapped(std::move(name));
  if (name.starts_with(stripped)) name.erase(0, stripped.size());
  return added + name;
}

std::optional<Renaming> renaming_for(const std::vector<std::string>& names, const NetworkTensors& state) {
  const auto wanted = required(state);
  if (auto found = renaming_by_prefix(names, wanted)) return found;
  Names plain;
  for (const std::string& name : names) plain.insert(unwrapped(name));
  if (plain.size() != names.size()) return std::nullopt;
  auto found = renaming_by_prefix({plain.begin(), plain.end()}, wanted);
  if (found) found->unwrapped = wrappers_in(names);
  return found;
}

std::string note_of(const Renaming& renaming, const std::string& removed) {
  if (!renaming.unwrapped.empty()) {
    const Renaming prefixes{renaming.stripped, renaming.added};
    const std::string more = note_of(prefixes, removed);
    return fmt::format("{}{}names hold '{}', which was stripped", more, more.empty() ? "" : "; ", renaming.unwrapped);
  }
  if (!renaming.added.empty()) {
    return renaming.added == removed ? "" : fmt::format("names lack '{}', which was added", renaming.added);
  }
  const std::string stripped = removed + renaming.stripped;
  return stripped.empty() ? "" : fmt::format("names begin with '{}', which was stripped", stripped);
}

std::vector<Halves> halves_in(const std::vector<std::string>& names) {
  const Names given(names.begin(), names.end());
  std::vector<Halves> all;
  for (const std::string& name : names) {
    for (const auto& [first, second, is_pruned] : kEndings) {
      std::string whole = whole_of(name, first);
      if (whole.empty() || given.contains(whole)) continue;
      std::string other = name.substr(0, name.size() - first.size()).append(second);
      if (given.contains(other)) all.push_back({std::move(whole), name, std::move(other), is_pruned});
    }
  }
  return all;
}

std::vector<std::string> joined_names(std::vector<std::string> names, const std::vector<Halves>& all) {
  for (const Halves& halves : all) {
    *std::find(names.begin(), names.end(), halves.first) = halves.whole;
    names.erase(std::find(names.begin(), names.end(), halves.second));
  }
  return names;
}

at::Tensor put_together(const Halves& halves, const at::Tensor& first, const at::Tensor& second) {
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(second.dim()), 1);
  if (!lengths.empty()) lengths[0] = second.size(0);
  const bool fit = halves.is_pruned ? first.sizes() == second.sizes()
                                    : !lengths.empty() && first.sizes() == at::IntArrayRef(lengths);
  if (!fit) {
    throw Error("{} {} and {} {} do not match", halves.first, shape_text(first.sizes()), halves.second,
                shape_text(second.sizes()));
  }
  const at::Tensor a = first.to(at::kFloat), b = second.to(at::kFloat);
  return halves.is_pruned ? at::mul(a, b) : at::_weight_norm(b, a, 0);
}

std::vector<std::string> notes_of(const std::vector<Halves>& all) {
  const auto pruned = std::count_if(all.begin(), all.end(), [](const Halves& halves) { return halves.is_pruned; });
  const auto normed = static_cast<std::int64_t>(all.size()) - pruned;
  std::vector<std::string> notes;
  const auto add = [&](std::int64_t count, const char* text) {
    if (count > 0) notes.push_back(fmt::format("{} weight{} {}", count, count == 1 ? " is" : "s are", text));
  };
  add(pruned, "pruned: multiplied by the mask");
  add(normed, "stored as length and direction (weight norm): put together");
  return notes;
}

}  // namespace lossatlas
