#include <memory>

#include "base/files.h"
#include "cli/command.h"
#include "cli/run_job.h"
#include "jobs/jobs.h"

namespace lossatlas {

void add_merge(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("merge", "Put the shards of a surface or line together (surface --shard)");
  const auto request = std::make_shared<MergeRequest>();
  command->add_option("files", request->files, "the shards, in any order: S-*-of-16.h5")->required()->type_name("FILE");
  command->option_defaults()->group("Output");
  command->add_option("--out", request->out, "the file to write")->required()->type_name("FILE.h5");
  command->add_flag("--partial", request->partial, "merge what is there, though points are missing");
  command->add_flag("--force", request->force,
                    "replace an existing --out; merge even if engine, instruction set, batch size or LibTorch differ");
  command->callback([request, &context] {
    request->out = real_file(request->out);
    context.status = run_job(prepare(*request, caller_of(context, true)), ProgressStyle::none, "");
  });
}

}  // namespace lossatlas
