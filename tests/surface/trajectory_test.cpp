#include "surface/trajectory.h"

#include <cmath>

#include "base/error.h"
#include "catch.h"
#include "storage/hdf5.h"
#include "surface/products.h"
#include "temporary_folder.h"

using namespace lossatlas;

TEST_CASE("cos and least squares differ where directions are not orthogonal") {
  // d1 = (2, 0, 0), d2 = (1, 1, 0), w = (3, 1, 4) = 1 d1 + 1 d2 + (0, 0, 4).
  const Products products{{{6, 4}}, {26}, {{{4, 2}, {2, 2}}}};
  const Projected cos = project(products, ProjectionRule::cos);
  CHECK(cos.x[0] == Approx(1.5));
  CHECK(cos.y[0] == Approx(2));
  CHECK(cos.distance[0] == Approx(std::sqrt(4 + 1 + 16)));  // (3, 1, 4) - (5, 2, 0)
  const Projected lstsq = project(products, ProjectionRule::lstsq);
  CHECK(lstsq.x[0] == Approx(1));
  CHECK(lstsq.y[0] == Approx(1));
  CHECK(lstsq.distance[0] == Approx(4));
  CHECK(lstsq.length[0] == Approx(std::sqrt(26)));
  const Products parallel{{{6, 3}}, {26}, {{{4, 2}, {2, 1}}}}, zero{{{0, 3}}, {26}, {{{0, 0}, {0, 1}}}};
  CHECK_THROWS_WITH(project(parallel, ProjectionRule::lstsq), ContainsSubstring("parallel"));
  CHECK_THROWS_WITH(project(zero, ProjectionRule::cos), ContainsSubstring("direction 1 is zero"));
  CHECK_THROWS_AS(projection_rule_of("sin"), UsageError);
}

TEST_CASE("a trajectory comes back from a file as it was") {
  Trajectory trajectory;
  for (const char* name : {"sgd", "adagrad"}) {  // not in alphabetical order
    RunPath run;
    run.name = run.label = name;
    run.optimizer = name;
    run.file = {"a.pt", "a longer name.pt"};
    run.epoch = {0, 7};
    run.points = {{1.5, 0}, {-2, 0}, {0.25, 0}, {3, 0}};
    run.values = {{"plane_loss", {2, 1}}, {"train_loss", {3, NAN}}};
    trajectory.runs.push_back(run);
  }
  trajectory.runs[1].unit = "step";
  trajectory.pca = {{5, 3, 1}, {0.5, 0.3, 0.1}, {4, 2, 1}, {}};
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const Trajectory& written) {
    Hdf5Writer writer;
    write_trajectory(writer, written);
    writer.attribute("/", "other", "content");
    writer.save(folder / name);
  };
  write("t.h5", trajectory);
  const Trajectory read = read_trajectory(Hdf5Reader(folder / "t.h5"));
  REQUIRE(read.runs.size() == 2);
  CHECK(read.runs[0].name == "sgd");
  CHECK(read.runs[1].optimizer == "adagrad");
  CHECK(read.runs[1].file == trajectory.runs[1].file);
  CHECK(read.runs[1].epoch == trajectory.runs[1].epoch);
  CHECK(read.runs[0].unit == "epoch");
  CHECK(read.runs[1].unit == "step");
  CHECK(read.runs[1].points.distance == trajectory.runs[1].points.distance);
  REQUIRE(read.runs[0].find("train_loss") != nullptr);
  CHECK(read.runs[0].find("train_loss")->front() == 3);
  CHECK(std::isnan(read.runs[0].find("train_loss")->back()));
  CHECK(read.pca.singular_values == trajectory.pca.singular_values);
  write("empty.h5", {});
  CHECK(read_trajectory(Hdf5Reader(folder / "empty.h5")).runs.empty());
}

TEST_CASE("a summary says how far the path lies from what is shown") {
  RunPath run;
  run.file = {"0", "1", "2", "3"};
  run.points = {{3, 2, 1, 0}, {0, 0, 0, 0}, {0.5, 2, 1, 0}, {4, 3, 2, 0}};
  run.values = {{"train_loss", {2.5, 1, NAN, 0.5}}, {"plane_loss", {2, 4, 1, 0.5}}};
  const PathSummary summary = summarize(run, Split::train);
  CHECK(summary.longest == 4);
  CHECK(summary.median_distance == 1);
  CHECK(summary.largest_distance == 2);
  CHECK(summary.farthest == 1);
  CHECK(summary.median_difference == 0.5);
  CHECK(summary.largest_difference == 3);
  CHECK(summary.most_different == 1);
  CHECK(summary.compared == 3);
  run.values.clear();
  CHECK(std::isnan(summarize(run, Split::train).largest_difference));
}
