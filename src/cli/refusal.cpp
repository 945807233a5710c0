#include "cli/refusal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/text.h"

namespace lossatlas {
namespace {

// Names of one thing, here and in other programs.
const std::vector<std::vector<std::string>> kSameThing{
    {"lr", "rate", "learning-rate"},
    {"device", "gpu", "cuda"},
    {"out", "o", "output", "save"},
    {"grid", "points", "resolution", "size", "steps"},
    {"x", "range", "xlim", "xrange", "limits"},
    {"checkpoint", "from", "run", "ckpt", "weights", "model-file", "load"},
    {"arch", "model", "net", "network", "checkpoint"},
    {"version", "v", "V"},
    {"help", "h", "?"},
};

/// The subcommand that was chosen, or the program itself.
const CLI::App& chosen(const CLI::App& app) {
  const auto subcommands = app.get_subcommands();
  return subcommands.empty() ? app : *subcommands.front();
}

std::string help_of(const CLI::App& app, const CLI::App& where) {
  return &where == &app ? "lossatlas --help" : fmt::format("lossatlas {} --help", where.get_name());
}

/// Without dashes.
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    names.insert(names.end(), option->get_lnames().begin(), option->get_lnames().end());
  }
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* subcommand : app.get_subcommands({})) names.push_back(subcommand->get_name());
  return names;
}

/// The option that was meant, without dashes: the nearest, or the one of another name for the same thing; else "".
std::string meant_option(const std::string& word, const std::vector<std::string>& known) {
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (std::string near = nearest(word, known); !near.empty()) return near;
  for (const auto& names : kSameThing) {
    if (!has(names, word)) continue;
    for (const std::string& name : names) {
      if (has(known, name)) return name;
    }
  }
  return "";
}

std::string unknown_option(const CLI::App& app, const std::string& typed) {
  const CLI::App& where = chosen(app);
  const std::string word = typed.substr(0, typed.find('='));
  if (word == "--problem" && where.get_name() == "train") {
    return "--problem: train takes networks of its own; train yours in PyTorch, and give its checkpoints to `lossatlas "
           "trajectory --problem FILE --checkpoints …`";
  }
  if (word == "--join" && where.get_option_no_throw("--resume") && where.get_name() != "train") {
    return "--join is gone: share one run among processes with `mpirun -n 4 lossatlas …`, or give parts of it to "
           "separate "
           "jobs with --shard";
  }
  const std::string meant =
      meant_option(word.substr(std::min(word.find_first_not_of('-'), word.size())), option_names(where));
  return fmt::format("unknown option '{}'{}; see {}", word,
                     meant.empty() ? "" : fmt::format(", did you mean '--{}'?", meant), help_of(app, where));
}

/// What takes a word that stands alone, of each command.
std::string option_for_word(const std::string& command) {
  if (command == "surface" || command == "line") return "--checkpoint";
  if (command == "train" || command == "layers") return "--arch";
  if (command == "trajectory") return "--run";
  if (command == "curve") return "--to";
  if (command == "descend") return "--function";
  return command == "export" ? "--out" : "";
}

/// A word that is neither an option nor its value.
std::string unknown_word(const CLI::App& app, const std::string& word, const std::vector<std::string>& typed) {
  const CLI::App& where = chosen(app);
  const auto line = [&](const std::string& what) {
    return fmt::format("unexpected argument '{}'{}; see {}", word, what, help_of(app, where));
  };
  if (word == "help") return fmt::format("unexpected argument 'help'; type {}", help_of(app, where));
  if (where.get_name() == "info") return line(": info takes one file, and --diff two");
  if (where.get_name() == "convert") return line(": convert takes two files, IN and OUT");
  const std::string option = option_for_word(where.get_name());
  if (std::find(typed.begin(), typed.end(), option) == typed.end())
    return line(fmt::format(", did you mean '{} {}'?", option, word));
  const auto last = std::find(typed.rbegin(), typed.rend(), word);
  if (typed.rend() - last < 3 || !(last + 2)->starts_with("--")) return line("");
  return line(fmt::format(" after '{} {}': an option takes one value, without blanks", *(last + 2), *(last + 1)));
}

std::string unknown_command(const CLI::App& app, const std::string& word) {
  if (word == "help") return "unknown command 'help'; type lossatlas --help, or lossatlas COMMAND --help";
  const auto known = command_names(app);
  return fmt::format("unknown command '{}'{}; there are {}", word, did_you_mean(word, known), fmt::join(known, ", "));
}

std::string unknown_words(const CLI::App& app, const std::string& word, const std::vector<std::string>& typed) {
  if (word.starts_with("-")) return unknown_option(app, word);
  return app.get_subcommands().empty() ? unknown_command(app, word) : unknown_word(app, word, typed);
}

/// "--data is required", with what --help says of it.
std::string missing_option(const CLI::App& app, const std::string& what) {
  const CLI::App& where = chosen(app);
  if (&where == &app) return fmt::format("no command given; there are {}", fmt::join(command_names(app), ", "));
  const CLI::Option* option = where.get_option_no_throw(what.substr(0, what.find(' ')));
  return option ? fmt::format("{}: {}", what, option->get_description()) : what;
}

/// CLI11's "--lr: 1 required FLOAT missing", "--diff: At least 2 required but received 1", "--lr: At Most 1 required
/// …".
std::string wrong_count(const CLI::App& app, const std::string& what) {
  const CLI::App& where = chosen(app);
  const std::string name = what.substr(0, what.find(':'));
  const CLI::Option* option = where.get_option_no_throw(name);
  if (!option) return what;
  if (what.find("At Most") != std::string::npos)
    return fmt::format("{} is given {} times; give it once", name, option->count());
  if (what.find("missing") == std::string::npos && what.find("At least") == std::string::npos) return what;
  return fmt::format("{} requires {} ({}); see {}", name, option->get_expected_min() > 1 ? "two values" : "a value",
                     option->get_description(), help_of(app, where));
}

}  // namespace

std::string refusal(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& typed) {
  const std::string what = error.what();
  // Words that nothing takes are the likelier mistake: `--gird` for a missing --grid.
  if (const auto extras = app.remaining(true); !extras.empty()) return unknown_words(app, extras.front(), typed);
  if (dynamic_cast<const CLI::RequiredError*>(&error)) return missing_option(app, what);
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) return wrong_count(app, what);
  return what;
}

}  // namespace lossatlas
