#include "cli/descend_words.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "cli/inputs.h"
#include "cli/message.h"
#include "cli/words.h"
#include "jobs/outputs.h"

namespace lossatlas {
namespace {

using Point = std::vector<double>;

constexpr std::size_t kMostDescents = 1000;
constexpr std::int64_t kMostRows = 10'000'000;  // over all descents: some 500 MB
constexpr double kUsualRate = 0.01;             // of functions that have no name

/// Shows where an expression is wrong, above the line that says what.
[[noreturn]] void refuse(const std::string& text, const SyntaxError& error) {
  print_message(fmt::format("{}\n{:>{}}", text, "^", error.column));
  std::vector<std::string> names;
  for (const auto& function : gallery()) names.push_back(function.name);
  const std::string near = nearest(text, names);
  throw UsageError("--function, {}{}", error.what(), near.empty() ? "" : fmt::format("; or did you mean {}?", near));
}

std::vector<Point> points_of(const std::string& option, const std::string& words, std::size_t variables) {
  if (words.empty()) return {};
  std::vector<Point> points;
  try {
    points = parse_points(option, words);
  } catch (const UsageError&) {  // which names one point alone
    throw UsageError("{} \"{}\": requires finite numbers, with ',' between coordinates and ';' between points", option,
                     words);
  }
  for (const Point& point : points) {
    if (point.size() == variables) continue;
    throw UsageError("{} {}: the function has {}", option, words,
                     variables == 1 ? "one variable, x: points are numbers with ; between them, as in 0;5"
                                    : "two variables: points are X,Y with ; between them, as in 0,1;2,3");
  }
  return points;
}

Point direction_of(const std::string& words, std::size_t variables) {
  if (words.find(';') != std::string::npos)
    throw UsageError("--direction {}: requires one direction, as in 1,1", words);
  Point direction = parse_numbers("--direction", words);
  if (direction.size() != variables) {
    throw UsageError(
        "--direction {}: requires {}", words,
        variables == 1 ? "one number: the function has one variable, x" : "X,Y: the function has two variables");
  }
  if (std::all_of(direction.begin(), direction.end(), [](double part) { return part == 0; })) {
    throw UsageError("--direction {}: has no length", words);
  }
  return direction;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

/// One word of --optimizer: "gd", or "gd:0.1".
struct OptimizerWord {
  std::string name;
  std::optional<double> rate;
};

OptimizerWord optimizer_word(const std::string& word) {
  const auto colon = word.find(':');
  const std::string name(trimmed(word.substr(0, colon)));
  if (name.empty()) throw UsageError("--optimizer: a name is missing between commas, as in gd,adam");
  if (colon == std::string::npos) return {name, std::nullopt};
  try {
    const double rate = parse_numbers("--optimizer", word.substr(colon + 1)).front();
    if (rate > 0) return {name, rate};
  } catch (const UsageError&) {  // which names the rate alone
  }
  throw UsageError("--optimizer {}: requires NAME:RATE with a rate above 0, as in gd:0.1", word);
}

/// Those of --rate.
std::vector<double> rates_of(const DescendWords& words, const NamedFunction* known) {
  if (!words.given("--rate")) return {known ? known->rate : kUsualRate};
  auto rates = parse_numbers("--rate", words.rates);
  for (const double rate : rates) {
    if (rate <= 0) throw UsageError("--rate {}: requires numbers above 0", words.rates);
  }
  return rates;
}

/// Refuses what is said of minibatches where no optimizer takes any, and more in one than there are terms.
void check_noise(const DescendWords& words, const std::vector<std::string>& names) {
  const auto& noise = words.options.noise;
  if (noise.deviation == 0) {
    for (const char* option : {"--terms", "--batch-size", "--seed"}) {
      if (words.given(option)) throw UsageError("{} requires --noise, a number above 0", option);
    }
    if (std::find(names.begin(), names.end(), "sgd") == names.end()) return;
    throw UsageError("--optimizer sgd without --noise is gd: give the spread of the terms, as in --noise 5");
  }
  if (std::all_of(names.begin(), names.end(), [](const std::string& name) { return name == "gd"; })) {
    throw UsageError("--noise {:g}: gd sees all terms; name an --optimizer that takes minibatches, as sgd",
                     noise.deviation);
  }
  if (noise.batch_size <= noise.terms) return;
  if (words.given("--batch-size")) {
    throw UsageError("--batch-size {}: there are {} --terms", noise.batch_size, noise.terms);
  }
  throw UsageError("--terms {}: a step takes {} unless --batch-size is smaller", noise.terms, noise.batch_size);
}

/// One for each optimizer and rate.
std::vector<DescentOptions> optimizers_of(const DescendWords& words, const NamedFunction* known) {
  std::vector<DescentOptions> list;
  std::vector<std::string> names;
  bool reads_rates = false;
  DescentOptions shared = words.options;
  shared.schedule = words.schedule.schedule();
  shared.schedule.length = shared.steps;  // of cosine
  if (words.given("--lr-factor") && shared.schedule.drops.empty())
    throw UsageError("--lr-factor belongs to --lr-steps");
  check_warmup(shared.schedule, "--steps", shared.steps);
  for (const std::string_view part : split_at(words.optimizers, ',')) {
    const OptimizerWord word = optimizer_word(std::string(trimmed(part)));
    DescentOptions options = shared;
    options.optimizer = words.numbers.options(word.name, 0);
    if (word.name == "adamw" && words.given("--weight-decay")) options.optimizer.weight_decay = words.weight_decay;
    check(options.optimizer);
    names.push_back(word.name);
    reads_rates = reads_rates || !word.rate;
    for (const double rate : word.rate ? std::vector{*word.rate} : rates_of(words, known)) {
      options.rate = rate;
      list.push_back(options);
    }
  }
  if (words.given("--rate") && !reads_rates) {
    throw UsageError("--rate {}: each --optimizer brings its own", words.rates);
  }
  words.numbers.refuse_unread(names);
  if (words.given("--weight-decay") && std::find(names.begin(), names.end(), "adamw") == names.end()) {
    throw UsageError("--weight-decay belongs to --optimizer adamw");
  }
  check_noise(words, names);
  return list;
}

/// Without a start there is nothing for these to say.
void refuse_words_of_descents(const DescendWords& words) {
  for (const char* option :
       {"--optimizer", "--rate", "--steps", "--ascend", "--tolerance", "--noise", "--terms", "--batch-size", "--seed",
        "--lr-schedule", "--lr-steps", "--lr-factor", "--warmup", "--weight-decay"}) {
    if (words.given(option))
      throw UsageError("{} requires --from: the start (--at without it gives tangents only)", option);
  }
  words.numbers.refuse_unread({});
}

}  // namespace

void add_options(CLI::App& command, DescendWords& words) {
  words.command = &command;
  auto& o = words.options;
  command.option_defaults()->group("The function");
  command
      .add_option("--function", words.function,
                  "an expression of x, or of x and y, as in \"25*sin(x) - x^2\"; or a name of --list")
      ->type_name("EXPRESSION|NAME");
  command.add_flag("--list", words.list, "list the named functions");
  command.option_defaults()->group("The descent");
  command
      .add_option("--from", words.from,
                  "starts: points separated by semicolons, coordinates by commas, as in \"0;5;-8\" or \"1,2;3,4\" "
                  "(default: the named function's)")
      ->type_name("POINTS");
  command.option_defaults()->group("The optimizer");
  command
      .add_option(
          "--optimizer", words.optimizers,
          fmt::format(
              "one or several of {}, separated by commas, each with its own rate if given, as in gd:0.1,adagrad:1",
              fmt::join(optimizer_names(), ", ")))
      ->type_name("LIST")
      ->capture_default_str();
  command
      .add_option("--rate", words.rates,
                  "learning rates ε, separated by commas: every optimizer runs at every rate from every start "
                  "(default: the named function's, else 0.01)")
      ->type_name("LIST");
  words.schedule.add_to(command, "steps");
  words.numbers.add_to(command);
  command.add_option("--weight-decay", words.weight_decay, "adamw: λ in θ ← θ - ελθ (default: 0.01)");
  command.option_defaults()->group("The descent");
  command.add_option("--steps", o.steps, "most steps of a descent")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  command.add_flag("--ascend", o.ascend, "climb instead of descend: the gradient of -f");
  command.add_option("--tolerance", o.tolerance, "a descent has converged if neither gradient nor last step is longer")
      ->check(not_negative())
      ->capture_default_str();
  command.option_defaults()->group("Noise");
  command
      .add_option(
          "--noise", o.noise.deviation,
          "gradients of minibatches: the function is the mean of --terms terms, each tilted by about X; 0 is none")
      ->check(not_negative())
      ->capture_default_str();
  command.add_option("--terms", o.noise.terms, "with --noise: terms of the mean")
      ->transform(whole_number(2, 1'000'000))
      ->capture_default_str();
  command.add_option("--batch-size", o.noise.batch_size, "with --noise: terms per step")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  command.add_option("--seed", o.noise.seed, "with --noise: decides the tilts and their order")
      ->transform(whole_number())
      ->capture_default_str();
  command.option_defaults()->group("Tangents");
  command
      .add_option("--at", words.at,
                  "points where value, gradient and tangent are printed, stored and drawn, written as for --from")
      ->type_name("POINTS");
  command.add_option("--direction", words.direction, "with --at: also the derivative along this direction, as in 1,1")
      ->type_name("LIST");
  command.option_defaults()->group("The picture");
  command.add_option("--x", words.x, "range that is tabulated and drawn (default: what holds starts and steps)")
      ->type_name("LOW:HIGH");
  command.add_option("--y", words.y, "the same along y (default: as for --x)")->type_name("LOW:HIGH");
  command.add_option("--points", words.points, "points along each axis (default: 501 for one variable, 101 for two)")
      ->transform(whole_number(2, 2001));
  command.option_defaults()->group("Output");
  command.add_option("--out", words.out, "the file to write")->type_name("FILE.h5")->capture_default_str();
  command.add_flag("--force", words.force, "replace an existing --out");
}

DescendTask task_of(const DescendWords& words) {
  DescendTask task;
  if (words.function.empty()) throw UsageError("--function is required: an expression, or a name of --list");
  task.known = find_function(words.function);
  task.text = task.known ? task.known->expression : words.function;
  std::replace_if(
      task.text.begin(), task.text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  try {
    task.function.emplace(task.text);
  } catch (const SyntaxError& error) {
    refuse(task.text, error);
  }
  task.variables = task.function->variables();
  task.starts = points_of("--from", words.from, task.variables);
  task.at = points_of("--at", words.at, task.variables);
  if (task.starts.empty() && task.at.empty()) {
    if (!task.known) throw UsageError("--from is required (or --at, for tangents only)");
    task.starts = {task.known->start};
  }
  if (!words.direction.empty()) {
    if (task.at.empty()) throw UsageError("--direction requires --at, the points where the slope is computed");
    task.direction = direction_of(words.direction, task.variables);
  }
  if (!words.y.empty() && task.variables == 1) throw UsageError("--y: the function has one variable, x");
  task.points = words.points > 0 ? words.points : task.variables == 1 ? 501 : 101;
  if (!words.x.empty()) task.x = parse_axis("--x", words.x, task.points);
  if (!words.y.empty()) task.y = parse_axis("--y", words.y, task.points);
  if (task.starts.empty()) {
    refuse_words_of_descents(words);
  } else {
    task.optimizers = optimizers_of(words, task.known);
  }
  const std::size_t descents = task.starts.size() * task.optimizers.size();
  if (descents > kMostDescents || static_cast<std::int64_t>(descents) * words.options.steps > kMostRows) {
    throw UsageError("{} descents of {} steps are more than a file should hold; ask for fewer", descents,
                     words.options.steps);
  }
  check_output("--out", words.out, words.force);
  return task;
}

}  // namespace lossatlas
