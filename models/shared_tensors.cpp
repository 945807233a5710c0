#include "models/shared_tensors.h"

#include <ATen/MemoryOverlap.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace lossatlas {
namespace {

/// The child of that name, made where it is not there yet.
torch::nn::Module& child(torch::nn::Module& parent, const std::string& name) {
  for (const auto& entry : parent.named_children()) {
    if (entry.key() == name) return *entry.value();
  }
  return *parent.register_module(name, std::make_shared<torch::nn::Module>());
}

/// Calls add(module, last part of the name) with the module that a dotted name leads to.
template <class Add>
void at_path(torch::nn::Module& root, const std::string& name, const Add& add) {
  constexpr std::ptrdiff_t kDeepest = 100;
  if (std::count(name.begin(), name.end(), '.') > kDeepest)
    throw Error("a tensor belongs to more than {} modules", kDeepest);
  torch::nn::Module* module = &root;
  std::size_t begin = 0;
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', begin)) {
    module = &child(*module, name.substr(begin, dot - begin));
    begin = dot + 1;
  }
  add(*module, name.substr(begin));
}

bool has_memory(const at::Tensor& tensor) { return tensor.has_storage() && tensor.numel() > 0; }

/// The last element in its storage.
std::int64_t last_of(const at::Tensor& tensor) {
  std::int64_t last = tensor.storage_offset();
  for (std::int64_t axis = 0; axis < tensor.dim(); ++axis) last += (tensor.size(axis) - 1) * tensor.stride(axis);
  return last;
}

bool share_numbers(const at::Tensor& a, const at::Tensor& b) {
  if (!has_memory(a) || !has_memory(b) || !a.is_alias_of(b)) return false;
  if (a.element_size() != b.element_size()) return true;
  const std::int64_t last_a = last_of(a), last_b = last_of(b);
  if (last_a < b.storage_offset() || last_b < a.storage_offset()) return false;
  const at::Tensor marks = torch::zeros({std::max(last_a, last_b) + 1}, torch::kBool);
  marks.as_strided(a.sizes(), a.strides(), a.storage_offset()).fill_(true);
  return marks.as_strided(b.sizes(), b.strides(), b.storage_offset()).any().item<bool>();
}

}  // namespace

const NamedTensor* find_same(const NamedTensor& wanted, const std::vector<NamedTensor>& tensors) {
  const auto is_same = [&](const at::Tensor& tensor) {
    return has_memory(tensor) && has_memory(wanted.tensor) && tensor.data_ptr() == wanted.tensor.data_ptr() &&
           tensor.scalar_type() == wanted.tensor.scalar_type() && tensor.sizes() == wanted.tensor.sizes() &&
           tensor.strides() == wanted.tensor.strides();
  };
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& known) { return is_same(known.tensor); });
  return found == tensors.end() ? nullptr : &*found;
}

void check_apart(const NamedTensor& tensor, const std::vector<NamedTensor>& parameters) {
  for (const NamedTensor& parameter : parameters) {
    if (!share_numbers(parameter.tensor, tensor.tensor)) continue;
    throw Error(
        "{} and {} are different views of the same numbers, which cannot be moved one by one; "
        "save the network with a copy, or with only one of them",
        parameter.name, tensor.name);
  }
}

void check_movable(const NamedTensor& parameter, const std::vector<NamedTensor>& parameters) {
  check_apart(parameter, parameters);
  if (at::has_internal_overlap(parameter.tensor) == at::MemOverlap::Yes) {
    throw Error("{} repeats its own numbers, as after expand(); save the network with a copy of it", parameter.name);
  }
}

void add_parameter(torch::nn::Module& root, const NamedTensor& parameter, bool requires_gradient) {
  at_path(root, parameter.name, [&](torch::nn::Module& module, const std::string& last) {
    module.register_parameter(last, parameter.tensor, requires_gradient);
  });
}

void add_buffer(torch::nn::Module& root, const NamedTensor& buffer) {
  at_path(root, buffer.name,
          [&](torch::nn::Module& module, const std::string& last) { module.register_buffer(last, buffer.tensor); });
}

}  // namespace lossatlas
