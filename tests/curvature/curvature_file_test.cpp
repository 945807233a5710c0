#include "curvature/curvature_file.h"

#include <cmath>
#include <fstream>

#include "base/error.h"
#include "catch.h"
#include "curvature/curvature_summary.h"
#include "storage/hdf5.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

CurvatureRecord some_record() {
  CurvatureRecord record;
  record.loss = 0.5;
  record.loss_error = 0.01;
  record.gradient_norm = 0.1;
  record.parameters = {"a.weight", "a.bias", "b.c.weight", "scale"};
  record.places = {{0, 2}, {2, 1}, {3, 2}, {5, 1}};
  record.batch_weights = {2, 2, 1};
  record.samples = {4, 0, 7, 3, 1};
  record.population = 10;
  record.largest = 1;
  record.has_pairs = record.has_converged = true;
  record.pairs = {{3, -1}, {1e-3, 2e-3}, {{1, 0, 0, 0, 0, 0}, {0, 1, 0, 0, 0, 0}}};
  record.pair_forms = {{2, 3, 5}, {-1, -1, -1}};
  record.trace = {.parts = record.places,
                  .exact = 2,
                  .exact_of_parts = {2, 0, 0, 0},
                  .probes = {1, 3},
                  .probes_of_parts = {{0.5, 0, 0.5, 0}, {1, 1, 1, 0}},
                  .diagonal = {1, 2, 3, 4, 5, 6}};
  record.trace_forms = {{1, 1, 1}, {2, 3, 6}};
  record.density = {.steps = 2, .nodes = {3, -0.5, 2, 0}, .weights = {0.25, 0.75, 0.5, 0.5}};
  record.products = 7;
  record.is_finished = true;
  record.settings = {{"seed", 3}};
  return record;
}

}  // namespace

TEST_CASE("a record is read as it was written") {
  const TemporaryFolder folder;
  const CurvatureRecord record = some_record();
  write_curvature(folder / "c.h5", record);
  REQUIRE(is_curvature(folder / "c.h5"));
  const CurvatureRecord read = read_curvature(folder / "c.h5");
  CHECK(read.parameters == record.parameters);
  CHECK(read.size() == 6);
  CHECK(read.samples == record.samples);
  CHECK(read.pairs.values == record.pairs.values);
  CHECK(read.pairs.vectors == record.pairs.vectors);
  CHECK(read.pair_forms == record.pair_forms);
  CHECK(read.trace.probes == record.trace.probes);
  CHECK(read.trace.probes_of_parts == record.trace.probes_of_parts);
  CHECK(read.trace.diagonal == record.trace.diagonal);
  CHECK(read.trace_forms == record.trace_forms);
  CHECK(read.density.nodes == record.density.nodes);
  CHECK(read.density.steps == 2);
  CHECK(read.settings == record.settings);
  CHECK(curvature_summary(read) == curvature_summary(record));
  CHECK(read.is_finished);
}

TEST_CASE("a record that was only begun is read too") {
  const TemporaryFolder folder;
  CurvatureRecord record = some_record();
  record.has_pairs = record.is_finished = false;
  record.trace = {};
  record.density = {};
  write_curvature(folder / "c.h5", record);
  const CurvatureRecord read = read_curvature(folder / "c.h5");
  CHECK_FALSE(read.has_pairs);
  CHECK(read.trace.parts.empty());
  CHECK(read.density.probes() == 0);
  CHECK_FALSE(Hdf5Reader(folder / "c.h5").has_attribute("/lossatlas", "summary"));
}

TEST_CASE("errors over samples are those of batch means") {
  const CurvatureRecord record = some_record();
  // Σ w x / Σ w of x = 2, 3, 5 with w = 2, 2, 1 is 3; deviations w (x - 3) = -2, 0, 2.
  CHECK(record.error_over_samples({2, 3, 5}) == Approx(std::sqrt(8.0 * 3 / 2 * (1 - 5.0 / 10)) / 5));
  CHECK(record.trace_of_batches() == std::vector<double>{2 - 1 + 1.5, 3 - 1 + 2, 5 - 1 + 3.5});
  CurvatureRecord whole = record;
  whole.population = 5;
  CHECK(whole.error_over_samples({2, 3, 5}) == 0);
  CurvatureRecord one = record;
  one.batch_weights = {5};
  CHECK(std::isnan(one.error_over_samples({3})));
}

TEST_CASE("modules are names up to the last point") {
  const auto modules = modules_of(some_record());
  REQUIRE(modules.size() == 3);
  CHECK(modules[0].name == "a");
  CHECK(modules[0].parameters == std::vector<std::size_t>{0, 1});
  CHECK(modules[0].count == 3);
  CHECK(modules[1].name == "b.c");
  CHECK(modules[2].name == "");
}

TEST_CASE("the summary has every number with its errors") {
  const auto summary = curvature_summary(some_record());
  CHECK(summary["largest"][0]["value"] == 3);
  CHECK(summary["smallest"][0]["value"] == -1);
  CHECK(summary["trace"]["value"] == 4);  // 2 + (1 + 3) / 2
  CHECK(summary["trace"]["se_probes"] == 1);
  CHECK(summary["above"]["count"] == 6 * 0.5 * (0.25 + 0.5));
  CHECK(summary["below"]["count"] == 0);
}

TEST_CASE("other files are refused by name") {
  const TemporaryFolder folder;
  std::ofstream(folder / "text.h5") << "no HDF5";
  CHECK_FALSE(is_curvature(folder / "text.h5"));
  CHECK_THROWS_WITH(read_curvature(folder / "text.h5"), ContainsSubstring("text.h5: not written by"));
  Hdf5Writer writer;
  writer.make_group("/lossatlas");
  writer.save(folder / "other.h5");
  CHECK_THROWS_AS(read_curvature(folder / "other.h5"), Error);
}
