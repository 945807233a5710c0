#include "cli/run_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/fields.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/version.h"
#include "mpi/job_ranks.h"

namespace lossatlas {

Caller caller_of(const CommandContext& context, bool resumes, const std::string& shard) {
  auto again = context.words;
  for (std::size_t i = 1; i < again.size(); ++i) {
    if (again[i - 1] == "--shard") again[i] = shard;
    if (again[i].starts_with("--shard=")) again[i] = "--shard=" + shard;
  }
  if (!resumes) again.push_back("--resume");
  std::string line = shell_line(again);
  if (context.launch.is_shared()) line = fmt::format("{} -n {} {}", context.launch.launcher, context.launch.size, line);
  return {context.command_line, std::string(version()), line};
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

namespace {

/// Of a rank that writes nothing: what happens is rank 0's to say.
class SilentObserver : public Observer {
 public:
  void on_note(const std::string&) override {}
  const std::atomic<bool>& should_stop() const override { return catch_interrupts(); }
};

std::unique_ptr<JobRanks> ranks_of(const LandscapeRequest& request, const RankWords& words, const Launch& launch) {
  constexpr int kCudaThreads = 2;  // as a sweep has them
  RankOptions options;
  options.build = version();
  options.host = this_process().host;
  options.threads = request.device == "cpu" ? request.threads : std::min(request.threads, kCudaThreads);
  options.times.timeout = words.timeout;
  options.times.quiet = std::min(options.times.quiet, words.timeout / 2);
  options.on_interrupt = interrupt;
  return std::make_unique<JobRanks>(make_mpi_transport(launch.size, launch.launcher), options);
}

}  // namespace

int run_landscape_job(LandscapeRequest& request, const InputNames& names,
                      const std::function<Job(const Caller&)>& prepare_job, ProgressStyle style, const RankWords& words,
                      CommandContext& context) {
  Caller caller = caller_of(context, request.resume, request.shard);
  if (!context.launch.is_shared()) return run_job(prepare_job(caller), style, request.log);
  const std::shared_ptr<JobRanks> ranks = ranks_of(request, words, context.launch);
  const auto failure = std::make_shared<std::string>();
  context.at_end = [ranks, failure](int status) { return ranks->finish(status, *failure); };
  caller.ranks = ranks.get();
  FileCopies copies;
  try {
    ranks->meet();
    const std::string note = settle_ranks(request, *ranks);
    if (ranks->is_first()) print_message(note);
    if (request.broadcast && !broadcast_inputs(request, names, copies, *ranks, catch_interrupts())) {
      print_message("interrupted before the inputs had been sent to all ranks; nothing was computed");
      return kInterrupted;
    }
    if (ranks->is_first()) {
      return run_job(prepare_job(caller), style, request.log);
    }
    SilentObserver observer;
    prepare_job(caller)(observer);
  } catch (const JobEnded&) {  // by rank 0
  } catch (const std::exception& error) {
    if (ranks->is_first()) throw;
    *failure = error.what();
  }
  return kDone;  // rank 0 says what it is
}

}  // namespace lossatlas
