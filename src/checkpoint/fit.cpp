#include <torch/utils.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "checkpoint/checkpoint.h"

namespace lossatlas {
namespace {

constexpr std::size_t kShown = 3;

using Named = std::map<std::string_view, torch::Tensor>;

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

std::string shape(const torch::Tensor& tensor) { return fmt::format("[{}]", fmt::join(tensor.sizes(), ", ")); }

/// One line for each tensor that does not fit: those of the network in its order, then what is left over.
std::vector<std::string> differences(const std::vector<NamedTensor>& wanted, const std::vector<NamedTensor>& given) {
  std::vector<std::string> lines;
  const Named from = by_name(given);
  for (const NamedTensor& target : wanted) {
    const auto source = from.find(target.name);
    if (source == from.end()) {
      if (!may_be_missing(target.name)) {
        lines.push_back(fmt::format("{} {} is missing", target.name, shape(target.tensor)));
      }
    } else if (source->second.sizes() != target.tensor.sizes()) {
      lines.push_back(fmt::format("{} is {} there, {} in the network", target.name, shape(source->second),
                                  shape(target.tensor)));
    }
  }
  const Named to = by_name(wanted);
  for (const NamedTensor& source : given) {
    if (!to.contains(source.name)) {
      lines.push_back(fmt::format("{} {} is unknown to the network", source.name, shape(source.tensor)));
    }
  }
  return lines;
}

[[noreturn]] void refuse(const std::vector<std::string>& lines, const std::string& file, const std::string& network) {
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
  const auto lines = differences(targets, checkpoint.tensors);
  if (!lines.empty()) {
    refuse(lines, file.string(), architecture);
  }
  const torch::NoGradGuard no_gradients;
  const Named sources = by_name(checkpoint.tensors);
  for (const NamedTensor& target : targets) {
    if (const auto source = sources.find(target.name); source != sources.end()) {
      torch::Tensor(target.tensor).copy_(source->second);
    }
  }
}

}  // namespace lossatlas
