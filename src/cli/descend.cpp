#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/descend_words.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/version.h"
#include "cli/words.h"
#include "functions/descent_file.h"
#include "functions/drawn_ranges.h"
#include "functions/gallery.h"

namespace lossatlas {
namespace {

using nlohmann::json;
using Point = std::vector<double>;

std::vector<double> coordinates_of(const char* option, const std::optional<Axis>& asked, const Interval& range,
                                   std::size_t points) {
  const Axis axis = asked.value_or(Axis{range.low, range.high, points});
  if (axis.has_distinct_points()) return axis.coordinates();
  throw Error(
      "the range {}:{}, which holds the steps, does not hold {} different finite numbers; choose another with {}",
      axis.low, axis.high, points, option);
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
    case DescentEnd::converged: return "converged";
    case DescentEnd::diverged: return "diverged " + descent.reason;
    case DescentEnd::undefined: return "stopped " + descent.reason;
    case DescentEnd::interrupted: return "interrupted";
    default: return "all steps done";
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
  if (numbers.name == "adagrad" || numbers.name == "rmsprop" || numbers.is_adam()) entry["delta"] = numbers.delta;
  if (numbers.name == "rmsprop") entry["rho"] = numbers.rho;
  if (numbers.is_adam()) entry["betas"] = numbers.betas;
  if (numbers.name == "adamw") entry["weight_decay"] = numbers.weight_decay;
  return entry;
}

/// Nothing of a constant rate.
void add_schedule(json& settings, const RateSchedule& schedule) {
  if (schedule.name != "steps") settings["lr_schedule"] = schedule.name;
  if (!schedule.drops.empty()) settings.update({{"lr_steps", schedule.drops}, {"lr_factor", schedule.drop_factor}});
  if (schedule.warmup > 0) settings["warmup"] = schedule.warmup;
}

/// What decided the descents: nothing if there are none.
void add_descents(json& settings, const DescendWords& words, const DescendTask& task) {
  if (task.starts.empty()) return;
  const auto& o = words.options;
  json optimizers = json::array();
  for (const DescentOptions& options : task.optimizers) optimizers.push_back(optimizer_settings(options));
  settings.update({{"from", task.starts},
                   {"optimizers", optimizers},
                   {"steps", o.steps},
                   {"ascend", o.ascend},
                   {"tolerance", o.tolerance}});
  add_schedule(settings, task.optimizers.front().schedule);
  if (o.noise.deviation == 0) return;
  settings.update({{"noise", o.noise.deviation},
                   {"terms", o.noise.terms},
                   {"batch_size", o.noise.batch_size},
                   {"seed", o.noise.seed}});
}

json settings_of(const DescendWords& words, const DescendTask& task, const DescentRecord& record) {
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
  const DescendTask task = task_of(words);
  const std::atomic<bool>& stop = catch_interrupts();
  DescentRecord record;
  for (const DescentOptions& options : task.optimizers) {
    for (const Point& start : task.starts) {
      record.descents.push_back(descend(*task.function, start, options, &stop));
      record.labels.push_back(label_of(options, start, task.starts.size() > 1));
    }
  }
  for (const Point& point : task.at) record.tangents.push_back(tangent_at(*task.function, point, task.direction));
  std::vector<Point> marked = task.starts;
  marked.insert(marked.end(), task.at.begin(), task.at.end());
  const std::vector<Interval> ranges = drawn_ranges(record.descents, marked, task.known, task.variables);
  record.x = coordinates_of("--x", task.x, ranges[0], task.points);
  if (task.variables == 2) record.y = coordinates_of("--y", task.y, ranges[1], task.points);
  tabulate(*task.function, record);
  record.settings = settings_of(words, task, record);
  record.provenance = {{"command", command_line}, {"version", version()}, {"started", utc_now()}};
  make_folder_of(words.out);
  write_descents(words.out, record);
  for (std::size_t i = 0; i < record.descents.size(); ++i) print_descent(record.descents[i], record.labels[i]);
  for (const Tangent& tangent : record.tangents) print_tangent(tangent);
  fmt::print("{}\n", words.out.string());
  const bool is_whole = std::none_of(record.descents.begin(), record.descents.end(),
                                     [](const Descent& descent) { return descent.end == DescentEnd::interrupted; });
  if (is_whole) return kDone;
  print_message("interrupted; the file holds the steps done until then");
  return kInterrupted;
}

}  // namespace

void add_descend(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("descend", "Let optimizers run on a function of one or two variables");
  const auto words = std::make_shared<DescendWords>();
  add_options(*command, *words);
  command->callback([words, &context] { context.status = run(*words, context.command_line); });
}

}  // namespace lossatlas
