#include "evaluation/loss.h"

#include <torch/types.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "evaluation/criterion.h"

using namespace lossatlas;

namespace {

/// Logits of so many classes and labels, added to a sum.
void add(const Criterion& criterion, std::vector<float> logits, std::vector<std::int64_t> labels, Measurement& sum) {
  const auto rows = static_cast<std::int64_t>(labels.size());
  const Batch batch{{}, torch::from_blob(labels.data(), {rows}, torch::kLong)};
  Tally tally(sum);
  criterion.add(torch::from_blob(logits.data(), {rows, static_cast<std::int64_t>(logits.size()) / rows}), batch, tally);
}

Evaluation of(LossFunction loss, const std::vector<float>& logits, const std::vector<std::int64_t>& labels,
              std::int64_t population, const Extras& extras = {}) {
  const std::size_t classes = logits.size() / labels.size();
  const auto criterion = make_class_criterion(loss, extras, static_cast<std::int64_t>(classes));
  Measurement sum(criterion->measures().size());
  add(*criterion, logits, labels, sum);
  return evaluation_of(sum, criterion->measures(), population);
}

}  // namespace

TEST_CASE("cross-entropy and accuracy of known logits") {
  const Evaluation e = of(LossFunction::cross_entropy, {0, 0, 0, 0, 0, std::log(6.0f)}, {1, 2}, 2);
  // -log 1/3 and -log 6/8
  CHECK(e.loss == Approx((std::log(3.0) + std::log(8.0 / 6)) / 2).epsilon(1e-7));
  CHECK(e.accuracy == 50);  // the first of three equal logits is the answer, and it is not class 1
  CHECK(e.images == 2);
}

TEST_CASE("squared error is the mean over the classes") {
  CHECK(of(LossFunction::mse, {1, 0, 3, 0}, {0, 1}, 2).loss == Approx((0 + (9 + 1) / 2.0) / 2));
}

TEST_CASE("large logits neither overflow nor lose the loss") {
  CHECK(of(LossFunction::cross_entropy, {1e30f, 0}, {0}, 1).loss == 0);
  CHECK(of(LossFunction::cross_entropy, {1e30f, 0}, {1}, 1).loss == Approx(1e30));
}

TEST_CASE("logits that are not finite give a loss that is not finite, and a wrong answer") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& logits : std::vector<std::vector<float>>{{nan, 0}, {0, nan}, {inf, 0}, {-inf, -inf}}) {
    for (const LossFunction loss : {LossFunction::cross_entropy, LossFunction::mse}) {
      const Evaluation e = of(loss, logits, {0}, 1);
      CHECK_FALSE(std::isfinite(e.loss));
      CHECK(e.accuracy == 0);
    }
  }
}

TEST_CASE("standard errors carry the finite-population correction") {
  const std::vector<float> logits{0, 1, 0, 2, 0, 4, 0, 0};
  const std::vector<std::int64_t> labels{0, 0, 0, 1};
  const Evaluation all = of(LossFunction::cross_entropy, logits, labels, 4);
  CHECK(all.loss_se == 0);
  CHECK(all.accuracy_se == 0);
  std::vector<double> losses;
  for (std::size_t i = 0; i < 4; ++i) {
    const double a = static_cast<double>(logits[2 * i]), b = static_cast<double>(logits[2 * i + 1]);
    losses.push_back(std::log(std::exp(a) + std::exp(b)) - (labels[i] == 0 ? a : b));
  }
  double mean = 0, variance = 0;
  for (const double x : losses) mean += x / 4;
  for (const double x : losses) variance += (x - mean) * (x - mean) / 3;
  const Evaluation part = of(LossFunction::cross_entropy, logits, labels, 100);
  CHECK(part.loss == Approx(mean));
  CHECK(part.loss_se == Approx(std::sqrt(variance / 4 * (1 - 4.0 / 100))));
  CHECK(std::isnan(of(LossFunction::cross_entropy, {0, 1}, {0}, 100).loss_se));  // one image tells no spread
}

TEST_CASE("the loss of a class is the mean over its images, NaN where it has none") {
  const std::vector<float> logits{2, 0, 1, 0, 3, 0, 1, 1, 5};
  const Extras extras{.class_losses = true};
  const auto criterion = make_class_criterion(LossFunction::cross_entropy, extras, 3);
  Measurement sum(criterion->measures().size());
  add(*criterion, {2, 0, 1, 0, 3, 0}, {0, 2}, sum);
  add(*criterion, {1, 1, 5}, {0}, sum);
  const Evaluation e = evaluation_of(sum, criterion->measures(), 3);
  REQUIRE(e.more.size() == 3);
  CHECK(e.value("loss_class_0") == of(LossFunction::cross_entropy, {2, 0, 1, 1, 1, 5}, {0, 0}, 2).loss);
  CHECK(std::isnan(e.value("loss_class_1")));
  CHECK(e.value("loss_class_2") == of(LossFunction::cross_entropy, {0, 3, 0}, {2}, 1).loss);
  CHECK(e.loss == of(LossFunction::cross_entropy, logits, {0, 2, 0}, 3).loss);
}

TEST_CASE("labels may be above 255") {
  std::vector<float> logits(1000, 0);
  logits[999] = 5;
  const Evaluation e = of(LossFunction::cross_entropy, logits, {999}, 1);
  CHECK(e.loss == Approx(std::log(999 + std::exp(5.0)) - 5));
  CHECK(e.accuracy == 100);
}

TEST_CASE("an image counts among the top five where fewer than five logits are larger") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto top5 = [](const std::vector<float>& logits, std::int64_t label) {
    return of(LossFunction::cross_entropy, logits, {label}, 1, {.top5 = true}).value("top5");
  };
  CHECK(top5({7, 6, 5, 4, 3, 2, 1}, 0) == 100);
  CHECK(top5({7, 6, 5, 4, 3, 2, 1}, 4) == 100);
  CHECK(top5({7, 6, 5, 4, 3, 2, 1}, 5) == 0);
  CHECK(top5({1, 1, 1, 1, 1, 1, 1}, 6) == 100);  // none is larger
  CHECK(top5({9, 9, 9, 9, 1, 1, 1}, 6) == 100);
  CHECK(top5({9, 9, 9, 9, 9, 1, 1}, 6) == 0);
  CHECK(top5({1, 2, 3}, 0) == 100);  // fewer classes than five
  CHECK(top5({7, 6, 5, 4, 3, 2, nan}, 0) == 0);
  CHECK(top5({nan, 6, 5, 4, 3, 2, 1}, 0) == 0);
  CHECK(top5({inf, 6, 5, 4, 3, 2, 1}, 0) == 0);
  CHECK(top5({7, 6, 5, 4, 3, 2, -inf}, 0) == 0);
}

TEST_CASE("what is measured has names and units, those of a loss by its kind") {
  const auto entropy = LossFunction::cross_entropy;
  const auto of = [](LossFunction loss, const Extras& extras, std::int64_t classes, Split split) {
    const auto criterion = make_class_criterion(loss, extras, classes);
    return measures_of(*criterion, split, std::nullopt, extras.weight_decay > 0, "images");
  };
  CHECK((of(entropy, {}, 10, Split::train) == loss_and_accuracy(Split::train)));
  const auto measures = of(LossFunction::mse, {true, true, 1e-4}, 2, Split::test);
  CHECK(names_of(measures) == std::vector<std::string>{"test_loss", "test_acc", "test_loss_class_0",
                                                       "test_loss_class_1", "test_acc_top5", "l2"});
  CHECK(measures[0].unit.empty());
  CHECK(measures[1].unit == "percent");
  CHECK(of(entropy, {.top5 = true}, 2, Split::train)[0].unit == "nats");
}

TEST_CASE("losses that are differentiated are those that are added up") {
  torch::manual_seed(3);
  const auto logits = torch::randn({20, 5}) * 4, labels = torch::arange(20).remainder(5);
  for (const LossFunction loss : {LossFunction::cross_entropy, LossFunction::mse}) {
    const auto criterion = make_class_criterion(loss, {}, 5);
    Measurement sum(2);
    SampleValues each = values_for(*criterion);
    Tally tally(sum, &each);
    const Batch batch{{}, labels};
    criterion->add(logits, batch, tally);
    const auto wanted = criterion->losses(logits.to(torch::kFloat64), batch);
    CHECK(torch::allclose(torch::tensor(each[0], torch::kFloat64), wanted, 1e-12));
    CHECK(sum[0].total == Approx(wanted.sum().item<double>()));
  }
}

TEST_CASE("a criterion refuses what is no label of its classes") {
  const auto refuse = [](const std::vector<std::int64_t>& labels) {
    return of(LossFunction::cross_entropy, {1, 2, 3, 4}, labels, 2);
  };
  CHECK_THROWS_WITH(refuse({0, 2}), ContainsSubstring("label 2"));
  CHECK_THROWS_WITH(refuse({-1, 0}), ContainsSubstring("label -1"));
}

TEST_CASE("an unknown loss is refused") { CHECK_THROWS_AS(loss_function_of("hinge"), UsageError); }
