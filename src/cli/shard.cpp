#include "cli/shard.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace lossatlas {
namespace {

constexpr auto kSlurm = "slurm";

/// A variable that SLURM sets in each task of a job array: a whole number.
std::size_t slurm_number(const std::string& name) {
  const char* value = std::getenv(("SLURM_ARRAY_TASK_" + name).c_str());
  if (value == nullptr) {
    throw UsageError(
        "--shard slurm: SLURM_ARRAY_TASK_{} is not set; submit a job array, as in sbatch --array=1-16, or name the "
        "shard, as in --shard 3/16",
        name);
  }
  const std::string_view text = value;
  std::size_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size()) {
    throw UsageError("--shard slurm: SLURM_ARRAY_TASK_{} is '{}', not a whole number", name, text);
  }
  return number;
}

}  // namespace

std::string shard_of_slurm() {
  const std::size_t task = slurm_number("ID"), low = slurm_number("MIN"), high = slurm_number("MAX");
  const std::size_t step = slurm_number("STEP");
  if (step == 0 || task < low || task > high || (task - low) % step != 0) {
    throw UsageError("--shard slurm: task {} is not one of SLURM_ARRAY_TASK_MIN={} to MAX={} by STEP={}", task, low,
                     high, step);
  }
  const std::size_t count = (high - low) / step + 1;
  if (std::getenv("SLURM_ARRAY_TASK_COUNT") != nullptr && slurm_number("COUNT") != count) {
    throw UsageError(
        "--shard slurm: the array has {} tasks, but {} to {} by {} are {}; with gaps, name the shard, as in --shard "
        "$SLURM_ARRAY_TASK_ID/16",
        slurm_number("COUNT"), low, high, step, count);
  }
  return fmt::format("{}/{}", (task - low) / step + 1, count);
}

void add_shard(CLI::App& command, LandscapeRequest& request, bool hidden) {
  command.option_defaults()->group(hidden ? "" : "Output");
  const auto resolve = [](std::string& word) {
    if (word == kSlurm) word = shard_of_slurm();
    return std::string();
  };
  command
      .add_option("--shard", request.shard,
                  "compute one of several parts, as in 3/16, into a file of its own next to --out; slurm: that of this "
                  "task of a job array (`lossatlas merge` puts them together)")
      ->transform(CLI::Validator(resolve, ""))
      ->type_name("N/COUNT|slurm");
}

}  // namespace lossatlas
