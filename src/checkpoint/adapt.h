#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/state.h"

/// What other people's scripts do to names and weights, undone for a network whose names are known.
namespace lossatlas {

/// True for num_batches_tracked, which PyTorch before 0.4.1 did not write.
bool may_be_missing(std::string_view name);

/// At most one of the two prefixes is not empty.
struct Renaming {
  std::string stripped, added;  // prefixes
  std::string unwrapped = {};   // the parts of wrappers that are removed first, wherever they are: "_orig_mod."

  std::string operator()(std::string name) const;
};

/// The first of these that gives each tensor the network requires: the names as they are; without one, two, … leading
/// parts ("model.") that they share; with leading parts that the network's own names share; and each of these again
/// without the parts that wrappers put inside names (torch.compile of a layer). Nothing if none does.
std::optional<Renaming> renaming_for(const std::vector<std::string>& names, const NetworkTensors& state);

/// What to report about it, if `removed` was stripped before; "" for nothing.
std::string note_of(const Renaming& renaming, const std::string& removed);

/// Two tensors of a file that are one of the network: of torch.nn.utils.prune or of weight norm.
struct Halves {
  std::string whole, first, second;
  bool is_pruned;  // whole = first × second; else first · second / ‖second‖, the norm over all dimensions but 0
};

/// All pairs of such names: X_orig and X_mask, X_g and X_v, parametrizations.X.original0 and 1.
std::vector<Halves> halves_in(const std::vector<std::string>& names);

/// The names of the wholes in the place of the halves'.
std::vector<std::string> joined_names(std::vector<std::string> names, const std::vector<Halves>& all);

/// Float32. Throws Error, without a file's name, if the sizes do not go together.
at::Tensor put_together(const Halves& halves, const at::Tensor& first, const at::Tensor& second);

/// What to report about them; empty for none.
std::vector<std::string> notes_of(const std::vector<Halves>& all);

}  // namespace lossatlas
