#include "cli/cli.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/fields.h"
#include "cli/message.h"
#include "cli/plot.h"
#include "cli/refusal.h"
#include "cli/version.h"
#include "jobs/libtorch.h"

namespace lossatlas {
namespace {

constexpr auto kPlot = "plot";

int complain(int status, std::string text) {
  text = text.substr(0, text.find('\n'));
  print_message("lossatlas: " + with_options(text));
  return status;
}

/// What earlier versions called something, which stays understood.
struct Renamed {
  std::string_view command;  // of today
  std::string_view before, now;
};
constexpr std::array kRenamed{Renamed{"", "path", "curve"}, Renamed{"curve", "--curve", "--shape"}};

/// The words as they are called today, without the program's name, with a note for each that has another name now.
std::vector<std::string> renamed(std::vector<std::string> words) {
  words.erase(words.begin());
  for (const auto& [command, before, now] : kRenamed) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      std::string& word = words[i];
      const bool is_there = command.empty() ? i == 0 : words.front() == command;
      if (!is_there || word.substr(0, word.find('=')) != before) continue;
      word.replace(0, before.size(), now);
      print_message(fmt::format("note: {} is now called {}", before, now));
    }
  }
  return words;
}

int parse_and_run(CLI::App& app, const CommandContext& context) {
  try {
    std::vector<std::string> words = renamed(context.words);
    std::reverse(words.begin(), words.end());  // as CLI11 takes them
    app.parse(std::move(words));
    return context.status;
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return complain(kWrongWords, refusal(app, error, context.words));
  }
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app("Loss landscapes of trained neural networks.", "lossatlas");
  app.set_version_flag("--version", std::string(version()));
  app.require_subcommand(1);
  app.footer("`lossatlas COMMAND --help` lists a command's options.");
  CommandContext context{fmt::format("{}", fmt::join(argv, argv + argc, " ")), {argv, argv + argc}, kDone};
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
  add_info(app, context);
  app.add_subcommand(kPlot, "Draw a file: runs tools/plot with all arguments");
  try {
    if (argc > 1 && context.words[1] == kPlot) become(plotter(), {argv + 2, argv + argc});
    std::signal(SIGXFSZ, SIG_IGN);  // a file over the size limit is then an error like a full disk
    std::signal(SIGPIPE, SIG_IGN);  // a reader of messages that left does not end a run
    const int status = parse_and_run(app, context);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      if (errno == EPIPE) return status;  // a reader, as head, that has seen enough
      throw Error("standard output cannot be written ({})", std::strerror(errno));
    }
    return status;
  } catch (const UsageError& error) {
    return complain(kWrongWords, error.what());
  } catch (const Error& error) {
    return complain(kFailed, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return complain(kFailed, error.path1().string() + ": " + error.code().message());
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::broken_pipe) return kDone;
    return complain(kFailed, error.what());
  } catch (const std::bad_alloc&) {
    return complain(kFailed, "out of memory; use fewer --threads or a smaller --batch-size");
  } catch (const std::exception& error) {
    if (const auto text = libtorch_text(error)) return complain(kFailed, "LibTorch: " + *text);
    return complain(kFailed, std::string("internal error: ") + error.what());
  }
}

}  // namespace lossatlas
