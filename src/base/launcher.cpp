#include "base/launcher.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace lossatlas {
namespace {

/// A whole number in the environment; -1 if there is none.
int number(const char* name) {
  const char* text = std::getenv(name);
  if (!text) return -1;
  const std::string_view digits = text;
  int value = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc() && end == digits.data() + digits.size() && value >= 0 ? value : -1;
}

struct Variables {
  const char *launcher, *rank, *size;
};

// OpenMPI's own; those of MPICH and its kin; those of a step of SLURM. SLURM_NTASKS would be that of the allocation, in
// which nothing need have been started by srun.
constexpr std::array kLaunchers{Variables{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                Variables{"mpiexec", "PMI_RANK", "PMI_SIZE"},
                                Variables{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};

}  // namespace

Launch launch_of_environment() {
  for (const auto& [launcher, rank, size] : kLaunchers) {
    if (number(rank) < 0 || number(size) <= 1) continue;
    return {number(rank), number(size), launcher};
  }
  return {};
}

}  // namespace lossatlas
