#include "landscape/differences.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <omp.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <stdexcept>

#include "base/error.h"
#include "kernels/kernels.h"

namespace lossatlas {
namespace {

constexpr int kMostThreads = 16;

Products products_from(const at::Tensor& sums) {
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

/// True if the parameter of largest magnitude, the first of equals, is negative.
bool leans_negative(const Direction& direction) {
  float largest = 0;
  for (const auto& [name, tensor] : direction.parameters) {
    for (const float value : numbers_of(tensor)) {
      if (std::abs(value) > std::abs(largest)) largest = value;
    }
  }
  return largest < 0;
}

/// Files that this process may keep open, with as many left for others.
std::size_t most_open() {
  struct rlimit limit {};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur / 2) : 0;
}

const StoredTensor& find(const CheckpointIndex& checkpoint, const NamedTensor& wanted) {
  const StoredTensor* found = find_tensor(checkpoint, wanted.name);
  if (found == nullptr || found->numel() != wanted.tensor.numel()) {
    throw std::logic_error("Differences: another network's checkpoint");
  }
  return *found;
}

}  // namespace

Differences::Differences(NetworkState origin, std::vector<const CheckpointIndex*> checkpoints,
                         const SumOptions& options)
    : origin_(std::move(origin)),
      begins_{0},
      checkpoints_(std::move(checkpoints)),
      threads_(std::clamp(options.threads, 1, kMostThreads)),
      few_products_(options.few_products),
      kernels_(kernels_of(options.instruction_set)) {
  for (const auto& [name, tensor] : origin_.parameters) begins_.push_back(begins_.back() + tensor.numel());
  for (const CheckpointIndex* checkpoint : checkpoints_) {
    auto& row = stored_.emplace_back();
    for (const NamedTensor& parameter : origin_.parameters) row.push_back(&find(*checkpoint, parameter));
  }
  for (const CheckpointIndex* checkpoint : checkpoints_)
    readers_.emplace_back(*checkpoint, readers_.size() < most_open());
}

/// Floats of a row that a thread holds: a multiple of kColumns.
std::int64_t Differences::stretch_width(std::size_t rows) {
  constexpr std::int64_t kStretch = std::int64_t{1} << 21;     // floats of all rows, 8 MB: near the caches,
  constexpr std::int64_t kLeastBlocks = 8, kMostBlocks = 128;  // and still long reads
  return kColumns * std::clamp(kStretch / kColumns / static_cast<std::int64_t>(rows), kLeastBlocks, kMostBlocks);
}

void Differences::for_each_part(
    std::int64_t first, std::int64_t count,
    const std::function<void(std::size_t, std::int64_t, std::int64_t, std::int64_t)>& use) const {
  for (std::size_t p = 0; p < origin_.parameters.size(); ++p) {
    const std::int64_t begin = std::max(first, begins_[p]), end = std::min(first + count, begins_[p + 1]);
    if (begin < end) use(p, begin - begins_[p], end - begin, begin - first);
  }
}

void Differences::for_each_row_of(
    const Block& block,
    const std::function<void(std::size_t, const float*, const float*, std::int64_t, std::int64_t)>& use) const {
  for_each_part(
      block.first, block.columns, [&](std::size_t p, std::int64_t at, std::int64_t length, std::int64_t column) {
        const float* origin = origin_.parameters[p].tensor.data_ptr<float>() + at;
        for (std::size_t i = 0; i < count(); ++i) {
          use(i, block.numbers + static_cast<std::int64_t>(i) * block.stride + column, origin, length, column);
        }
      });
}

void Differences::read(std::int64_t first, std::int64_t count, float* numbers) const {
  for (std::size_t i = 0; i < checkpoints_.size(); ++i, numbers += count) {
    for_each_part(first, count, [&](std::size_t p, std::int64_t at, std::int64_t length, std::int64_t column) {
      readers_[i].read(*stored_[i][p], at, {numbers + column, static_cast<std::size_t>(length)});
    });
  }
}

at::Tensor Differences::sum(std::int64_t sums, std::int64_t of_each, const Part& part) const {
  const std::int64_t columns = begins_.back(), width = std::min(stretch_width(checkpoints_.size()), columns);
  const auto rows = static_cast<std::int64_t>(checkpoints_.size());
  std::vector<at::Tensor> memory(static_cast<std::size_t>(threads_));  // touched once, used for every stretch
  for (auto& numbers : memory) numbers = at::empty({rows, width}, at::kFloat);
  const auto total = at::zeros({sums, of_each}, at::kDouble);
  std::exception_ptr failure;
  std::atomic<bool> has_failed = false;
  const int operator_threads = at::get_num_threads();
  at::set_num_threads(1);
#pragma omp parallel for ordered schedule(static, 1) num_threads(threads_)
  for (std::int64_t first = 0; first < columns; first += width) {
    const auto found = at::zeros_like(total);
    std::exception_ptr thrown;
    try {
      const at::NoGradGuard no_gradients;
      at::set_num_threads(1);  // the setting is a thread's own where OpenMP runs the operators
      float* numbers = memory[static_cast<std::size_t>(omp_get_thread_num())].data_ptr<float>();
      const std::int64_t count = std::min(width, columns - first);
      if (!has_failed) {
        read(first, count, numbers);
        for (std::int64_t at = 0; at < count; at += kColumns) {
          part({first + at, std::min(kColumns, count - at), numbers + at, count}, found.data_ptr<double>());
        }
      }
    } catch (...) {
      thrown = std::current_exception();
      has_failed = true;
    }
#pragma omp ordered
    {
      if (!failure) failure = thrown;
      total.add_(found);
    }
  }
  at::set_num_threads(operator_threads);
  if (failure) std::rethrow_exception(failure);
  return total;
}

template <class Number>
std::vector<double> Differences::gram_in(const GramKernels<Number>& kernels) const {
  const std::int64_t step = kernels_.gram_rows;
  const std::int64_t rows = (static_cast<std::int64_t>(count()) + step - 1) / step * step;
  const at::Tensor lower = sum(rows, rows, [&](const Block& block, double* total) {
    thread_local at::Tensor memory;  // a tensor's begins with a line of the cache
    if (memory.numel() < rows * kColumns)
      memory = at::empty({rows * kColumns}, c10::CppTypeToScalarType<Number>::value);
    if (block.columns < kColumns) memory.zero_();
    Number* differences = memory.data_ptr<Number>();  // [rows][kColumns]
    for_each_row_of(
        block, [&](std::size_t i, const float* numbers, const float* origin, std::int64_t length, std::int64_t at) {
          kernels.subtract(numbers, origin, length, differences + static_cast<std::int64_t>(i) * kColumns + at);
        });
    kernels.add(differences, rows, kColumns, total);
  });
  const auto entries = lower.accessor<double, 2>();
  const std::size_t n = count();
  std::vector<double> gram(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      gram[i * n + j] = gram[j * n + i] = entries[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(j)];
    }
  }
  return gram;
}

std::vector<double> Differences::gram() const {
  auto gram = gram_in(kernels_.gram_in_double);
  for (std::size_t i = 0; i < count(); ++i) {
    if (!std::isfinite(gram[i * count() + i])) {
      throw Error("{}: holds parameters that are not finite; leave it out", checkpoints_[i]->file.string());
    }
  }
  return gram;
}

Pca Differences::pca(std::size_t components) const {
  constexpr double kLeast = 1e-20, kMost = 1e30;  // squares in between float holds with all their digits
  constexpr double kSmall = 1e-4;                 // variance, of the largest square, of which float leaves about 1e-8
  const std::size_t n = count();
  const double products = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(begins_.back()) / 2;
  if (products < few_products_) return pca_of_gram(gram(), n, components);
  const auto quick = gram_in(kernels_.gram_in_float);
  double most = 0;
  bool is_held = true;
  for (std::size_t i = 0; i < n; ++i) {
    const double square = quick[i * n + i];
    is_held = is_held && square < kMost;
    most = std::max(most, square);
  }
  if (is_held && most > kLeast) {
    Pca found = pca_of_gram(quick, n, components);
    const auto& variance = found.explained_variance;
    if (variance.size() > 1 && variance[1] > kSmall * most) return found;
  }
  return pca_of_gram(gram(), n, components);
}

Products Differences::sum_products(const std::function<void(const Block&, TwoRows&)>& directions) const {
  const auto rows = static_cast<std::int64_t>(count());
  return products_from(sum(rows + 2, 3, [&](const Block& block, double* total) {
    TwoRows along{};
    directions(block, along);
    for_each_row_of(block, [&](std::size_t i, const float* numbers, const float* origin, std::int64_t length,
                               std::int64_t at) {
      kernels_.add_projections(numbers, origin, length, {along[0].data() + at, along[1].data() + at}, total + 3 * i);
    });
    double* among = total + 3 * rows;
    for (std::size_t c = 0; c < along[0].size(); ++c) {
      among[0] += along[0][c] * along[0][c];
      among[1] += along[0][c] * along[1][c];
      among[4] += along[1][c] * along[1][c];
    }
    among[3] = among[1];
  }));
}

void Differences::combine_buffer(const NamedTensor& buffer, const std::vector<double>& combination,
                                 const at::Tensor& out) const {
  const auto& origin = buffer.tensor;
  if (!origin.is_floating_point()) return;
  auto sum = at::zeros(origin.sizes(), at::kDouble);
  const auto numbers = at::empty(origin.sizes(), at::kFloat);
  for (std::size_t i = 0; i < count(); ++i) {
    readers_[i].read(find(*checkpoints_[i], buffer), 0, numbers_of(numbers));
    sum.add_(numbers.to(at::kDouble) - origin.to(at::kDouble), combination[i]);
  }
  out.copy_(sum);
}

std::vector<Direction> Differences::combine(std::span<const std::vector<double>> combinations, DirectionType type,
                                            Products& products) const {
  std::vector<Direction> directions;
  for (std::size_t k = 0; k < 2; ++k) {
    const auto& buffers = directions.emplace_back(zeros_like(origin_, part_of(type))).buffers;
    for (std::size_t b = 0; b < buffers.size(); ++b) {
      combine_buffer(origin_.buffers[b], combinations[k], buffers[b].tensor);
    }
  }
  std::vector<std::array<double, 2>> weights;
  for (std::size_t i = 0; i < count(); ++i) weights.push_back({combinations[0][i], combinations[1][i]});
  products = sum_products([&](const Block& block, TwoRows& along) {
    for_each_part(
        block.first, block.columns, [&](std::size_t p, std::int64_t at, std::int64_t length, std::int64_t column) {
          const float* origin = origin_.parameters[p].tensor.data_ptr<float>() + at;
          kernels_.add_combinations(block.numbers + column, block.stride, static_cast<std::int64_t>(count()), origin,
                                    length, weights.data(), {along[0].data() + column, along[1].data() + column});
          for (std::size_t k = 0; k < 2; ++k) {
            float* to = directions[k].parameters[p].tensor.data_ptr<float>() + at;
            double* sums = along[k].data() + column;
            for (std::int64_t i = 0; i < length; ++i)
              sums[i] = static_cast<double>(to[i] = static_cast<float>(sums[i]));
          }
        });
  });
  for (std::size_t k = 0; k < 2; ++k) {
    if (!leans_negative(directions[k])) continue;
    directions[k].flat.neg_();
    for (auto& with : products.with) with[k] = -with[k];
    products.among[k][1 - k] = products.among[1 - k][k] = -products.among[k][1 - k];
  }
  return directions;
}

Products Differences::products(const std::vector<Direction>& directions) const {
  return sum_products([&](const Block& block, TwoRows& along) {
    for_each_part(block.first, block.columns,
                  [&](std::size_t p, std::int64_t at, std::int64_t length, std::int64_t column) {
                    for (std::size_t k = 0; k < 2; ++k) {
                      const float* from = directions[k].parameters[p].tensor.data_ptr<float>() + at;
                      std::copy(from, from + length, along[k].data() + column);
                    }
                  });
  });
}

}  // namespace lossatlas
