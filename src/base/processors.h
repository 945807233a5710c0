#pragma once

namespace lossatlas {

/// How many threads this process may keep busy: the least of the processors it is allowed (taskset, SLURM),
/// OMP_NUM_THREADS, and the quota of its control group (a container's --cpus), rounded up. At least 1.
int usable_processors();

}  // namespace lossatlas
