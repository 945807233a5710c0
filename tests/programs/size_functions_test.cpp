#include "programs/size_functions.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "catch.h"

using lossatlas::size_function;

namespace {

std::int64_t whole(const char* name, std::vector<c10::IValue> arguments) {
  return size_function(name)(arguments).toInt();
}

}  // namespace

// The right values are Python's.
TEST_CASE("Sizes are computed as Python computes them") {
  CHECK(whole("_operator.floordiv", {-7, 2}) == -4);
  CHECK(whole("_operator.floordiv", {7, -2}) == -4);
  CHECK(whole("_operator.floordiv", {-8, 2}) == -4);
  CHECK(whole("_operator.mod", {-7, 3}) == 2);
  CHECK(whole("_operator.mod", {7, -3}) == -2);
  CHECK(whole("_operator.pow", {3, 4}) == 81);
  CHECK(whole("_operator.add", {2, 3}) == 5);
  CHECK(size_function("_operator.add")({2, 0.5}).toDouble() == 2.5);
  CHECK(size_function("_operator.truediv")({1, 4}).toDouble() == 0.25);
  CHECK(whole("math.floor", {-1.5}) == -2);
  CHECK(whole("math.ceil", {1.25}) == 2);
  CHECK(whole("torch.sym_int", {-1.5}) == -1);
  CHECK(whole("builtins.round", {2.5}) == 2);
  CHECK(whole("torch.sym_max", {4, 9}) == 9);
  CHECK(size_function("_operator.lt")({4, 9}).toBool());
  CHECK(whole("torch.sym_ite", {false, 4, 9}) == 9);
}

TEST_CASE("Sizes that overflow wrap around") {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  CHECK(whole("_operator.floordiv", {kLeast, -1}) == kLeast);
  CHECK(whole("_operator.mod", {kLeast, -1}) == 0);
  CHECK(whole("_operator.neg", {kLeast}) == kLeast);
}

TEST_CASE("What cannot be computed of sizes is refused") {
  CHECK_THROWS_WITH(whole("_operator.floordiv", {1, 0}), "divides a size by zero");
  CHECK_THROWS_WITH(whole("_operator.mod", {1, 0}), "divides a size by zero");
  CHECK_THROWS_WITH(whole("_operator.add", {1}), "is given 1 arguments and takes 2");
  CHECK_THROWS_WITH(size_function("_operator.add")({1, "text"}), "computes with something that is not a number");
  CHECK_THROWS_WITH(whole("math.floor", {1e300}), "computes a size that is not a number");
  CHECK_THROWS_WITH(size_function("eval"), "graphs may not call this function");
}
