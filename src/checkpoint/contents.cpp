#include "checkpoint/contents.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_set>

#include "base/error.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"
#include "checkpoint/plain_values.h"

namespace lossatlas::pickle {
namespace {

/// The names under which trainers keep the state_dict, in order of preference.
constexpr std::array<std::string_view, 8> kWrappers{"state_dict", "model_state_dict", "model",  "net",
                                                    "network",    "weights",          "module", "params"};
/// And under which an average over steps of training.
constexpr std::array<std::string_view, 5> kAveraged{"model_ema", "state_dict_ema", "ema_state_dict", "params_ema",
                                                    "ema"};
constexpr std::size_t kMaxEntryName = 256;
constexpr int kMaxWrappers = 4;  // {"model": {"state_dict": …}}; and a dictionary that holds itself ends here

const std::string* text_of(const Value& value) {
  const Text* text = value.as<Text>();
  return text ? &text->text : nullptr;
}

/// Tensors, or objects in the place of some.
bool holds_tensors(const Dict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(), [](const auto& item) {
    const Foreign* foreign = item.second->template as<Foreign>();
    return foreign ? foreign->is_tensor : item.second->template as<const TensorView*>() != nullptr;
  });
}

/// A tensor of more than one number.
bool holds_weights(const Dict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(), [](const auto& item) {
    const auto* view = item.second->template as<const TensorView*>();
    return view != nullptr &&
           std::any_of((*view)->sizes.begin(), (*view)->sizes.end(), [](std::int64_t size) { return size != 1; });
  });
}

bool holds_tensors_alone(const Dict& dict) {
  return !dict.items.empty() && std::all_of(dict.items.begin(), dict.items.end(), [](const auto& item) {
    return text_of(*item.first) != nullptr && item.second->template as<const TensorView*>() != nullptr;
  });
}

/// The entry of that name; null if there is none.
const Value* find(const Dict& dict, std::string_view name) {
  for (const auto& [key, value] : dict.items) {
    const std::string* text = text_of(*key);
    if (text != nullptr && *text == name) return value;
  }
  return nullptr;
}

/// Whether it holds tensors, or an entry of the above names does. `seen`: dictionaries that do not.
bool leads_to_tensors(const Value& value, std::set<const Dict*>& seen, int depth = 0) {
  const Dict* dict = value.as<Dict>();
  if (dict == nullptr || depth > kMaxWrappers || !seen.insert(dict).second) return false;
  if (holds_tensors(*dict)) return true;
  const auto leads = [&](std::string_view name) {
    const Value* inner = find(*dict, name);
    return inner != nullptr && leads_to_tensors(*inner, seen, depth + 1);
  };
  return std::any_of(kWrappers.begin(), kWrappers.end(), leads) ||
         std::any_of(kAveraged.begin(), kAveraged.end(), leads);
}

/// The first of the names whose entry leads to tensors; "" if there is none.
template <std::size_t N>
std::string_view first_that_leads(const Dict& dict, const std::array<std::string_view, N>& names) {
  const auto found = std::find_if(names.begin(), names.end(), [&](std::string_view name) {
    std::set<const Dict*> seen;
    const Value* inner = find(dict, name);
    return inner != nullptr && leads_to_tensors(*inner, seen);
  });
  return found == names.end() ? "" : *found;
}

std::string joined(std::string_view path, std::string_view name) {
  return fmt::format("{}{}{}", path, path.empty() ? "" : ".", name);
}

struct NamedView {
  std::string name;
  const TensorView* view;
};

struct NamedViews {
  std::vector<NamedView> views;
  std::string prefix;  // that was removed from each name
};

/// torch.save writes no key twice: which of the values was meant cannot be known.
void check_unique(const Dict& dict) {
  std::unordered_set<std::string_view> names;
  for (const auto& [key, value] : dict.items) {
    const std::string* name = text_of(*key);
    if (name != nullptr && !names.insert(*name).second) {
      throw Error("holds the entry '{}' twice: it is damaged", printable(*name));
    }
  }
}

[[noreturn]] void refuse(const std::string& name, const Foreign& foreign) {
  throw Error("'{}': {}", printable(name), foreign.why);
}

/// In the order of the dictionary; what is not a tensor is passed over (torch's own `_extra_state` may be anything).
NamedViews views_of(const Dict& dict) {
  check_unique(dict);
  NamedViews found;
  for (const auto& [key, value] : dict.items) {
    const auto* view = value->as<const TensorView*>();
    const Foreign* foreign = value->as<Foreign>();
    if (view == nullptr && (foreign == nullptr || !foreign->is_tensor)) {
      continue;
    }
    const std::string* name = text_of(*key);
    if (name == nullptr || !is_utf8(*name)) {
      throw Error("holds a tensor whose name is not text");
    }
    if (foreign != nullptr) refuse(*name, *foreign);
    found.views.push_back({*name, *view});
  }
  found.prefix = remove_module_prefix(found.views);
  return found;
}

/// What `read` returns, with the tensor's name in whatever Error it throws.
template <class Read>
auto named(const std::string& name, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error("'{}': {}", printable(name), error.what());
  }
}

std::vector<NamedTensor> load_all(const NamedViews& views, TensorLoader& loader) {
  std::vector<NamedTensor> tensors;
  for (const NamedView& found : views.views) {
    tensors.push_back({found.name, named(found.name, [&] { return loader.load(*found.view); })});
  }
  return tensors;
}

/// What a pickle holds, its tensors not loaded yet.
struct Contents {
  const Dict* state;
  std::vector<std::pair<std::string, const Dict*>> groups;
  nlohmann::json metadata = nlohmann::json::object();
  std::string key;  // the state's, with dots between those of entries in entries
  std::vector<std::string> notes;
};

/// What stands in `dict` beside the state_dict.
void add_rest(const Dict& dict, const Value* state, Contents& contents, PlainValues& plain) {
  for (const auto& [key, value] : dict.items) {
    const std::string* name = text_of(*key);
    if (value == state || name == nullptr || !is_utf8(*name)) {
      continue;
    }
    const Dict* inner = value->as<Dict>();
    if (inner != nullptr && holds_tensors_alone(*inner)) {
      contents.groups.emplace_back(*name, inner);
    } else if (auto kept = plain.convert(*value)) {
      contents.metadata[*name] = std::move(*kept);
    }
  }
}

/// Adds the entries that hold tensors, each once. `seen`: dictionaries that were looked into.
void add_entries(const Dict& dict, const std::string& path, int depth, std::set<const Dict*>& seen,
                 std::vector<CheckpointEntry>& entries) {
  if (depth > kMaxWrappers || !seen.insert(&dict).second) return;
  CheckpointEntry entry{path, 0, 0};
  for (const auto& [key, value] : dict.items) {
    if (const auto* view = value->as<const TensorView*>()) {
      ++entry.tensors;
      entry.numbers +=
          byte_count((*view)->sizes, (*view)->type) / static_cast<std::int64_t>(c10::elementSize((*view)->type));
    }
  }
  if (entry.tensors > 0 && !path.empty()) entries.push_back(std::move(entry));
  for (const auto& [key, value] : dict.items) {
    const std::string* name = text_of(*key);
    const Dict* inner = value->as<Dict>();
    if (name == nullptr || inner == nullptr || name->size() > kMaxEntryName || !is_utf8(*name)) continue;
    add_entries(*inner, joined(path, *name), depth + 1, seen, entries);
  }
}

std::vector<CheckpointEntry> entries_of(const Value& root) {
  std::vector<CheckpointEntry> entries;
  std::set<const Dict*> seen;
  if (const Dict* dict = root.as<Dict>()) add_entries(*dict, "", 0, seen, entries);
  return entries;
}

/// The first names, with commas between them; "none".
template <class Range, class NameOf>
std::string first_names(const Range& range, const NameOf& name_of) {
  constexpr std::size_t kShown = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(range.size(), kShown); ++i) {
    names += fmt::format("{}'{}'", i == 0 ? "" : ", ", printable(name_of(range[i])));
  }
  return names.empty() ? "none" : names;
}

[[noreturn]] void no_state(const Value& root) {
  const Dict* dict = root.as<Dict>();
  if (const Foreign* foreign = root.as<Foreign>()) throw Error("{}", foreign->why);
  if (dict == nullptr) {
    throw Error("holds {}, not a state_dict; save one with torch.save(model.state_dict(), ...)",
                root.as<const TensorView*>() ? "a single tensor" : "a value without names");
  }
  const auto refuse_objects = [&](const auto& names) {
    for (const std::string_view name : names) {
      const Value* entry = find(*dict, name);
      const Foreign* foreign = entry ? entry->as<Foreign>() : nullptr;
      if (foreign != nullptr) refuse(std::string(name), *foreign);
    }
  };
  refuse_objects(kWrappers);
  refuse_objects(kAveraged);
  const auto name_of = [](const auto& item) { return text_of(*item.first) ? *text_of(*item.first) : "?"; };
  std::string text = fmt::format("holds no state_dict: its entries are {}; looked for tensors, and for '{}'",
                                 first_names(dict->items, name_of), fmt::join(kWrappers, "', '"));
  const auto entries = entries_of(root);
  if (!entries.empty()) {
    const auto largest = std::max_element(entries.begin(), entries.end(),
                                          [](const auto& a, const auto& b) { return a.numbers < b.numbers; });
    text += fmt::format("; `key` {} chooses that entry", printable(largest->name));
  }
  throw Error("{}", text);
}

/// The entry at `key`, past each dictionary on the way, whose other entries are added; null if there is none.
const Value* find_key(const Dict& dict, std::string_view key, Contents& contents, PlainValues& plain) {
  for (std::size_t dot = key.size(); dot != key.npos; dot = dot == 0 ? key.npos : key.rfind('.', dot - 1)) {
    const Value* entry = find(dict, key.substr(0, dot));
    if (entry == nullptr) continue;
    check_unique(dict);
    const Dict* inner = entry->as<Dict>();
    const Value* found = dot == key.size() ? entry
                         : inner           ? find_key(*inner, key.substr(dot + 1), contents, plain)
                                           : nullptr;
    if (found == nullptr) continue;
    add_rest(dict, entry, contents, plain);
    return found;
  }
  return nullptr;
}

const Value* take_key(const Value& root, std::string_view key, Contents& contents, PlainValues& plain) {
  const Dict* dict = root.as<Dict>();
  const Value* found = dict ? find_key(*dict, key, contents, plain) : nullptr;
  const Foreign* foreign = found ? found->as<Foreign>() : nullptr;
  if (foreign != nullptr) refuse(std::string(key), *foreign);
  std::set<const Dict*> seen;
  if (found == nullptr || !leads_to_tensors(*found, seen)) {
    throw Error("`key` {}: no entry of that name holds tensors; those that do: {}", printable(key),
                first_names(entries_of(root), [](const CheckpointEntry& entry) { return entry.name; }));
  }
  contents.key = key;
  return found;
}

/// The name of the entry that holds the state_dict, with a note if there are averaged weights; "" if it is `dict`.
std::string_view choose(const Dict& dict, Contents& contents) {
  const std::string_view raw = first_that_leads(dict, kWrappers), averaged = first_that_leads(dict, kAveraged);
  if (!raw.empty() && !averaged.empty()) {
    contents.notes.push_back(fmt::format("took '{}', not the averaged weights; `key` {} takes those",
                                         joined(contents.key, raw), joined(contents.key, averaged)));
  }
  if (!raw.empty() || averaged.empty() || holds_weights(dict)) return raw;
  contents.notes.push_back(
      fmt::format("took the averaged weights '{}': there are no others", joined(contents.key, averaged)));
  return averaged;
}

Contents contents_of(const Value& root, TensorLoader& loader, std::string_view key) {
  Contents contents;
  PlainValues plain(loader);
  const Value* state = key.empty() ? &root : take_key(root, key, contents, plain);
  for (int depth = 0; depth < kMaxWrappers && state->as<Dict>() != nullptr; ++depth) {
    const Dict& dict = *state->as<Dict>();
    check_unique(dict);
    const std::string_view name = choose(dict, contents);
    if (name.empty()) {
      break;
    }
    state = find(dict, name);
    contents.key = joined(contents.key, name);
    add_rest(dict, state, contents, plain);
  }
  if (state->as<Dict>() == nullptr || !holds_tensors(*state->as<Dict>())) {
    no_state(root);
  }
  contents.state = state->as<Dict>();
  return contents;
}

}  // namespace

Checkpoint checkpoint_of(const Value& root, TensorLoader& loader, std::string_view key) {
  Contents contents = contents_of(root, loader, key);
  const NamedViews views = views_of(*contents.state);
  Checkpoint checkpoint;
  checkpoint.tensors = load_all(views, loader);
  checkpoint.prefix = views.prefix;
  checkpoint.metadata = std::move(contents.metadata);
  checkpoint.key = std::move(contents.key);
  checkpoint.notes = std::move(contents.notes);
  checkpoint.entries = entries_of(root);
  for (const auto& [name, group] : contents.groups) checkpoint.groups[name] = load_all(views_of(*group), loader);
  return checkpoint;
}

CheckpointIndex index_of(const Value& root, TensorLoader& loader, std::string_view key) {
  Contents contents = contents_of(root, loader, key);
  NamedViews views = views_of(*contents.state);
  CheckpointIndex index;
  index.metadata = std::move(contents.metadata);
  index.prefix = std::move(views.prefix);
  index.notes = std::move(contents.notes);
  for (const NamedView& found : views.views) {
    const TensorView& view = *found.view;
    named(found.name, [&] {
      StoredTensor stored{.name = found.name,
                          .sizes = view.sizes,
                          .type = view.type,
                          .offset = loader.offset_of(view),
                          .entry = loader.entry_of(view)};
      if (stored.offset) {
        stored.checksum = loader.checksum_of(view);
      } else {
        stored.tensor = loader.load(view);
      }
      index.tensors.push_back(std::move(stored));
    });
  }
  return index;
}

}  // namespace lossatlas::pickle
