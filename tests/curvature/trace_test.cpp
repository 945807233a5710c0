#include "curvature/trace.h"

#include <cmath>
#include <numeric>

#include "catch.h"
#include "curvature/lanczos.h"
#include "curvature/matrices.h"

using namespace lossatlas;

namespace {

double sum_of(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

Trace estimate(Matrix& matrix, std::size_t deflated, std::size_t probes, std::vector<Part> parts = {}) {
  const auto operator_ = matrix.as_operator();
  Eigenpairs pairs;
  if (deflated > 0) pairs = lanczos(operator_, {.largest = deflated, .smallest = 0}).pairs;
  const auto images = measure(operator_, pairs);
  const bool has_diagonal = !parts.empty();
  Trace trace = begin_trace(pairs.vectors, images, std::move(parts), has_diagonal);
  for (std::size_t done = 0; done < probes; done += 4) {
    add_probes(operator_, pairs.vectors, std::min<std::size_t>(4, probes - done), probes, 11, trace);
  }
  return trace;
}

}  // namespace

TEST_CASE("means of probes have the standard error of independent samples") {
  const auto found = estimate_of(std::vector<double>{1, 2, 3, 6});
  CHECK(found.value == 3);
  CHECK(found.standard_error == Approx(std::sqrt((4.0 + 1 + 0 + 9) / 3 / 4)));
  CHECK(std::isnan(estimate_of(std::vector<double>{1}).standard_error));
}

TEST_CASE("the trace lies within its error, which deflation makes many times smaller") {
  Matrix matrix{outliers_and_bulk(300)};
  const double wanted = matrix.trace();
  const Trace plain = estimate(matrix, 0, 32), deflated = estimate(matrix, 5, 32);
  for (const Trace* trace : {&plain, &deflated}) {
    REQUIRE(trace->probes.size() == 32);
    CHECK(std::abs(trace->value().value - wanted) < 4 * trace->value().standard_error);
  }
  CHECK(deflated.value().standard_error < plain.value().standard_error / 4);
  CHECK(deflated.exact == Approx(391 + 325 + 257 + 185 + 66).epsilon(1e-5));
  CHECK(plain.exact == 0);
}

TEST_CASE("the trace of a diagonal matrix needs one probe") {
  // Signs square to 1.
  Matrix matrix{{2, 2, 2, 2, 2}};
  CHECK(estimate(matrix, 0, 1).value().value == Approx(10));
  CHECK(std::isnan(estimate(matrix, 0, 1).value().standard_error));
}

TEST_CASE("parts and the diagonal add up to the trace, deflated or not") {
  Matrix matrix{outliers_and_bulk(60)};
  const std::vector<Part> parts{{0, 1}, {1, 19}, {20, 40}};
  for (const std::size_t deflated : {0, 3}) {
    const Trace trace = estimate(matrix, deflated, 400, parts);
    double total = 0;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      double wanted = 0;
      for (std::size_t i = 0; i < parts[p].count; ++i) wanted += matrix.diagonal(parts[p].first + i);
      const Estimate found = trace.value_of(p);
      CHECK(std::abs(found.value - wanted) < 4 * found.standard_error);
      total += found.value;
    }
    CHECK(total == Approx(trace.value().value).epsilon(1e-5));
    CHECK(trace.value_of(std::vector<std::size_t>{0, 1, 2}).standard_error ==
          Approx(trace.value().standard_error).epsilon(1e-3));
    CHECK(sum_of(trace.diagonal) == Approx(trace.value().value).epsilon(1e-5));
    CHECK(trace.diagonal[0] == Approx(trace.value_of(std::size_t{0}).value).epsilon(1e-5));
  }
}

TEST_CASE("vectors that are no eigenvectors leave the estimate unbiased") {
  Matrix matrix{outliers_and_bulk(40)};
  const auto operator_ = matrix.as_operator();
  std::vector<Vector> vectors{Vector(40)}, images{Vector(40)};
  vectors[0][3] = 1;
  operator_.apply(vectors, images);
  Trace trace = begin_trace(vectors, images, {{0, 40}}, false);
  add_probes(operator_, vectors, 3000, 3000, 5, trace);
  const double wanted = matrix.trace();
  CHECK(std::abs(trace.value().value - wanted) < 4 * trace.value().standard_error);
  CHECK(std::abs(trace.value_of(std::size_t{0}).value - wanted) < 4 * trace.value().standard_error);
}
