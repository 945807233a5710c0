#include "base/process.h"

#include <csignal>
#include <vector>

#include "base/error.h"
#include "catch.h"

using namespace lossatlas;

TEST_CASE("work apart cannot end the process") {
  int number = 0;
  CHECK_NOTHROW(run_apart(
      "it", [&] { number = 1; }, 10));
  CHECK(number == 0);  // the child's is another
  CHECK_THROWS_WITH(run_apart(
                        "it", [] { throw Error("says so"); }, 10),
                    "says so");
  CHECK_THROWS_WITH(run_apart(
                        "it", [] { std::raise(SIGKILL); }, 10),
                    "it ends its process (Killed)");
  CHECK_THROWS_WITH(run_apart(
                        "it",
                        [] {
                          for (volatile bool goes_on = true; goes_on;) {
                          }
                        },
                        1),
                    "it takes more than 1 s");
  const auto greedy = [] { std::vector<char> memory(memory_of_machine()); };
  CHECK_THROWS_WITH(run_apart("it", greedy, 10), "it asks for more memory than is free");
}
