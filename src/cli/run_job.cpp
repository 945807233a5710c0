#include "cli/run_job.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cli/fields.h"
#include "cli/version.h"

namespace lossatlas {

Caller caller_of(const CommandContext& context, bool resumes, const std::string& shard) {
  auto again = context.words;
  for (std::size_t i = 1; i < again.size(); ++i) {
    if (again[i - 1] == "--shard") again[i] = shard;
    if (again[i].starts_with("--shard=")) again[i] = "--shard=" + shard;
  }
  if (!resumes) again.push_back("--resume");
  return {context.command_line, std::string(version()), shell_line(again)};
}

int run_job(const Job& job, ProgressStyle style, const std::filesystem::path& log) {
  Report report(style, log);
  try {
    const Outcome outcome = job(report);
    for (const auto& file : outcome.files) fmt::print("{}\n", file.string());
    return outcome.finished ? kDone : kInterrupted;
  } catch (const std::exception& error) {
    const std::string text = error.what();
    report.note("lossatlas: " + with_options(text.substr(0, text.find('\n'))));
    throw;
  }
}

}  // namespace lossatlas
