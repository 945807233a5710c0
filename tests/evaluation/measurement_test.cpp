#include "evaluation/measurement.h"

#include <cmath>
#include <stdexcept>

#include "catch.h"

using namespace lossatlas;

namespace {

Measurement of(std::initializer_list<double> values) {
  Measurement sum(2);
  for (const double value : values) {
    sum[0].add(value);
    sum[1].add(value > 2 ? 1 : 0);
  }
  return sum;
}

}  // namespace

TEST_CASE("sums of parts add up to that of the whole") {
  const Measurement whole = of({1, 2, 4, 8, 0.5});
  Measurement parts;
  for (const Measurement& part : {of({1, 2}), of({}), of({4, 8, 0.5})}) parts += part;
  REQUIRE(parts.size() == 2);
  for (std::size_t m = 0; m < 2; ++m) {
    CHECK(parts[m].count == whole[m].count);
    CHECK(parts[m].total == whole[m].total);  // the numbers are exact in binary
    CHECK(parts[m].squares == whole[m].squares);
  }
  CHECK_THROWS_AS(parts += Measurement(3), std::logic_error);
}

TEST_CASE("means and standard errors come from the sums") {
  const Measurement sum = of({1, 2, 4, 8, 0.5});
  CHECK(sum[0].mean() == Approx(3.1));
  // numpy.var([1, 2, 4, 8, .5], ddof=1) = 9.3 and [0, 0, 1, 1, 0]'s 0.3; a sample of 5 out of 20.
  CHECK(sum[0].standard_error(20) == Approx(std::sqrt(9.3 / 5 * 0.75)));
  CHECK(sum[1].standard_error_of_share(20) == Approx(std::sqrt(0.3 / 5 * 0.75)));
  CHECK(sum[0].standard_error(5) == 0);
  CHECK(std::isnan(of({7})[0].standard_error(20)));
  CHECK(of({7})[0].standard_error(1) == 0);
  CHECK(std::isnan(of({})[0].mean()));
  CHECK(std::isnan(of({1, INFINITY})[0].standard_error(20)));
}

TEST_CASE("a weighted mean has the standard error of a ratio") {
  const std::vector<double> x{1, 2, 4, 8, 0.5}, w{1, 3, 0.5, 2, 4};
  Sum sum, equal, plain;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum.add(x[i], w[i]);
    equal.add(x[i], 7);
    plain.add(x[i]);
  }
  CHECK(sum.mean() == Approx(27 / 10.5));
  // NumPy: r = (w * (x - (w * x).sum() / w.sum())); sqrt(r @ r * 5 / 4 * (1 - 5 / 20)) / w.sum()
  double squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) squares += std::pow(w[i] * (x[i] - 27 / 10.5), 2);
  CHECK(sum.standard_error(20) == Approx(std::sqrt(squares * 5 / 4 * 0.75) / 10.5));
  CHECK(equal.mean() == Approx(plain.mean()));
  CHECK(equal.standard_error(20) == Approx(plain.standard_error(20)));
  const double mean = sum.mean();
  sum.add(NAN, 0);
  CHECK(sum.mean() == mean);
  CHECK(sum.count == 6);
}
