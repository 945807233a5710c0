// The shard of a task of a SLURM job array.
#include "cli/shard.h"

#include <cstdlib>
#include <map>
#include <string>

#include "base/error.h"
#include "catch.h"

using namespace lossatlas;

namespace {

/// What SLURM would set, while it lives.
class JobArray {
 public:
  explicit JobArray(const std::map<std::string, std::string>& values) {
    for (const char* name : {"ID", "MIN", "MAX", "STEP", "COUNT"}) ::unsetenv(variable(name).c_str());
    for (const auto& [name, value] : values) ::setenv(variable(name).c_str(), value.c_str(), 1);
  }
  JobArray(const JobArray&) = delete;
  JobArray& operator=(const JobArray&) = delete;
  ~JobArray() {
    for (const char* name : {"ID", "MIN", "MAX", "STEP", "COUNT"}) ::unsetenv(variable(name).c_str());
  }

 private:
  static std::string variable(const std::string& name) { return "SLURM_ARRAY_TASK_" + name; }
};

std::string refusal() {
  try {
    shard_of_slurm();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

std::string shard_of_task(const std::string& id, const std::string& low, const std::string& high,
                          const std::string& step) {
  const JobArray array({{"ID", id}, {"MIN", low}, {"MAX", high}, {"STEP", step}});
  return shard_of_slurm();
}

}  // namespace

TEST_CASE("a task's shard is its position in the array") {
  CHECK(shard_of_task("3", "1", "16", "1") == "3/16");
  CHECK(shard_of_task("0", "0", "15", "1") == "1/16");
  CHECK(shard_of_task("15", "0", "15", "1") == "16/16");
  CHECK(shard_of_task("9", "5", "13", "4") == "2/3");
  CHECK(shard_of_task("9", "1", "16", "4") == "3/4");  // the last task is 13
  CHECK(shard_of_task("7", "7", "7", "1") == "1/1");
  const JobArray array({{"ID", "3"}, {"MIN", "1"}, {"MAX", "16"}, {"STEP", "1"}, {"COUNT", "16"}});
  CHECK(shard_of_slurm() == "3/16");
}

TEST_CASE("outside of an array, and off its grid, a line says so") {
  const std::map<std::string, std::string> array{{"ID", "3"}, {"MIN", "1"}, {"MAX", "16"}, {"STEP", "1"}};
  for (const auto& [name, value] : array) {
    auto without = array, odd = array;
    without.erase(name);
    odd[name] = "many";
    const JobArray missing(without);
    CHECK_THAT(refusal(), ContainsSubstring("--shard slurm: SLURM_ARRAY_TASK_" + name + " is not set"));
    const JobArray other(odd);
    CHECK_THAT(refusal(), ContainsSubstring("SLURM_ARRAY_TASK_" + name + " is 'many', not a whole number"));
  }
  for (const auto& [name, value] : std::map<std::string, std::string>{{"ID", "17"}, {"MIN", "4"}, {"STEP", "0"}}) {
    auto off = array;
    off[name] = value;
    const JobArray set(off);
    CHECK_THAT(refusal(), ContainsSubstring("is not one of SLURM_ARRAY_TASK_MIN="));
  }
  auto coarse = array;
  coarse["STEP"] = "4";
  const JobArray set(coarse);
  CHECK(refusal() == "--shard slurm: task 3 is not one of SLURM_ARRAY_TASK_MIN=1 to MAX=16 by STEP=4");
}

TEST_CASE("an array with gaps has no positions") {
  const JobArray array({{"ID", "3"}, {"MIN", "3"}, {"MAX", "7"}, {"STEP", "1"}, {"COUNT", "2"}});  // --array=3,7
  CHECK_THAT(refusal(), ContainsSubstring("the array has 2 tasks, but 3 to 7 by 1 are 5"));
}
