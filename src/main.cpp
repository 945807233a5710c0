#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "cli/cli.h"

namespace {

/// Of the standard streams, one that is closed would give its number to the next file that is opened, and take what is
/// meant for a person. /dev/null takes its place; reading and writing it still fails where it was closed for that.
void keep_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) == -1) open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

int main(int argc, char** argv) {
  keep_standard_streams();
  const int status = lossatlas::run_command_line(argc, argv);
  std::fflush(stdout);
  std::_Exit(status);  // LibTorch's destructors take a tenth of a second to free what the system frees
}
