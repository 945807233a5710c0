#include "jobs/rank_run.h"

#include "base/error.h"
#include "base/instruction_set.h"
#include "catch.h"
#include "jobs/jobs.h"
#include "without_sweep.h"

using namespace lossatlas;

namespace {

/// Rank 0 of two, the other of which says what it is told to.
class TwoRanks : public WithoutSweep {
 public:
  explicit TwoRanks(std::string other) : WithoutSweep(0), other_(std::move(other)) {}

  std::vector<std::string> gather(const std::string& text) override { return {text, other_}; }
  std::string broadcast(const std::string& text) override { return text; }

 private:
  std::string other_;
};

}  // namespace

TEST_CASE("ranks compute with the best instruction set that all have") {
  LandscapeRequest request;
  TwoRanks ranks(R"(["portable"])");
  const std::string line = settle_ranks(request, ranks);
  CHECK(request.instruction_set == "portable");
  CHECK(line == "2 ranks with 12 threads in all; instruction set portable, the best that all of them have");

  LandscapeRequest alike;
  TwoRanks all(R"(["portable", "avx2", "avx512", "amx"])");
  settle_ranks(alike, all);
  CHECK(alike.instruction_set == name_of(best_instruction_set()));
}

TEST_CASE("an instruction set that a rank lacks is refused by its host") {
  if (best_instruction_set() == InstructionSet::portable) return;
  const std::string best(name_of(best_instruction_set()));
  LandscapeRequest request;
  request.instruction_set = best;
  TwoRanks ranks(R"(["portable"])");
  CHECK_THROWS_WITH(settle_ranks(request, ranks),
                    "`instruction_set` " + best + ": rank 1 on node7 does not have it; its best is portable");
  request.instruction_set = "portable";
  settle_ranks(request, ranks);
  CHECK(request.instruction_set == "portable");
}
