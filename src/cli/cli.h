#pragma once

namespace lossatlas {

/// Runs one command line. Returns the exit status: 0 done, 1 the run failed, 2 the words were wrong, 130 interrupted
/// with everything so far saved. Errors are one line on standard error.
int run_command_line(int argc, char** argv);

}  // namespace lossatlas
