#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/optimizer_words.h"
#include "cli/version.h"
#include "cli/words.h"
#include "functions/descent_file.h"
#include "functions/gallery.h"

namespace lossatlas {
namespace {

using nlohmann::json;
using Point = std::vector<double>;

constexpr std::size_t kMostDescents = 1000;
constexpr std::int64_t kMostRows = 10'000'000;  // over all descents: some 500 MB
constexpr double kUsualRate = 0.01;             // of functions that have no name

struct DescendWords {
  const CLI::App* command = nullptr;
  std::string function, from, optimizers = "gd", rates;
  OptimizerWords numbers;
  DescentOptions options;
  std::string at, direction;
  std::string x, y;
  std::size_t points = 0;
  std::filesystem::path out = "outputs/descent.h5";
  bool list = false, force = false;

  bool given(const char* option) const { return command->count(option) > 0; }
};

void add_options(CLI::App& command, DescendWords& words) {
  words.command = &command;
  auto& o = words.options;
  command
      .add_option("--function", words.function, "of x, or of x and y, as in \"25*sin(x) - x^2\"; or a name of --list")
      ->type_name("EXPRESSION|NAME");
  command.add_flag("--list", words.list, "list the functions that have a name");
  command.add_option("--from", words.from,
                     "where to start, as in \"0;5;-8\" or \"1,2;3,4\" (default: the named function's)");
  command
      .add_option("--optimizer", words.optimizers,
                  fmt::format("one or several of {}; each may bring its rate, as in gd:0.1,adagrad:1",
                              fmt::join(optimizer_names(), ", ")))
      ->capture_default_str();
  command.add_option("--rate", words.rates,
                     "learning rate ε; several with commas (default: the named function's, else 0.01)");
  words.numbers.add_to(command);
  command.add_option("--steps", o.steps, "steps at most")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  command.add_flag("--ascend", o.ascend, "climb instead of descend");
  command.add_option("--tolerance", o.tolerance, "converged where neither gradient nor last step is longer")
      ->check(not_negative())
      ->capture_default_str();
  command.add_option("--noise", o.noise.deviation, "the function is the mean of --terms, tilted by this much each")
      ->check(not_negative())
      ->capture_default_str();
  command.add_option("--terms", o.noise.terms, "with --noise: terms of the mean")
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  command.add_option("--batch-size", o.noise.batch_size, "with --noise: terms a step")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command.add_option("--seed", o.noise.seed, "with --noise: decides tilts and order")
      ->check(whole_number())
      ->capture_default_str();
  command.add_option("--at", words.at, "points to say value, gradient and tangent of, written as for --from");
  command.add_option("--direction", words.direction, "with --at: a direction to say the slope along, as in 1,1");
  command.add_option("--x", words.x, "range drawn (default: what holds starts and steps)")->type_name("LOW:HIGH");
  command.add_option("--y", words.y, "the same along y")->type_name("LOW:HIGH");
  command.add_option("--points", words.points, "points along each axis (default: 501 of one variable, 101 of two)")
      ->check(CLI::Range(2, 2001));
  command.add_option("--out", words.out, "file")->capture_default_str();
  command.add_flag("--force", words.force, "replace --out");
}

// --- what the words ask for ---------------------------------------------------------------------------------------

/// Shows where an expression is wrong, above the line that says what.
[[noreturn]] void refuse(const std::string& text, const SyntaxError& error) {
  fmt::print(stderr, "{}\n{:>{}}\n", text, "^", error.column);
  std::vector<std::string> names;
  for (const auto& function : gallery()) names.push_back(function.name);
  const std::string near = nearest(text, names);
  throw UsageError("--function, {}{}", error.what(), near.empty() ? "" : fmt::format("; or did you mean {}?", near));
}

struct Task {
  const NamedFunction* known = nullptr;  // in the gallery
  std::string text;
  std::optional<Expression> function;
  std::size_t variables = 1;
  std::vector<Point> starts, at;
  Point direction;
  std::vector<DescentOptions> optimizers;
};

std::vector<Point> points_of(const std::string& option, const std::string& words, std::size_t variables) {
  if (words.empty()) return {};
  std::vector<Point> points;
  try {
    points = parse_points(option, words);
  } catch (const UsageError&) {  // which names one point alone
    throw UsageError("{} \"{}\": wants numbers, with ',' between coordinates and ';' between points", option, words);
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
  if (words.find(';') != std::string::npos) throw UsageError("--direction {}: wants one direction, as in 1,1", words);
  Point direction = parse_numbers("--direction", words);
  if (direction.size() != variables) {
    throw UsageError(
        "--direction {}: wants {}", words,
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
  throw UsageError("--optimizer {}: wants NAME:RATE with a rate above 0, as in gd:0.1", word);
}

/// Those of --rate.
std::vector<double> rates_of(const DescendWords& words, const NamedFunction* known) {
  if (!words.given("--rate")) return {known ? known->rate : kUsualRate};
  auto rates = parse_numbers("--rate", words.rates);
  for (const double rate : rates) {
    if (rate <= 0) throw UsageError("--rate {}: wants numbers above 0", words.rates);
  }
  return rates;
}

/// Refuses what is said of minibatches where no optimizer takes any, and more in one than there are terms.
void check_noise(const DescendWords& words, const std::vector<std::string>& names) {
  const auto& noise = words.options.noise;
  if (noise.deviation == 0) {
    for (const char* option : {"--terms", "--batch-size", "--seed"}) {
      if (words.given(option)) throw UsageError("{} belongs to --noise, which wants a number above 0", option);
    }
    if (std::find(names.begin(), names.end(), "sgd") == names.end()) return;
    throw UsageError("--optimizer sgd without --noise is gd: say how far the terms of the sum differ, as in --noise 5");
  }
  if (std::all_of(names.begin(), names.end(), [](const std::string& name) { return name == "gd"; })) {
    throw UsageError("--noise {:g}: gd sees all terms; name an --optimizer that takes minibatches, as sgd",
                     noise.deviation);
  }
  if (noise.batch_size <= noise.terms) return;
  if (words.given("--batch-size")) {
    throw UsageError("--batch-size {}: there are {} --terms", noise.batch_size, noise.terms);
  }
  throw UsageError("--terms {}: a step takes {} unless --batch-size says fewer", noise.terms, noise.batch_size);
}

/// One for each optimizer and rate.
std::vector<DescentOptions> optimizers_of(const DescendWords& words, const NamedFunction* known) {
  std::vector<DescentOptions> list;
  std::vector<std::string> names;
  bool reads_rates = false;
  for (const std::string_view part : split_at(words.optimizers, ',')) {
    const OptimizerWord word = optimizer_word(std::string(trimmed(part)));
    DescentOptions options = words.options;
    options.optimizer = words.numbers.options(word.name, 0);
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
  check_noise(words, names);
  return list;
}

/// Without a start there is nothing for these to say.
void refuse_words_of_descents(const DescendWords& words) {
  for (const char* option : {"--optimizer", "--rate", "--steps", "--ascend", "--tolerance", "--noise", "--terms",
                             "--batch-size", "--seed"}) {
    if (words.given(option)) throw UsageError("{} wants --from: where to start (--at alone gives tangents)", option);
  }
  words.numbers.refuse_unread({});
}

Task task_of(const DescendWords& words) {
  Task task;
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
    if (!task.known) throw UsageError("--from is required: where to start (or --at, for tangents alone)");
    task.starts = {task.known->start};
  }
  if (!words.direction.empty()) {
    if (task.at.empty()) throw UsageError("--direction wants --at: the points to say the slope at");
    task.direction = direction_of(words.direction, task.variables);
  }
  if (!words.y.empty() && task.variables == 1) throw UsageError("--y: the function has one variable, x");
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

// --- the range that is drawn --------------------------------------------------------------------------------------

struct Interval {
  double low = INFINITY, high = -INFINITY;
  void hold(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  double width() const { return high - low; }
};

/// Holds starts, tangents' points and positions, and the usual domain; of a descent that diverged only its first steps.
Interval range_of(const Task& task, const DescentRecord& record, std::size_t i) {
  constexpr std::size_t kShown = 6;  // rows of a descent that diverged
  Interval held;
  for (const Point& point : task.starts) held.hold(point[i]);
  for (const Point& point : task.at) held.hold(point[i]);
  if (task.known) {
    for (const double end : task.known->domain[i]) held.hold(end);
  }
  const double reach = task.known ? held.width() : 10 * (1 + std::max(std::abs(held.low), std::abs(held.high)));
  const Interval usual = held;
  for (const Descent& descent : record.descents) {
    const bool is_short = descent.end == DescentEnd::diverged;
    const std::size_t rows = is_short ? std::min(kShown, descent.value.size()) : descent.value.size();
    for (std::size_t row = 0; row < rows; ++row) {
      const double value = descent.position[row * task.variables + i];
      if ((is_short || task.known) && (value < usual.low - reach || value > usual.high + reach)) break;
      held.hold(value);
    }
  }
  const double margin = task.known && held.low == usual.low && held.high == usual.high ? 0
                        : held.width() > 0                                             ? 0.15 * held.width()
                                                                                       : 1;
  return {held.low - margin, held.high + margin};
}

std::vector<double> coordinates_of(const std::string& option, const std::string& words, const Interval& range,
                                   std::size_t points) {
  const Axis axis = words.empty() ? Axis{range.low, range.high, points} : parse_axis(option, words, points);
  return axis.coordinates();
}

// --- what is said -------------------------------------------------------------------------------------------------

std::string text_of(std::span<const double> point) {
  return point.size() == 1 ? fmt::format("{:.6g}", point[0]) : fmt::format("({:.6g}, {:.6g})", point[0], point[1]);
}

std::string label_of(const DescentOptions& options, const Point& start, bool names_start) {
  std::string title = title_of(options.optimizer);
  if (options.ascend && options.optimizer.name == "gd") title = "gradient ascent";
  return fmt::format("{}, rate {:.6g}{}", title, options.rate, names_start ? ", from " + text_of(start) : "");
}

std::string end_text(const Descent& descent) {
  switch (descent.end) {
    case DescentEnd::converged:
      return "converged";
    case DescentEnd::diverged:
      return "diverged: " + descent.reason;
    case DescentEnd::undefined:
      return "stopped: " + descent.reason;
    default:
      return "all steps done";
  }
}

void print_descent(const Descent& descent, const std::string& label) {
  fmt::print("{}: {} = {} after {} step{}, value {:.8g} ({})\n", label, descent.variables == 1 ? "x" : "(x, y)",
             text_of(descent.last()), descent.steps(), descent.steps() == 1 ? "" : "s", descent.value.back(),
             end_text(descent));
}

/// "- 2*(x - 3)"
std::string slope_text(double slope, const char* variable, double at) {
  return fmt::format("{} {:.6g}*({} {} {:.6g})", slope < 0 ? '-' : '+', std::abs(slope), variable, at < 0 ? '+' : '-',
                     std::abs(at));
}

void print_tangent(const Tangent& t) {
  const bool is_line = t.point.size() == 1;
  fmt::print("at {}: value {:.8g}, {} {}, tangent {} = {:.6g} {}{}\n", text_of(t.point), t.value,
             is_line ? "derivative" : "gradient", text_of(t.gradient), is_line ? "line y" : "plane z", t.value,
             slope_text(t.gradient[0], "x", t.point[0]),
             is_line ? "" : " " + slope_text(t.gradient[1], "y", t.point[1]));
  if (t.direction.empty()) return;
  fmt::print("  along {}: directional derivative {:.8g}\n", text_of(t.direction), t.directional_derivative);
}

void print_gallery() {
  for (const NamedFunction& f : gallery()) {
    fmt::print("{:<11} {}\n{:<11} {}\n", f.name, f.expression, "", f.summary);
    for (const auto& [point, value] : f.global) {
      fmt::print("{:<11} {} {:.6g} at {}\n", "", f.maximizes ? "greatest value" : "least value", value, text_of(point));
    }
  }
}

// --- the file -----------------------------------------------------------------------------------------------------

json optimizer_settings(const DescentOptions& options) {
  const auto& numbers = options.optimizer;
  json entry{{"name", numbers.name}, {"rate", options.rate}};
  if (numbers.momentum > 0) entry.update({{"momentum", numbers.momentum}, {"nesterov", numbers.nesterov}});
  if (numbers.name == "adagrad" || numbers.name == "rmsprop" || numbers.name == "adam") entry["delta"] = numbers.delta;
  if (numbers.name == "rmsprop") entry["rho"] = numbers.rho;
  if (numbers.name == "adam") entry["betas"] = numbers.betas;
  return entry;
}

/// What decided the descents: nothing where there are none.
void add_descents(json& settings, const DescendWords& words, const Task& task) {
  if (task.starts.empty()) return;
  const auto& o = words.options;
  json optimizers = json::array();
  for (const DescentOptions& options : task.optimizers) optimizers.push_back(optimizer_settings(options));
  settings.update({{"from", task.starts},
                   {"optimizers", optimizers},
                   {"steps", o.steps},
                   {"ascend", o.ascend},
                   {"tolerance", o.tolerance}});
  if (o.noise.deviation == 0) return;
  settings.update({{"noise", o.noise.deviation},
                   {"terms", o.noise.terms},
                   {"batch_size", o.noise.batch_size},
                   {"seed", o.noise.seed}});
}

json settings_of(const DescendWords& words, const Task& task, const DescentRecord& record) {
  json global = json::array();
  if (task.known) {
    for (const auto& [point, value] : task.known->global) global.push_back({{"point", point}, {"value", value}});
  }
  json settings{{"function", task.known ? task.known->name : ""},
                {"expression", task.text},
                {"variables", task.variables == 1 ? json{"x"} : json{"x", "y"}},
                {"x", {record.x.front(), record.x.back()}},
                {"at", task.at},
                {"direction", task.direction.empty() ? json(nullptr) : json(task.direction)},
                {"global", global}};
  if (task.variables == 2) settings["y"] = {record.y.front(), record.y.back()};
  add_descents(settings, words, task);
  return settings;
}

int run(const DescendWords& words, const std::string& command_line) {
  if (words.list) {
    print_gallery();
    return kDone;
  }
  const Task task = task_of(words);
  DescentRecord record;
  for (const DescentOptions& options : task.optimizers) {
    for (const Point& start : task.starts) {
      record.descents.push_back(descend(*task.function, start, options));
      record.labels.push_back(label_of(options, start, task.starts.size() > 1));
    }
  }
  for (const Point& point : task.at) record.tangents.push_back(tangent_at(*task.function, point, task.direction));
  const std::size_t points = words.points > 0 ? words.points : task.variables == 1 ? 501 : 101;
  record.x = coordinates_of("--x", words.x, range_of(task, record, 0), points);
  if (task.variables == 2) record.y = coordinates_of("--y", words.y, range_of(task, record, 1), points);
  tabulate(*task.function, record);
  record.settings = settings_of(words, task, record);
  record.provenance = {{"command", command_line}, {"version", version()}, {"started", utc_now()}};
  if (words.out.has_parent_path()) make_folder(words.out.parent_path());
  write_descents(words.out, record);
  for (std::size_t i = 0; i < record.descents.size(); ++i) print_descent(record.descents[i], record.labels[i]);
  for (const Tangent& tangent : record.tangents) print_tangent(tangent);
  fmt::print("{}\n", words.out.string());
  return kDone;
}

}  // namespace

void add_descend(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("descend", "Let optimizers run on a function of one or two variables");
  const auto words = std::make_shared<DescendWords>();
  add_options(*command, *words);
  command->callback([words, &context] { context.status = run(*words, context.command_line); });
}

}  // namespace lossatlas
