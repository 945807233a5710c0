#include "cli/cli.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/fields.h"
#include "cli/help.h"
#include "cli/message.h"
#include "cli/plot.h"
#include "cli/refusal.h"
#include "cli/version.h"
#include "jobs/libtorch.h"

namespace lossatlas {
namespace {

constexpr auto kPlot = "plot";

/// Commands whose work the processes that mpirun or srun started share.
bool is_shared(const std::vector<std::string>& words) {
  constexpr std::array<std::string_view, 6> kShared{"surface", "line", "trajectory", "curve", "path", "curvature"};
  return words.size() > 1 && std::find(kShared.begin(), kShared.end(), words[1]) != kShared.end();
}

/// Only the first of several processes speaks.
int complain(const CommandContext& context, int status, std::string text) {
  text = text.substr(0, text.find('\n'));
  // All ranks find the same. mpirun ends them when the first of them does: rank 0 is given time to say what is wrong.
  constexpr std::chrono::seconds kPatience(3);
  if (context.launch.rank == 0) {
    print_message("lossatlas: " + with_options(text));
  } else if (!context.at_end) {
    std::this_thread::sleep_for(kPatience);
  }
  return status;
}

/// What earlier versions called something, which stays understood.
struct Renamed {
  std::string_view command;  // of today
  std::string_view before, now;
};
constexpr std::array kRenamed{Renamed{"", "path", "curve"}, Renamed{"curve", "--curve", "--shape"}};

/// The words as they are called today, without the program's name, with a note for each that has another name now.
std::vector<std::string> renamed(const CommandContext& context) {
  std::vector<std::string> words(context.words.begin() + 1, context.words.end());
  for (const auto& [command, before, now] : kRenamed) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      std::string& word = words[i];
      const bool is_there = command.empty() ? i == 0 : words.front() == command;
      if (!is_there || word.substr(0, word.find('=')) != before) continue;
      word.replace(0, before.size(), now);
      if (context.launch.rank == 0) print_message(fmt::format("note: {} is now called {}", before, now));
    }
  }
  return words;
}

int parse_and_run(CLI::App& app, const CommandContext& context) {
  try {
    std::vector<std::string> words = renamed(context);
    std::reverse(words.begin(), words.end());  // as CLI11 takes them
    app.parse(std::move(words));
    return context.status;
  } catch (const CLI::Success& success) {  // --help, --version
    return context.launch.rank == 0 ? app.exit(success) : kDone;
  } catch (const CLI::ParseError& error) {
    return complain(context, kWrongWords, refusal(app, error, context.words));
  }
}

/// The exit status. What ends the program is printed.
int run(CLI::App& app, const CommandContext& context) {
  try {
    const auto& words = context.words;
    if (words.size() > 1 && words[1] == kPlot) become(plotter(), {words.begin() + 2, words.end()});
    std::signal(SIGXFSZ, SIG_IGN);  // a file over the size limit is then an error like a full disk
    std::signal(SIGPIPE, SIG_IGN);  // a reader of messages that left does not end a run
    const int status = parse_and_run(app, context);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      if (errno == EPIPE) return status;  // a reader, as head, that has seen enough
      throw Error("standard output cannot be written ({})", std::strerror(errno));
    }
    return status;
  } catch (const UsageError& error) {
    return complain(context, kWrongWords, error.what());
  } catch (const Error& error) {
    return complain(context, kFailed, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return complain(context, kFailed, error.path1().string() + ": " + error.code().message());
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::broken_pipe) return kDone;
    return complain(context, kFailed, error.what());
  } catch (const std::bad_alloc&) {
    return complain(context, kFailed, "out of memory; use fewer --threads or a smaller --batch-size");
  } catch (const std::exception& error) {
    if (const auto text = libtorch_text(error)) return complain(context, kFailed, "LibTorch: " + *text);
    return complain(context, kFailed, std::string("internal error: ") + error.what());
  }
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app("Loss landscapes of trained neural networks.", "lossatlas");
  app.set_version_flag("--version", std::string(version()));
  app.require_subcommand(1);
  app.footer("`lossatlas COMMAND --help` lists a command's options.");
  CommandContext context{
      fmt::format("{}", fmt::join(argv, argv + argc, " ")), {argv, argv + argc}, kDone, launch_of_environment()};
  if (context.launch.rank > 0 && !is_shared(context.words)) return kDone;  // rank 0 does all of it
  add_train(app, context);
  add_surface(app, context);
  add_line(app, context);
  add_trajectory(app, context);
  add_layers(app, context);
  add_curve(app, context);
  add_curvature(app, context);
  add_descend(app, context);
  add_export(app, context);
  add_convert(app, context);
  add_merge(app, context);
  add_info(app, context);
  app.add_subcommand(kPlot, "Draw a file; `lossatlas plot --help` lists its options");
  set_help(app);
  const int status = run(app, context);
  return context.at_end ? context.at_end(status) : status;
}

}  // namespace lossatlas
