#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "cli/command.h"
#include "cli/landscape_words.h"
#include "cli/report.h"
#include "jobs/broadcast.h"
#include "jobs/jobs.h"

namespace lossatlas {

/// The program and its command line. `resumes`: it continues an earlier run already. `shard`: named in the command that
/// continues in place of SLURM's.
Caller caller_of(const CommandContext& context, bool resumes, const std::string& shard = "");

/// Carries the job out and prints what happens, then the files that it wrote. The exit status. The error that ends it
/// is added to the log too.
int run_job(const Job& job, ProgressStyle style, const std::filesystem::path& log);

/// Carries out a job of a landscape: with the other ranks where a launcher started several, until context.at_end.
/// `names`: the request's other inputs. `prepare_job`: checks the request, as it is for this rank.
int run_landscape_job(LandscapeRequest& request, const InputNames& names,
                      const std::function<Job(const Caller&)>& prepare_job, ProgressStyle style, const RankWords& words,
                      CommandContext& context);

/// When the subcommand is parsed, runs what its words ask for: request_of(*words) is a request with a `landscape`.
template <class Words, class RequestOf>
void run_when_called(CLI::App& command, std::shared_ptr<Words> words, RequestOf request_of, CommandContext& context) {
  command.callback([words, request_of, &context] {
    const auto style = progress_style_of(words->progress);
    auto request = request_of(*words);
    const auto prepare_job = [&](const Caller& caller) { return prepare(request, caller); };
    context.status =
        run_landscape_job(request.landscape, input_names(request), prepare_job, style, words->ranks, context);
  });
}

}  // namespace lossatlas
