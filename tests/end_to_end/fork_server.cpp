// Runs command lines of the program, each in a child that is forked once LibTorch has been loaded: loading takes longer
// than most commands of the tests, which run the program some thousand times.
//
// Reads requests from standard input and answers each on standard output before it reads the next. A request is its
// number of strings and a newline, then the strings, each ended by a NUL: the child's working folder, the files that
// take its standard output and standard error, then the command line, program first. The answer is a line with the exit
// status, negative for the signal that ended the child. Ends with its input.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "cli/cli.h"

namespace {

void redirect(int descriptor, const char* file, int flags) {
  const int opened = open(file, flags, 0666);
  if (opened < 0 || dup2(opened, descriptor) < 0) std::_Exit(126);
  close(opened);
}

[[noreturn]] void run(std::vector<std::string>& request) {
  if (chdir(request[0].c_str()) != 0) std::_Exit(126);
  redirect(STDIN_FILENO, "/dev/null", O_RDONLY);
  redirect(STDOUT_FILENO, request[1].c_str(), O_WRONLY | O_CREAT | O_TRUNC);
  redirect(STDERR_FILENO, request[2].c_str(), O_WRONLY | O_CREAT | O_TRUNC);
  std::vector<char*> words;
  for (std::size_t i = 3; i < request.size(); ++i) words.push_back(request[i].data());
  const int count = static_cast<int>(words.size());
  words.push_back(nullptr);
  const int status = lossatlas::run_command_line(count, words.data());
  std::fflush(stdout);
  std::_Exit(status);  // as src/main.cpp does
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<std::string> request(std::stoul(line));
    for (std::string& text : request) std::getline(std::cin, text, '\0');
    if (request.size() < 4 || !std::cin) return 1;
    const pid_t child = fork();
    if (child == 0) run(request);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return 1;
    std::cout << (WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status)) << std::endl;
  }
}
