#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evaluation/loss_products.h"
#include "jobs/observer.h"
#include "landscape/ranks.h"

namespace lossatlas {

/// Of work whose results nobody takes one by one: its stop and its notes are the observer's. `again`: what people type
/// to continue a job that was stopped, which a stop says at once if it is given.
SweepHooks hooks_of(Observer& observer, const std::string& again = "");

/// Of products that all ranks make together: the groups of batches are dealt out evenly, and rank 0 adds them up.
class SharedProducts : public GroupExchange {
 public:
  /// On rank 0. `hooks`: stop and on_note are those of its job; others are not called.
  SharedProducts(Ranks& ranks, SweepHooks hooks) : ranks_(ranks), hooks_(std::move(hooks)) {}
  SharedProducts(const SharedProducts&) = delete;
  SharedProducts& operator=(const SharedProducts&) = delete;
  /// What is under way ended by an error, or was stopped.
  ~SharedProducts() override;

  GroupRange own(std::size_t groups) const override;
  void begin(std::span<const std::vector<float>> in) override;
  bool finish(const std::function<void(GroupSums)>& take) override;

 private:
  Ranks& ranks_;
  const SweepHooks hooks_;
  bool is_under_way_ = false;
};

/// On ranks but the first: computes this rank's groups as often as rank 0 asks, until end_products() or the job's end.
/// `other`: carries out a request of another kind, and is false for one that it does not know.
void serve_products(LossProducts& products, Ranks& ranks, const std::atomic<bool>& interrupted,
                    const std::function<bool(const std::string& request)>& other = nullptr);

/// On rank 0.
void end_products(Ranks& ranks);

/// A line for people on how products of so many groups are shared.
std::string sharing_text(const Ranks& ranks, std::size_t groups);

}  // namespace lossatlas
