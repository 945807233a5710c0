#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "checkpoint/adapt.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/index.h"
#include "checkpoint/input_file.h"
#include "models/network.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

constexpr std::size_t kShown = 5;  // of each kind

using Named = std::map<std::string_view, at::Tensor>;

/// A tensor's name and sizes, of a checkpoint or of a network.
struct Shaped {
  std::string_view name;
  at::IntArrayRef sizes;
};

Named by_name(const std::vector<NamedTensor>& tensors) {
  Named named;
  for (const NamedTensor& tensor : tensors) {
    named.insert_or_assign(tensor.name, tensor.tensor);
  }
  return named;
}

std::vector<Shaped> shapes_of(const std::vector<NamedTensor>& tensors) {
  std::vector<Shaped> shapes;
  for (const NamedTensor& named : tensors) {
    shapes.push_back({named.name, named.tensor.sizes()});
  }
  return shapes;
}

std::string text_of(at::IntArrayRef sizes) { return fmt::format("[{}]", fmt::join(sizes, ", ")); }

template <class T>
std::vector<std::string> names_of(const std::vector<T>& tensors) {
  std::vector<std::string> names;
  for (const T& tensor : tensors) names.push_back(tensor.name);
  return names;
}

/// `tensors` with one in the place of each two; `join` makes it of them.
template <class T, class Join>
std::vector<T> joined(std::vector<T> tensors, const std::vector<Halves>& all, const Join& join) {
  for (const Halves& halves : all) {
    const auto find = [&](const std::string& name) {
      return std::find_if(tensors.begin(), tensors.end(), [&](const T& tensor) { return tensor.name == name; });
    };
    const auto first = find(halves.first), second = find(halves.second);
    *first = join(halves, *first, *second);
    tensors.erase(second);
  }
  return tensors;
}

NamedTensor join_tensors(const Halves& halves, const NamedTensor& first, const NamedTensor& second) {
  return {halves.whole, put_together(halves, first.tensor, second.tensor)};
}

/// Gives the file's tensors the network's names, and puts two together that stand for one of its. Leaves all as they
/// are if that does not give all that the network requires. Returns notes for people.
template <class T, class Join>
std::vector<std::string> adapt(std::vector<T>& tensors, std::vector<Alias>& aliases, const std::string& removed,
                               const NetworkTensors& state, const Join& join) {
  std::vector<std::string> notes;
  auto renaming = renaming_for(names_of(tensors), state);
  if (const auto halves = renaming ? std::vector<Halves>() : halves_in(names_of(tensors)); !halves.empty()) {
    renaming = renaming_for(joined_names(names_of(tensors), halves), state);
    if (!renaming) return {};
    tensors = joined(tensors, halves, join);
    notes = notes_of(halves);
  }
  if (!renaming) return {};
  for (T& tensor : tensors) tensor.name = (*renaming)(tensor.name);
  for (Alias& alias : aliases) alias = {(*renaming)(alias.name), (*renaming)(alias.of)};
  if (auto note = note_of(*renaming, removed); !note.empty()) notes.insert(notes.begin(), std::move(note));
  return notes;
}

/// Leaves one of the names that a network has for a tensor, the one that it lists. `are_equal` compares two entries.
template <class T, class Equal>
void keep_first_names(std::vector<T>& tensors, const std::vector<Alias>& aliases, const Equal& are_equal,
                      const std::string& file, const std::string& network) {
  for (const Alias& alias : aliases) {
    const auto find = [&](const std::string& name) {
      return std::find_if(tensors.begin(), tensors.end(), [&](const T& tensor) { return tensor.name == name; });
    };
    const auto again = find(alias.name), first = find(alias.of);
    if (again == tensors.end()) continue;
    if (first == tensors.end()) {
      again->name = alias.of;
    } else if (are_equal(*first, *again)) {
      tensors.erase(again);
    } else {
      throw Error("{} does not fit {}: {} and {} are one tensor in the network, and differ there", file, network,
                  alias.of, alias.name);
    }
  }
}

bool are_equal(const CheckpointIndex& index, const StoredTensor& a, const StoredTensor& b) {
  if (a.sizes != b.sizes) return false;
  if (a.offset && a.offset == b.offset) return true;
  const TensorReader reader(index);
  std::vector<float> first(static_cast<std::size_t>(a.numel())), second(first.size());
  reader.read(a, 0, first);
  reader.read(b, 0, second);
  return first == second;
}

/// Tensors that do not fit, by what is wrong: those of the network in its order, then what is left over.
struct Differences {
  std::vector<std::string> sizes, tied, missing, unknown;

  bool empty() const { return sizes.empty() && tied.empty() && missing.empty() && unknown.empty(); }
};

Differences differences(const std::vector<Shaped>& wanted, const std::vector<Shaped>& given,
                        const std::vector<Alias>& tied) {
  Differences found;
  std::map<std::string_view, at::IntArrayRef> from, to;
  for (const Shaped& source : given) from[source.name] = source.sizes;
  for (const Shaped& target : wanted) to[target.name] = target.sizes;
  for (const Shaped& target : wanted) {
    const auto source = from.find(target.name);
    if (source == from.end()) {
      const auto alias = std::find_if(tied.begin(), tied.end(), [&](const Alias& a) { return a.name == target.name; });
      if (alias != tied.end()) {
        found.tied.push_back(fmt::format("{} and {} are one tensor there, two in the network", alias->of, alias->name));
      } else if (!may_be_missing(target.name)) {
        found.missing.push_back(fmt::format("{} {}", target.name, text_of(target.sizes)));
      }
    } else if (source->second != target.sizes) {
      found.sizes.push_back(fmt::format("{} is {} there, {} in the network", target.name, text_of(source->second),
                                        text_of(target.sizes)));
    }
  }
  for (const Shaped& source : given) {
    if (!to.contains(source.name)) found.unknown.push_back(fmt::format("{} {}", source.name, text_of(source.sizes)));
  }
  return found;
}

/// Leaves out what the network never moves; `are_equal` compares an entry with the network's numbers.
template <class T, class Equal>
void drop_fixed(std::vector<T>& tensors, const std::vector<NamedTensor>& fixed, const Equal& are_equal,
                const std::string& file, const std::string& network) {
  for (const NamedTensor& still : fixed) {
    const auto is_named = [&](const T& entry) { return entry.name == still.name; };
    const auto found = std::find_if(tensors.begin(), tensors.end(), is_named);
    if (found == tensors.end()) continue;
    if (!are_equal(*found, still.tensor)) {
      throw Error("{} does not fit {}: {} is not trained there, and has other numbers or sizes in the checkpoint", file,
                  network, still.name);
    }
    tensors.erase(found);
  }
}

enum class Statistic { none, mean, variance };

Statistic statistic_of(std::string_view name) {
  const auto is_named = [&](std::string_view last) {
    return name == last || (name.ends_with(last) && name[name.size() - last.size() - 1] == '.');
  };
  return is_named("running_mean") ? Statistic::mean : is_named("running_var") ? Statistic::variance : Statistic::none;
}

void check_finite(const NamedTensor& tensor, const std::filesystem::path& file) {
  if (tensor.tensor.isfinite().all().item<bool>()) return;
  throw Error("{}: {} holds numbers that are not finite", file.string(), tensor.name);
}

void check_statistic(const NamedTensor& buffer, const std::filesystem::path& file) {
  const Statistic statistic = statistic_of(buffer.name);
  if (statistic == Statistic::none || buffer.tensor.numel() == 0) return;
  check_finite(buffer, file);
  if (statistic == Statistic::variance && buffer.tensor.min().item<double>() < 0) {
    throw Error("{}: {} holds a negative variance", file.string(), buffer.name);
  }
}

/// "a, b, and 3 more"
std::string first_of(const std::vector<std::string>& texts, const char* separator) {
  const auto shown = static_cast<std::ptrdiff_t>(std::min(texts.size(), kShown));
  std::string text = fmt::format("{}", fmt::join(texts.begin(), texts.begin() + shown, separator));
  if (texts.size() > kShown) text += fmt::format("{}and {} more", separator, texts.size() - kShown);
  return text;
}

/// Throws Error if something does not fit.
void refuse(const Differences& found, const std::string& file, const std::string& network) {
  std::vector<std::string> parts;
  for (const auto* texts : {&found.sizes, &found.tied}) {
    if (!texts->empty()) parts.push_back(first_of(*texts, "; "));
  }
  if (!found.missing.empty()) parts.push_back("missing: " + first_of(found.missing, ", "));
  if (!found.unknown.empty()) parts.push_back("unknown to the network: " + first_of(found.unknown, ", "));
  if (!parts.empty()) throw Error("{} does not fit {}: {}", file, network, fmt::join(parts, "; "));
}

}  // namespace

std::vector<std::string> load_into(const Checkpoint& checkpoint, const NetworkTensors& state,
                                   const std::string& architecture, const std::filesystem::path& file) {
  const std::vector<NamedTensor> targets = all_tensors(state);
  std::vector<NamedTensor> given = checkpoint.tensors;
  std::vector<Alias> tied = checkpoint.aliases;
  const auto notes = with_name(file, [&] { return adapt(given, tied, checkpoint.prefix, state, join_tensors); });
  const auto equal = [](const NamedTensor& a, const NamedTensor& b) {
    return a.tensor.scalar_type() == b.tensor.scalar_type() && at::equal(a.tensor, b.tensor);
  };
  keep_first_names(given, state.aliases, equal, file.string(), architecture);
  const auto is_fixed = [](const NamedTensor& entry, const at::Tensor& fixed) {
    return entry.tensor.sizes() == fixed.sizes() && at::equal(entry.tensor.to(fixed.scalar_type()), fixed);
  };
  drop_fixed(given, state.fixed, is_fixed, file.string(), architecture);
  refuse(differences(shapes_of(targets), shapes_of(given), tied), file.string(), architecture);
  const at::NoGradGuard no_gradients;
  const Named sources = by_name(given);
  for (const NamedTensor& target : targets) {
    if (const auto source = sources.find(target.name); source != sources.end()) {
      at::Tensor(target.tensor).copy_(source->second);
    }
  }
  return notes;
}

std::vector<std::string> check_fit(CheckpointIndex& index, const NetworkTensors& state,
                                   const std::string& architecture) {
  const auto numbers_of = [&](const std::string& name) {
    const StoredTensor& stored = *find_tensor(index, name);
    const at::Tensor numbers = at::empty(stored.sizes, at::kFloat);
    TensorReader(index).read(stored, 0, {numbers.data_ptr<float>(), static_cast<std::size_t>(numbers.numel())});
    return numbers;
  };
  const auto join = [&](const Halves& halves, const StoredTensor& first, const StoredTensor& second) {
    const at::Tensor whole = put_together(halves, numbers_of(first.name), numbers_of(second.name));
    return StoredTensor{.name = halves.whole, .sizes = whole.sizes().vec(), .type = at::kFloat, .tensor = whole};
  };
  const auto notes =
      with_name(index.file, [&] { return adapt(index.tensors, index.aliases, index.prefix, state, join); });
  const auto equal = [&](const StoredTensor& a, const StoredTensor& b) { return are_equal(index, a, b); };
  keep_first_names(index.tensors, state.aliases, equal, index.file.string(), architecture);
  const auto is_fixed = [&](const StoredTensor& entry, const at::Tensor& fixed) {
    if (at::IntArrayRef(entry.sizes) != fixed.sizes()) return false;
    if (!fixed.is_floating_point()) return true;  // readers of parts give floats
    std::vector<float> numbers(static_cast<std::size_t>(entry.numel()));
    TensorReader(index).read(entry, 0, numbers);
    const at::Tensor wanted = fixed.to(at::kFloat).contiguous();
    return std::equal(numbers.begin(), numbers.end(), wanted.const_data_ptr<float>());
  };
  drop_fixed(index.tensors, state.fixed, is_fixed, index.file.string(), architecture);
  const std::vector<NamedTensor> targets = all_tensors(state);
  std::vector<Shaped> given;
  for (const StoredTensor& stored : index.tensors) {
    given.push_back({stored.name, stored.sizes});
  }
  refuse(differences(shapes_of(targets), given, index.aliases), index.file.string(), architecture);
  return notes;
}

std::vector<std::string> fitting_architectures(const Checkpoint& checkpoint, NetworkSpec spec) {
  std::vector<std::vector<NamedTensor>> forms{checkpoint.tensors};
  const auto halves = halves_in(names_of(checkpoint.tensors));
  const auto sized = [](const Halves& of, const NamedTensor&, const NamedTensor& second) {
    return NamedTensor{of.whole, second.tensor};  // of the right size
  };
  if (!halves.empty()) forms.push_back(joined(checkpoint.tensors, halves, sized));
  const auto fits = [&](const NetworkTensors& state, bool by_names_alone) {
    return std::any_of(forms.begin(), forms.end(), [&](std::vector<NamedTensor> tensors) {
      const auto renaming = renaming_for(names_of(tensors), state);
      if (!renaming || by_names_alone) return renaming.has_value();
      for (NamedTensor& tensor : tensors) tensor.name = (*renaming)(tensor.name);
      return differences(shapes_of(all_tensors(state)), shapes_of(tensors), {}).empty();
    });
  };
  std::vector<std::string> fitting;
  for (const ArchitectureInfo& info : architectures()) {
    spec.architecture = info.name;
    try {
      if (info.defaults.width > 0) {  // the names alone, by a narrow network that is soon made
        NetworkSpec narrow = spec;
        narrow.width = 1;
        if (!fits(state_of(*make_network(narrow)), true)) continue;
      }
      const auto network = make_network(spec);
      if (fits(state_of(*network), false)) fitting.push_back(info.name);
    } catch (const UsageError&) {  // it takes no such images, or has no width to choose
    }
  }
  return fitting;
}

void check_numbers(const NetworkTensors& state, const std::filesystem::path& file) {
  for (const auto& [name, tensor] : state.parameters) {
    check_finite({name, tensor}, file);
  }
  for (const NamedTensor& buffer : state.buffers) check_statistic(buffer, file);
}

void check_statistics(const CheckpointIndex& index, const NetworkTensors& state) {
  const TensorReader reader(index);
  for (const auto& [name, tensor] : state.buffers) {
    const StoredTensor* stored = statistic_of(name) == Statistic::none ? nullptr : find_tensor(index, name);
    if (stored == nullptr) continue;
    const at::Tensor numbers = at::empty({stored->numel()}, at::kFloat);
    reader.read(*stored, 0, {numbers.data_ptr<float>(), static_cast<std::size_t>(stored->numel())});
    check_statistic({name, numbers}, index.file);
  }
}

}  // namespace lossatlas
