#include "landscape/differences.h"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <omp.h>
#include <torch/utils.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <stdexcept>

#include "base/error.h"

namespace lossatlas {
namespace {

// Doubles of a block, 64 MB: each thread holds one. Wide blocks are read in long stretches of each file.
constexpr std::int64_t kBlock = std::int64_t{1} << 23;
constexpr std::int64_t kWidest = std::int64_t{1} << 17;
constexpr int kMostThreads = 16;

std::int64_t block_width(std::size_t rows) {
  return std::clamp(kBlock / static_cast<std::int64_t>(rows), std::int64_t{1024}, kWidest);
}

/// The lower triangle of rows · rowsᵀ, [n, n]; above it zeros.
torch::Tensor lower_products(const torch::Tensor& rows) {
  constexpr std::int64_t kStrip = 32;
  const std::int64_t count = rows.size(0);
  auto products = torch::zeros({count, count}, torch::kFloat64);
  for (std::int64_t first = 0; first < count; first += kStrip) {
    const std::int64_t end = std::min(first + kStrip, count);
    auto strip = products.slice(0, first, end).slice(1, 0, end);
    at::mm_out(strip, rows.slice(0, first, end), rows.slice(0, 0, end).t());
  }
  return products.tril();
}

/// [n + 2, 3]: products of the rows of `block` and of both directions with the directions; squares of the rows.
torch::Tensor products_of(const torch::Tensor& block, const torch::Tensor& directions) {
  const auto with_squares = [&](const torch::Tensor& rows) {
    const auto lengths = at::linalg_vector_norm(rows, 2, at::IntArrayRef{1}, true);
    return torch::cat({rows.mm(directions.t()), lengths.square()}, 1);
  };
  return torch::cat({with_squares(block), with_squares(directions)});
}

Products products_from(const torch::Tensor& sums) {
  const auto entries = sums.accessor<double, 2>();
  const std::int64_t rows = sums.size(0) - 2;
  Products products;
  for (std::int64_t i = 0; i < rows; ++i) {
    products.with.push_back({entries[i][0], entries[i][1]});
    products.squares.push_back(entries[i][2]);
  }
  for (std::size_t j = 0; j < 2; ++j) {
    const std::int64_t row = rows + static_cast<std::int64_t>(j);
    products.among[j] = {entries[row][0], entries[row][1]};
  }
  return products;
}

/// True where the parameter of largest magnitude, the first of equals, is negative.
bool leans_negative(const Direction& direction) {
  float largest = 0;
  for (const auto& [name, tensor] : direction.parameters) {
    for (const float value : numbers_of(tensor)) {
      if (std::abs(value) > std::abs(largest)) largest = value;
    }
  }
  return largest < 0;
}

const StoredTensor& find(const CheckpointIndex& checkpoint, const NamedTensor& wanted) {
  const StoredTensor* found = find_tensor(checkpoint, wanted.name);
  if (found == nullptr || found->numel() != wanted.tensor.numel()) {
    throw std::logic_error("Differences: another network's checkpoint");
  }
  return *found;
}

}  // namespace

Differences::Differences(NetworkState origin, std::vector<const CheckpointIndex*> checkpoints, int threads)
    : origin_(std::move(origin)),
      begins_{0},
      checkpoints_(std::move(checkpoints)),
      threads_(std::clamp(threads, 1, kMostThreads)) {
  for (const auto& [name, tensor] : origin_.parameters) begins_.push_back(begins_.back() + tensor.numel());
  for (const CheckpointIndex* checkpoint : checkpoints_) {
    auto& row = stored_.emplace_back();
    for (const NamedTensor& parameter : origin_.parameters) row.push_back(&find(*checkpoint, parameter));
  }
}

void Differences::for_each_part(
    std::int64_t first, std::int64_t count,
    const std::function<void(std::size_t, std::int64_t, std::int64_t, std::int64_t)>& use) const {
  for (std::size_t p = 0; p < origin_.parameters.size(); ++p) {
    const std::int64_t begin = std::max(first, begins_[p]), end = std::min(first + count, begins_[p + 1]);
    if (begin < end) use(p, begin - begins_[p], end - begin, begin - first);
  }
}

torch::Tensor Differences::block(std::int64_t first, std::int64_t count, const torch::Tensor& memory) const {
  const auto rows = static_cast<std::int64_t>(checkpoints_.size());
  const auto result = memory.narrow(0, 0, rows * count).view({rows, count});
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < rows; ++i) {
    double* out = result.data_ptr<double>() + i * count;
    const auto& stored = stored_[static_cast<std::size_t>(i)];
    for_each_part(first, count, [&](std::size_t p, std::int64_t at, std::int64_t length, std::int64_t column) {
      const auto part = std::span(numbers).first(static_cast<std::size_t>(length));
      read_numbers(*checkpoints_[static_cast<std::size_t>(i)], *stored[p], at, part);
      const float* from = origin_.parameters[p].tensor.data_ptr<float>() + at;
      for (std::int64_t j = 0; j < length; ++j) {
        out[column + j] = static_cast<double>(numbers[static_cast<std::size_t>(j)]) - static_cast<double>(from[j]);
      }
    });
  }
  return result;
}

torch::Tensor Differences::sum(
    const std::function<torch::Tensor(std::int64_t first, const torch::Tensor& block)>& part) const {
  const std::int64_t columns = begins_.back(), width = block_width(checkpoints_.size());
  const auto rows = static_cast<std::int64_t>(checkpoints_.size());
  std::vector<torch::Tensor> memory(static_cast<std::size_t>(threads_));  // touched once, used for every block
  for (auto& block : memory) block = torch::empty({rows * std::min(width, columns)}, torch::kFloat64);
  torch::Tensor total;
  std::exception_ptr failure;
  std::atomic<bool> has_failed = false;
  const int operator_threads = torch::get_num_threads();
  torch::set_num_threads(1);
#pragma omp parallel for ordered schedule(static, 1) num_threads(threads_)
  for (std::int64_t first = 0; first < columns; first += width) {
    torch::Tensor found;
    std::exception_ptr thrown;
    try {
      const torch::NoGradGuard no_gradients;
      torch::set_num_threads(1);  // the setting is a thread's own where OpenMP runs the operators
      const auto& own = memory[static_cast<std::size_t>(omp_get_thread_num())];
      if (!has_failed) found = part(first, block(first, std::min(width, columns - first), own));
    } catch (...) {
      thrown = std::current_exception();
      has_failed = true;
    }
#pragma omp ordered
    {
      if (!failure) failure = thrown;
      if (found.defined()) total = total.defined() ? total.add_(found) : found;
    }
  }
  torch::set_num_threads(operator_threads);
  if (failure) std::rethrow_exception(failure);
  return total;
}

std::vector<double> Differences::gram() const {
  const auto lower = sum([](std::int64_t, const torch::Tensor& rows) { return lower_products(rows); });
  const auto total = lower + lower.tril(-1).t();
  const std::size_t n = count();
  const std::vector<double> gram(total.data_ptr<double>(), total.data_ptr<double>() + n * n);
  for (std::size_t i = 0; i < n; ++i) {
    if (!std::isfinite(gram[i * n + i])) {
      throw Error("{}: holds parameters that are not finite; leave it out", checkpoints_[i]->file.string());
    }
  }
  return gram;
}

torch::Tensor Differences::combine_buffer(const NamedTensor& buffer, const std::vector<double>& combination) const {
  const auto& origin = buffer.tensor;
  if (!origin.is_floating_point()) return torch::zeros(origin.sizes(), torch::kFloat32);
  auto sum = torch::zeros(origin.sizes(), torch::kFloat64);
  const auto numbers = torch::empty(origin.sizes(), torch::kFloat32);
  for (std::size_t i = 0; i < count(); ++i) {
    read_numbers(*checkpoints_[i], find(*checkpoints_[i], buffer), 0, numbers_of(numbers));
    sum.add_(numbers.to(torch::kFloat64) - origin.to(torch::kFloat64), combination[i]);
  }
  return sum.to(torch::kFloat32);
}

std::vector<Direction> Differences::combine(std::span<const std::vector<double>> combinations, DirectionType type,
                                            Products& products) const {
  std::vector<Direction> directions(2);
  for (std::size_t k = 0; k < 2; ++k) {
    for (const auto& [name, tensor] : origin_.parameters) {
      directions[k].parameters.push_back({name, torch::empty_like(tensor)});
    }
    if (type == DirectionType::weights) continue;
    for (const NamedTensor& buffer : origin_.buffers) {
      directions[k].buffers.push_back({buffer.name, combine_buffer(buffer, combinations[k])});
    }
  }
  const auto rows = static_cast<std::int64_t>(count());
  const auto weights = torch::empty({2, rows}, torch::kFloat64);
  for (std::size_t k = 0; k < 2; ++k) {
    std::copy(combinations[k].begin(), combinations[k].end(),
              weights.data_ptr<double>() + static_cast<std::int64_t>(k) * rows);
  }
  const auto total = sum([&](std::int64_t first, const torch::Tensor& block) {
    const auto rounded = weights.mm(block).to(torch::kFloat32);
    for_each_part(first, block.size(1), [&](std::size_t p, std::int64_t at, std::int64_t length, std::int64_t column) {
      for (std::int64_t k = 0; k < 2; ++k) {
        const float* from = rounded.data_ptr<float>() + k * block.size(1) + column;
        std::copy(from, from + length,
                  directions[static_cast<std::size_t>(k)].parameters[p].tensor.data_ptr<float>() + at);
      }
    });
    return products_of(block, rounded.to(torch::kFloat64));
  });
  products = products_from(total);
  for (std::size_t k = 0; k < 2; ++k) {
    if (!leans_negative(directions[k])) continue;
    for (auto& [name, tensor] : directions[k].parameters) tensor.neg_();
    for (auto& [name, tensor] : directions[k].buffers) tensor.neg_();
    for (auto& with : products.with) with[k] = -with[k];
    products.among[k][1 - k] = products.among[1 - k][k] = -products.among[k][1 - k];
  }
  return directions;
}

Products Differences::products(const std::vector<Direction>& directions) const {
  return products_from(sum([&](std::int64_t first, const torch::Tensor& block) {
    const auto both = torch::empty({2, block.size(1)}, torch::kFloat64);
    for_each_part(first, block.size(1), [&](std::size_t p, std::int64_t at, std::int64_t length, std::int64_t column) {
      for (std::int64_t k = 0; k < 2; ++k) {
        const float* from = directions[static_cast<std::size_t>(k)].parameters[p].tensor.data_ptr<float>() + at;
        std::copy(from, from + length, both.data_ptr<double>() + k * block.size(1) + column);
      }
    });
    return products_of(block, both);
  }));
}

}  // namespace lossatlas
