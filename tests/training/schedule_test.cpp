#include "optimizers/schedule.h"

#include "base/error.h"
#include "catch.h"

using namespace lossatlas;

namespace {

void check_rates(const RateSchedule& schedule, double rate, std::int64_t unit, const std::vector<double>& expected) {
  for (std::size_t step = 0; step < expected.size(); ++step) {
    CAPTURE(step);
    CHECK(rate_at(schedule, rate, static_cast<std::int64_t>(step), unit) == Approx(expected[step]).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("a cosine has the rates of PyTorch's CosineAnnealingLR, and is 0 from its end on") {
  RateSchedule schedule;
  schedule.name = "cosine";
  schedule.length = 8;
  check_rates(schedule, 0.1, 1,
              {0.1, 0.09619397662556434, 0.08535533905932738, 0.0691341716182545, 0.05, 0.030865828381745515,
               0.014644660940672627, 0.0038060233744356634});
  CHECK(rate_at(schedule, 0.1, 8) == 0);
  CHECK(rate_at(schedule, 0.1, 9) == 0);
}

TEST_CASE("a warm-up before a cosine has the rates of PyTorch's SequentialLR") {
  // [LinearLR(start_factor=1/4, total_iters=3), CosineAnnealingLR(6)], milestones=[4]
  RateSchedule schedule;
  schedule.name = "cosine";
  schedule.warmup = 2;
  schedule.length = 5;
  check_rates(schedule, 0.4, 2, {0.1, 0.2, 0.3, 0.4, 0.4, 0.3732050807568878, 0.3, 0.2, 0.1, 0.02679491924311226});
}

TEST_CASE("a warm-up before steps has the rates of PyTorch's ChainedScheduler") {
  // [LinearLR(start_factor=1/3, total_iters=2), MultiStepLR([4, 6], gamma=0.5)]
  RateSchedule schedule;
  schedule.warmup = 1.5;  // epochs of two steps
  schedule.drops = {2, 3};
  schedule.drop_factor = 0.5;
  check_rates(schedule, 0.4, 2, {0.4 / 3, 0.8 / 3, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.1});
}

TEST_CASE("no schedule is a constant rate") {
  check_rates({}, 0.3, 7, std::vector<double>(20, 0.3));
  RateSchedule unknown;
  unknown.name = "cosin";
  CHECK_THROWS_AS(check_name(unknown), UsageError);
}
