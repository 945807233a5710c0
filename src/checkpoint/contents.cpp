#include "checkpoint/contents.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/error.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"
#include "checkpoint/plain_values.h"

namespace lossatlas::pickle {
namespace {

/// The names under which trainers keep the state_dict, in order of preference.
constexpr std::array<std::string_view, 4> kWrappers{"state_dict", "model_state_dict", "model", "net"};
constexpr int kMaxWrappers = 4;  // {"model": {"state_dict": …}}; and a dictionary that holds itself ends here

const std::string* text_of(const Value& value) {
  const Text* text = value.as<Text>();
  return text ? &text->text : nullptr;
}

bool holds_tensors(const Dict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(),
                     [](const auto& item) { return item.second->template as<const TensorView*>() != nullptr; });
}

bool holds_tensors_alone(const Dict& dict) {
  return !dict.items.empty() && std::all_of(dict.items.begin(), dict.items.end(), [](const auto& item) {
    return text_of(*item.first) != nullptr && item.second->template as<const TensorView*>() != nullptr;
  });
}

/// The entry of that name which is a dictionary, or null.
const Value* find_dict(const Dict& dict, std::string_view name) {
  const Value* found = nullptr;
  for (const auto& [key, value] : dict.items) {
    const std::string* text = text_of(*key);
    if (text != nullptr && *text == name) {
      found = value->as<Dict>() ? value : nullptr;
    }
  }
  return found;
}

const Value* unwrap_once(const Dict& dict) {
  for (const std::string_view name : kWrappers) {
    if (const Value* inner = find_dict(dict, name)) {
      return inner;
    }
  }
  return nullptr;
}

struct NamedView {
  std::string name;
  const TensorView* view;
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

/// In the order of the dictionary; what is not a tensor is passed over (torch's own `_extra_state` may be anything).
std::vector<NamedView> views_of(const Dict& dict) {
  check_unique(dict);
  std::vector<NamedView> views;
  for (const auto& [key, value] : dict.items) {
    const auto* view = value->as<const TensorView*>();
    if (view == nullptr) {
      continue;
    }
    const std::string* name = text_of(*key);
    if (name == nullptr || !is_utf8(*name)) {
      throw Error("holds a tensor whose name is not text");
    }
    views.push_back({*name, *view});
  }
  remove_module_prefix(views);
  return views;
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

std::vector<NamedTensor> load_all(const Dict& dict, TensorLoader& loader) {
  std::vector<NamedTensor> tensors;
  for (const NamedView& found : views_of(dict)) {
    tensors.push_back({found.name, named(found.name, [&] { return loader.load(*found.view); })});
  }
  return tensors;
}

/// What a pickle holds, its tensors not loaded yet.
struct Contents {
  const Dict* state;
  std::vector<std::pair<std::string, const Dict*>> groups;
  nlohmann::json metadata = nlohmann::json::object();
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

[[noreturn]] void no_state(const Value& root) {
  const Dict* dict = root.as<Dict>();
  if (dict == nullptr) {
    throw Error("holds {}, not a state_dict; save one with torch.save(model.state_dict(), ...)",
                root.as<const TensorView*>() ? "a single tensor" : "a value without names");
  }
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(dict->items.size(), 5); ++i) {
    const std::string* name = text_of(*dict->items[i].first);
    names += fmt::format("{}'{}'", i == 0 ? "" : ", ", name ? printable(*name) : "?");
  }
  throw Error("holds no state_dict: its entries are {}; looked for tensors, and for '{}'",
              names.empty() ? "none" : names, fmt::join(kWrappers, "', '"));
}

Contents contents_of(const Value& root, TensorLoader& loader) {
  Contents contents;
  PlainValues plain(loader);
  const Value* state = &root;
  for (int depth = 0; depth < kMaxWrappers && state->as<Dict>() != nullptr; ++depth) {
    const Dict& dict = *state->as<Dict>();
    check_unique(dict);
    const Value* inner = unwrap_once(dict);
    if (inner == nullptr) {
      break;
    }
    add_rest(dict, inner, contents, plain);
    state = inner;
  }
  if (state->as<Dict>() == nullptr || !holds_tensors(*state->as<Dict>())) {
    no_state(root);
  }
  contents.state = state->as<Dict>();
  return contents;
}

}  // namespace

Checkpoint checkpoint_of(const Value& root, TensorLoader& loader) {
  Contents contents = contents_of(root, loader);
  Checkpoint checkpoint;
  checkpoint.tensors = load_all(*contents.state, loader);
  checkpoint.metadata = std::move(contents.metadata);
  for (const auto& [name, group] : contents.groups) checkpoint.groups[name] = load_all(*group, loader);
  return checkpoint;
}

CheckpointIndex index_of(const Value& root, TensorLoader& loader) {
  Contents contents = contents_of(root, loader);
  CheckpointIndex index;
  index.metadata = std::move(contents.metadata);
  for (const NamedView& found : views_of(*contents.state)) {
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
