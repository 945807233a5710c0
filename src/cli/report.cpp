#include "cli/report.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/fields.h"
#include "cli/message.h"
#include "curvature/curvature_progress.h"
#include "landscape/sweep_progress.h"
#include "training/training_progress.h"

namespace lossatlas {
namespace {

constexpr double kJsonSeconds = 0.5;
constexpr double kLogSeconds = 60;

std::string progress_text(const SweepProgress& now) {
  if (now.images_total > 0) {
    const bool is_beyond = now.images >= now.images_total;
    const std::string total = is_beyond ? "" : fmt::format(" of about {}", now.images_total);
    const std::string left = is_beyond ? "more than expected" : duration_text(now.seconds_left()) + " left";
    const std::string error = now.error ? fmt::format("  error {:.2g} %", 100 * *now.error) : "";
    return fmt::format("{}{} {} evaluations  {:.0f} {}s/s  {}{}  losses {:.4g} to {:.4g}", now.images, total,
                       now.sample, now.images_per_second, now.sample, left, error, now.lowest, now.highest);
  }
  return fmt::format("{}/{} points  {:.0f} {}s/s  {} left  losses {:.4g} to {:.4g}", now.done, now.total,
                     now.images_per_second, now.sample, duration_text(now.seconds_left()), now.lowest, now.highest);
}

nlohmann::json number(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr); }

nlohmann::ordered_json json_of(const SweepProgress& now, const std::filesystem::path& file) {
  nlohmann::ordered_json object{{"done", now.done},
                                {"total", now.total},
                                {"images_per_second", number(now.images_per_second)},
                                {"seconds_left", number(now.seconds_left())},
                                {"lowest", number(now.lowest)},
                                {"highest", number(now.highest)},
                                {"file", file.string()}};
  if (now.images_total > 0) {
    object.update(
        {{"images", now.images}, {"images_total", now.images_total}, {"error", number(now.error.value_or(NAN))}});
  }
  return object;
}

nlohmann::ordered_json json_of(const TrainingProgress& now) {
  return {{"epoch", now.epoch},
          {"epochs", now.epochs},
          {"step", now.step},
          {"steps", now.steps},
          {"loss", number(now.loss)},
          {"accuracy", number(now.accuracy)},
          {"images_per_second", number(now.images_per_second)},
          {"seconds_left", number(now.seconds_left)}};
}

std::string progress_text(const TrainingProgress& now) {
  const std::string accuracy = std::isnan(now.accuracy) ? "" : fmt::format("  accuracy {:.1f} %", now.accuracy);
  return fmt::format("epoch {}/{}  step {}/{}  loss {:.4f}{}  {:.0f} {}s/s  {} left", now.epoch, now.epochs, now.step,
                     now.steps, now.loss, accuracy, now.images_per_second, now.sample, duration_text(now.seconds_left));
}

std::string progress_text(const CurvatureProgress& now) {
  const std::string speed = fmt::format("{:.0f} {}s/s", now.images_per_second, now.sample);
  if (now.planned > 0) return fmt::format("{}  {:.1f}/{} products  {}", now.stage, now.done, now.planned, speed);
  const std::string largest = std::isnan(now.largest) ? "" : fmt::format("  largest {:.6g}", now.largest);
  return fmt::format("{}  {:.1f} products  {} of {} converged{}  {}", now.stage, now.done, now.converged, now.wanted,
                     largest, speed);
}

nlohmann::ordered_json json_of(const CurvatureProgress& now) {
  nlohmann::ordered_json object{{"stage", now.stage}, {"products", now.done}};
  if (now.planned > 0) {
    object["planned"] = now.planned;
  } else {
    object.update({{"converged", now.converged}, {"wanted", now.wanted}, {"largest", number(now.largest)}});
  }
  object["images_per_second"] = number(now.images_per_second);
  return object;
}

}  // namespace

ProgressStyle progress_style_of(const std::string& name) {
  if (name == "line") return ProgressStyle::line;
  if (name == "json") return ProgressStyle::json;
  if (name == "none") return ProgressStyle::none;
  throw UsageError("--progress {}: requires line, json or none", name);
}

namespace {

/// True for a file that standard output or standard error goes to already, as /dev/stderr does.
bool is_standard_stream(const struct stat& file) {
  const auto is = [&](int descriptor) {
    struct stat stream {};
    return ::fstat(descriptor, &stream) == 0 && stream.st_dev == file.st_dev && stream.st_ino == file.st_ino;
  };
  return is(STDOUT_FILENO) || is(STDERR_FILENO);
}

/// True if the first line begins with a time as note() writes it.
bool is_log(const std::filesystem::path& file) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:ddZ ";
  std::string begin(kForm.size(), '\0');
  std::ifstream(file, std::ios::binary).read(begin.data(), static_cast<std::streamsize>(begin.size()));
  return std::equal(begin.begin(), begin.end(), kForm.begin(),
                    [](char c, char form) { return form == 'd' ? c >= '0' && c <= '9' : c == form; });
}

/// What is added to: a new or empty file, an earlier log, a terminal, /dev/null, a pipe. Never another file.
AppendFile open_log(const std::filesystem::path& file) {
  struct stat now {};
  const bool is_there = ::stat(file.c_str(), &now) == 0;
  if (is_there && S_ISREG(now.st_mode) && now.st_size > 0 && !is_standard_stream(now) && !is_log(file)) {
    throw Error(
        "--log {}: exists, and is not a log (its first line does not begin with a time as in {}); choose another name",
        file.string(), utc_now());
  }
  if (is_there && !S_ISREG(now.st_mode) && !S_ISCHR(now.st_mode) && !S_ISFIFO(now.st_mode)) {
    throw Error("--log {}: {}, not a file", file.string(), kind_of(file));
  }
  make_folder_of(file);
  return AppendFile(file);
}

}  // namespace

Report::Report(ProgressStyle style, const std::filesystem::path& log) : style_(style) {
  if (!log.empty()) log_.emplace(open_log(log));
}

void Report::on_note(const std::string& message) {
  const std::string text = with_options(message);
  line_.clear();
  print_message(text);
  note(text);
}

void Report::note(const std::string& text) {
  if (!log_) return;
  try {
    log_->append(fmt::format("{} {}\n", utc_now(), printable(text)));
  } catch (const Error& error) {  // a sweep does not end because its log does
    log_.reset();
    on_note(fmt::format("warning: {}; continuing without a log", error.what()));
  }
}

void Report::on_progress(const SweepProgress& now, const std::filesystem::path& file) {
  show(progress_text(now), json_of(now, file));
}

void Report::on_progress(const TrainingProgress& now) { show(progress_text(now), json_of(now)); }

void Report::on_progress(const CurvatureProgress& now) { show(progress_text(now), json_of(now)); }

void Report::on_progress(const DataProgress& now) {
  const double rate = static_cast<double>(now.done) / std::max(now.seconds, 1e-3);
  const double left = static_cast<double>(now.all - now.done) / std::max(rate, 1e-3);
  show(fmt::format("decoding  {}/{} images  {:.0f} images/s  {} left", now.done, now.all, rate, duration_text(left)),
       {{"decoded", now.done}, {"images", now.all}, {"images_per_second", rate}, {"seconds_left", left}});
}

void Report::show(const std::string& text, const nlohmann::ordered_json& object) {
  if (style_ == ProgressStyle::line) line_.update(text);
  if (style_ == ProgressStyle::json) print_json(object);
  if (logged_.seconds() < kLogSeconds) return;
  note(text);
  logged_.restart();
}

void Report::print_json(const nlohmann::ordered_json& object) {
  if (printed_ && printed_->seconds() < kJsonSeconds) {
    held_back_ = object;
    return;
  }
  print_message(json_text(object));
  printed_.emplace();
  held_back_.reset();
}

void Report::on_progress_end() {
  line_.clear();
  if (!held_back_) return;
  printed_.reset();
  print_json(nlohmann::ordered_json(*held_back_));
}

}  // namespace lossatlas
