#include "surface/merge.h"

#include "base/error.h"
#include "base/lock.h"
#include "jobs/jobs.h"
#include "jobs/outputs.h"
#include "jobs/summary_text.h"
#include "jobs/surface_run.h"
#include "surface/journal.h"
#include "surface/surface_file.h"

namespace lossatlas {
namespace {

Outcome run(const MergeRequest& request, const Caller& caller, Observer& observer) {
  auto [surface, notes] = merge_shards(request.files, {request.partial, request.force});
  for (const std::string& note : notes) observer.on_note(note);
  surface.provenance.update({{"command", caller.command}, {"version", caller.version}, {"started", utc_now()}});
  check_writable(request.out);
  {
    const FileLock lock(lock_of(request.out));
    write_surface(request.out, surface);
    std::error_code ignored;
    std::filesystem::remove(journal_of(request.out), ignored);  // of the file that was replaced
  }
  report_values(surface, observer);
  observer.on_note(fmt::format("{} of {} points from {} file{}", surface.evaluated(), surface.size(),
                               request.files.size(), request.files.size() == 1 ? "" : "s"));
  return {.files = {request.out},
          .finished = true,
          .points = surface.size(),
          .evaluated = surface.evaluated(),
          .centre_check = surface.centre_check};
}

}  // namespace

Job prepare(MergeRequest request, Caller caller) {
  if (request.files.empty()) throw UsageError("a merge requires the shards of a surface or line");
  check_apart({{"`out`", request.out, true}}, request.files);
  check_output("`out`", request.out, request.force);
  if (const auto journal = journal_of(request.out); !request.force && std::filesystem::exists(journal)) {
    throw Error("{}: exists, with points of {}; choose another `out`, or replace both with `force`", journal.string(),
                request.out.string());
  }
  check_beside(request.out);
  return [request = std::move(request), caller = std::move(caller)](Observer& observer) {
    return run(request, caller, observer);
  };
}

}  // namespace lossatlas
