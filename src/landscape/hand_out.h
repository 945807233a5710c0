#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace lossatlas {

/// Gives the points of a sweep to those that compute them: threads of this process, and behind it other processes.
class HandOut {
 public:
  virtual ~HandOut() = default;
  /// The next point for this process, until there is none. Any thread may ask. What it throws ends the sweep.
  virtual std::optional<std::size_t> next() = 0;
};

/// The points of a list, in its order.
class ListHandOut : public HandOut {
 public:
  explicit ListHandOut(std::vector<std::size_t> points) : points_(std::move(points)) {}

  std::size_t size() const { return points_.size(); }
  std::optional<std::size_t> next() override {
    const std::size_t at = next_++;
    return at < points_.size() ? std::optional(points_[at]) : std::nullopt;
  }

 private:
  std::vector<std::size_t> points_;
  std::atomic<std::size_t> next_{0};
};

}  // namespace lossatlas
