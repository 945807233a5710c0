#include <cstdio>
#include <cstdlib>

#include "cli/cli.h"

int main(int argc, char** argv) {
  const int status = lossatlas::run_command_line(argc, argv);
  std::fflush(stdout);
  std::_Exit(status);  // LibTorch's destructors take a tenth of a second to free what the system frees
}
