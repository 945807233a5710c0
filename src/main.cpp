#include "cli/cli.h"

int main(int argc, char** argv) { return lossatlas::run_command_line(argc, argv); }
