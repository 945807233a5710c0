#include "cli/plot.h"

#include <filesystem>

#include "base/error.h"
#include "catch.h"

TEST_CASE("a plotter whose source tree is gone is named in one line") {
  CHECK_THROWS_AS(lossatlas::become("/gone/tools/plot", {"S.h5"}), lossatlas::Error);
  CHECK_THROWS_WITH(
      lossatlas::become("/gone/tools/plot", {"S.h5"}),
      "plot: /gone/tools/plot cannot be run (No such file or directory): the source tree that lossatlas was "
      "built from is gone or has moved; run tools/plot of the one you have");
  CHECK(std::filesystem::exists(lossatlas::plotter()));
}
