#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/description_text.h"
#include "cli/message.h"
#include "jobs/description.h"
#include "jobs/run_files.h"

namespace lossatlas {
namespace {

using nlohmann::ordered_json;

struct InfoWords {
  std::filesystem::path file;
  std::vector<std::filesystem::path> compared;  // none, or two surfaces
  bool architectures = false;
  bool as_json = false;
  bool whole = false;
  std::string key;  // of a checkpoint
};

void print_architectures(const ordered_json& list) {
  for (const auto& entry : list) {
    print_line(fmt::format("{:<24} {:>12} parameters at {:>4} classes  {}", entry["name"].get<std::string>(),
                           entry["parameters"].get<std::int64_t>(), entry["classes"].get<std::int64_t>(),
                           entry["summary"].get<std::string>()));
  }
}

std::string furthest_text(const ordered_json& furthest) {
  std::string at;
  for (const auto& [key, value] : furthest.items()) {
    if (key == "difference" || key == "first" || key == "second") continue;  // a coordinate
    at += fmt::format("{}{:.4g}", at.empty() ? "" : ", ", value.get<double>());
  }
  return fmt::format("{:.4g} at ({}): {:.10g} and {:.10g}", furthest["difference"].get<double>(), at,
                     furthest["first"].get<double>(), furthest["second"].get<double>());
}

void print_values(const char* name, const ordered_json& values) {
  const auto count = [&](const char* key) { return values[key].get<std::size_t>(); };
  if (count("points") == 0) return;
  if (count("other_bits") == 0) return print_line(fmt::format("{}: the same bits at all common points", name));
  print_line(fmt::format("{}: other bits at {} of {} common points", name, count("other_bits"), count("points")));
  if (const auto& furthest = values["largest_absolute"]; !furthest.is_null()) {
    print_line(fmt::format("  largest difference {}", furthest_text(furthest)));
  }
  if (const auto& furthest = values["largest_relative"]; !furthest.is_null()) {
    print_line(fmt::format("  largest relative difference {}", furthest_text(furthest)));
  }
  if (count("finite_in_one") > 0)
    print_line(fmt::format("  finite in only one of them: {} points", count("finite_in_one")));
}

void print_difference(const ordered_json& difference) {
  const auto text = [&](const char* key) { return difference[key].get<std::string>(); };
  print_line("first " + text("first"));
  print_line("second " + text("second"));
  for (const auto& setting : difference["settings"]) {
    print_line(fmt::format("{}: {} | {}", setting["name"].get<std::string>(), json_text(setting["first"]),
                           json_text(setting["second"])));
  }
  if (difference["settings"].empty()) print_line("the same settings");
  const auto count = [&](const char* key) { return difference[key].get<std::size_t>(); };
  print_line(fmt::format("{} common points; only in the first {}, only in the second {}", count("common"),
                         count("only_first"), count("only_second")));
  print_values("loss", difference["loss"]);
  print_values("accuracy", difference["accuracy"]);
  if (difference.contains("line_loss")) {
    print_values("loss along the line", difference["line_loss"]);
    print_values("accuracy along the line", difference["line_accuracy"]);
  }
  if (difference["same_values"] == true) print_line("the same values");
}

int info(const InfoWords& words) {
  const bool compares = !words.compared.empty();
  if ((words.architectures ? 1 : 0) + (compares ? 1 : 0) + (words.file.empty() ? 0 : 1) != 1) {
    throw UsageError("info: name a file, or ask for --archs, or for --diff of two surfaces");
  }
  std::vector<std::string> notes;
  const ordered_json description = compares ? describe_difference(words.compared[0], words.compared[1])
                                   : words.architectures
                                       ? describe_architectures()
                                       : describe(checkpoint_of(words.file, notes), words.as_json, words.key);
  for (const std::string& note : notes) print_message("note: " + note);
  if (words.as_json) {
    print_json(json_text(description, 2));
  } else if (compares) {
    print_difference(description);
  } else if (words.architectures) {
    print_architectures(description);
  } else {
    print_entries(words.whole ? description : shortened(description));
  }
  return kDone;
}

}  // namespace

void add_info(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("info", "Describe a checkpoint, a surface or a history");
  const auto words = std::make_shared<InfoWords>();
  command
      ->add_option("file", words->file,
                   "a checkpoint, surface, history, directions or problem file, or a run folder: its last epoch")
      ->type_name("FILE");
  command->option_defaults()->group("What is described");
  command->add_option("--diff", words->compared, "compare two surfaces")->expected(2)->type_name("A.h5 B.h5");
  command
      ->add_option(
          "--key", words->key,
          "describe this entry of a checkpoint; groups lists those that hold tensors (default: the usual names)")
      ->type_name("NAME");
  command->add_flag("--archs", words->architectures, "list the architectures with their parameter counts");
  command->option_defaults()->group("Output");
  command->add_flag("--all", words->whole, "print every tensor, setting and row, not only the main ones");
  command->add_flag("--json", words->as_json, "print everything as JSON");
  command->callback([words, &context] { context.status = info(*words); });
}

}  // namespace lossatlas
