#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "landscape/ranks.h"

namespace lossatlas {

/// One of two processes that share no sweep; what they say to each other is a test's.
class WithoutSweep : public Ranks {
 public:
  explicit WithoutSweep(int rank) : rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return 2; }
  int local_rank() const override { return 0; }
  std::string name(int rank) const override { return "rank " + std::to_string(rank) + " on node7"; }
  int threads() const override { return 12; }
  void begin(const std::string&, std::vector<std::size_t>, int, const SweepHooks&) override {}
  void end() override {}
  void cancel() override {}
  std::optional<std::size_t> next() override { return std::nullopt; }
  void put(std::size_t, ItemResult, double) override {}
  std::string next_request(const std::atomic<bool>&) override { return ""; }

 private:
  int rank_;
};

}  // namespace lossatlas
