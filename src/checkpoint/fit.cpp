#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/index.h"

namespace lossatlas {
namespace {

constexpr std::size_t kShown = 3;

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

bool may_be_missing(std::string_view name) {
  return name == "num_batches_tracked" || name.ends_with(".num_batches_tracked");
}

std::vector<Shaped> shapes_of(const std::vector<NamedTensor>& tensors) {
  std::vector<Shaped> shapes;
  for (const NamedTensor& named : tensors) {
    shapes.push_back({named.name, named.tensor.sizes()});
  }
  return shapes;
}

std::string text_of(at::IntArrayRef sizes) { return fmt::format("[{}]", fmt::join(sizes, ", ")); }

/// A name of the file's that the network does not know, the one most like `wanted` from its end: a prefix shows. "" if
/// there is none.
std::string_view most_alike(std::string_view wanted, const std::vector<Shaped>& given,
                            const std::map<std::string_view, at::IntArrayRef>& known) {
  const auto alike = [&](std::string_view name) {
    return std::mismatch(wanted.rbegin(), wanted.rend(), name.rbegin(), name.rend()).first - wanted.rbegin();
  };
  std::string_view best;
  for (const Shaped& source : given) {
    if (!known.contains(source.name) && (best.empty() || alike(source.name) > alike(best))) best = source.name;
  }
  return best;
}

/// One line for each tensor that does not fit: those of the network in its order, then what is left over.
std::vector<std::string> differences(const std::vector<Shaped>& wanted, const std::vector<Shaped>& given) {
  std::vector<std::string> lines;
  std::map<std::string_view, at::IntArrayRef> from, to;
  for (const Shaped& source : given) from[source.name] = source.sizes;
  for (const Shaped& target : wanted) to[target.name] = target.sizes;
  for (const Shaped& target : wanted) {
    const auto source = from.find(target.name);
    if (source == from.end()) {
      if (!may_be_missing(target.name)) {
        lines.push_back(fmt::format("{} {} is missing", target.name, text_of(target.sizes)));
        const auto other = lines.size() == 1 ? most_alike(target.name, given, to) : std::string_view();
        if (!other.empty()) lines.back() += fmt::format(" (the file has {})", other);
      }
    } else if (source->second != target.sizes) {
      lines.push_back(fmt::format("{} is {} there, {} in the network", target.name, text_of(source->second),
                                  text_of(target.sizes)));
    }
  }
  for (const Shaped& source : given) {
    if (!to.contains(source.name)) {
      lines.push_back(fmt::format("{} {} is unknown to the network", source.name, text_of(source.sizes)));
    }
  }
  return lines;
}

/// Throws Error where there are lines.
void refuse(const std::vector<std::string>& lines, const std::string& file, const std::string& network) {
  if (lines.empty()) {
    return;
  }
  const std::size_t shown = std::min(lines.size(), kShown);
  std::string text = fmt::format("{} does not fit {}: {}", file, network,
                                 fmt::join(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(shown), "; "));
  if (lines.size() > shown) {
    text += fmt::format("; and {} more", lines.size() - shown);
  }
  throw Error("{}", text);
}

}  // namespace

void load_into(const Checkpoint& checkpoint, Network& network, const std::string& architecture,
               const std::filesystem::path& file) {
  const std::vector<NamedTensor> targets = all_tensors(state_of(network));
  refuse(differences(shapes_of(targets), shapes_of(checkpoint.tensors)), file.string(), architecture);
  const at::NoGradGuard no_gradients;
  const Named sources = by_name(checkpoint.tensors);
  for (const NamedTensor& target : targets) {
    if (const auto source = sources.find(target.name); source != sources.end()) {
      at::Tensor(target.tensor).copy_(source->second);
    }
  }
}

void check_fit(const CheckpointIndex& index, const NetworkState& state, const std::string& architecture) {
  const std::vector<NamedTensor> targets = all_tensors(state);
  std::vector<Shaped> given;
  for (const StoredTensor& stored : index.tensors) {
    given.push_back({stored.name, stored.sizes});
  }
  refuse(differences(shapes_of(targets), given), index.file.string(), architecture);
}

}  // namespace lossatlas
