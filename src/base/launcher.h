#pragma once

#include <string>

namespace lossatlas {

/// What mpirun, srun or another launcher says of this process in its environment. A process that none started is rank
/// 0 of 1; so is one within a SLURM allocation that srun did not start.
struct Launch {
  int rank = 0;
  int size = 1;               // processes of the job
  std::string launcher = {};  // "mpirun", "srun"; "" for none

  bool is_shared() const { return size > 1; }
};

Launch launch_of_environment();

}  // namespace lossatlas
