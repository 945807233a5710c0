#pragma once

#include <filesystem>

#include "cli/command.h"
#include "cli/report.h"
#include "jobs/jobs.h"

namespace lossatlas {

/// The program and its command line. `resumes`: it continues an earlier run already.
Caller caller_of(const CommandContext& context, bool resumes);

/// Carries the job out and prints what happens, then the files that it wrote. The exit status. The error that ends it
/// is added to the log too.
int run_job(const Job& job, ProgressStyle style, const std::filesystem::path& log);

}  // namespace lossatlas
