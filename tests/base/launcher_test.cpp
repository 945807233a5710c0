#include "base/launcher.h"

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "catch.h"

using namespace lossatlas;

namespace {

using Variables = std::map<std::string, std::string>;

/// What the program takes itself for with these variables alone.
Launch launch_with(const Variables& variables) {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "SLURM_PROCID",
                           "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}) {
    ::unsetenv(name);
  }
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  const Launch launch = launch_of_environment();
  for (const auto& [name, value] : variables) ::unsetenv(name.c_str());
  return launch;
}

}  // namespace

TEST_CASE("a process knows its place among those that a launcher started") {
  const Launch mpirun = launch_with({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "4"}});
  CHECK(mpirun.is_shared());
  CHECK(mpirun.rank == 3);
  CHECK(mpirun.size == 4);
  CHECK(mpirun.launcher == "mpirun");
  const Launch srun = launch_with({{"SLURM_PROCID", "63"}, {"SLURM_STEP_NUM_TASKS", "64"}, {"SLURM_NTASKS", "64"}});
  CHECK(srun.rank == 63);
  CHECK(srun.size == 64);
  CHECK(srun.launcher == "srun");
  CHECK(launch_with({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}).rank == 1);
}

TEST_CASE("a process alone is rank 0 of 1, within an allocation too") {
  for (const Variables& variables : std::vector<Variables>{
           {},
           {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "64"}},                                 // a script of sbatch
           {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "64"}, {"SLURM_STEP_NUM_TASKS", "1"}},  // the shell of salloc
           {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}},                  // mpirun -n 1
           {{"OMPI_COMM_WORLD_RANK", "none"}, {"OMPI_COMM_WORLD_SIZE", "4"}}}) {
    const Launch launch = launch_with(variables);
    CHECK_FALSE(launch.is_shared());
    CHECK(launch.rank == 0);
  }
}
