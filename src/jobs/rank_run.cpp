#include "jobs/rank_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/instruction_set.h"
#include "base/json.h"
#include "base/process.h"
#include "base/sha256.h"
#include "evaluation/device.h"
#include "jobs/axis_run.h"
#include "jobs/eigen_map_run.h"
#include "jobs/jobs.h"
#include "jobs/level_run.h"
#include "landscape/path_sweep.h"
#include "landscape/sweep.h"
#include "surface/resume.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr auto kOver = "over";  // a request: rank 0 has finished the surface, or was interrupted

std::vector<std::string> available_sets() {
  std::vector<std::string> names;
  for (const InstructionSet set : kInstructionSets) {
    if (is_available(set)) names.emplace_back(name_of(set));
  }
  return names;
}

bool holds(const json& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](const json& each) { return each == name; });
}

/// The best set that all have.
std::string best_of_all(const std::vector<json>& sets) {
  InstructionSet best = InstructionSet::portable;
  for (const InstructionSet set : kInstructionSets) {  // they ascend
    const auto has = [&](const json& names) { return holds(names, name_of(set)); };
    if (std::all_of(sets.begin(), sets.end(), has)) best = set;
  }
  return std::string(name_of(best));
}

void refuse_lacking(const std::string& set, const std::vector<json>& sets, const Ranks& ranks) {
  for (std::size_t r = 0; r < sets.size(); ++r) {
    if (holds(sets[r], set) || !holds(sets[0], set)) continue;  // if rank 0 lacks it too, it says so itself
    throw Error("`instruction_set` {}: {} does not have it; its best is {}", set, ranks.name(static_cast<int>(r)),
                sets[r].back().get<std::string>());
  }
}

std::string sha256_of(const Plane& plane) {
  Sha256 digest;
  const auto add = [&](const at::Tensor& tensor) {
    const at::Tensor bytes = tensor.to(at::kCPU).contiguous();
    digest.add(std::as_bytes(std::span(static_cast<const char*>(bytes.data_ptr()), bytes.nbytes())));
  };
  for (const auto& part : {plane.origin.parameters, plane.origin.buffers}) {
    for (const NamedTensor& named : part) add(named.tensor);
  }
  for (const Direction& direction : plane.directions) {
    for (const auto& part : {direction.parameters, direction.buffers}) {
      for (const NamedTensor& named : part) add(named.tensor);
    }
  }
  return digest.finish();
}

/// Nothing if both do the same.
std::optional<std::string> disagreement(const json& here, const json& there) {
  if (const auto other = difference(there.at("settings"), here.at("settings"))) {
    if (other->now.empty()) return other->text;
    return fmt::format("its {} is {}, that of rank 0 {}", other->key, other->now, other->before);
  }
  const auto axes = [](const json& of) { return of.at("settings").value("axes", json()); };
  if (axes(here) != axes(there)) {
    return fmt::format("its grid is {}, that of rank 0 {}", json_text(axes(there)), json_text(axes(here)));
  }
  if (here.at("directions") != there.at("directions")) return "its origin or directions have other numbers";
  return std::nullopt;
}

}  // namespace

std::string settle_ranks(LandscapeRequest& request, Ranks& ranks) {
  if (request.device == "cuda") request.device = cuda_device_of(ranks.local_rank());
  const auto texts = ranks.gather(json_text(json(available_sets())));
  std::string answer;
  if (ranks.is_first()) {
    std::vector<json> sets;
    for (const std::string& text : texts) sets.push_back(json::parse(text));
    if (request.instruction_set != "auto") refuse_lacking(request.instruction_set, sets, ranks);
    answer = best_of_all(sets);
  }
  answer = ranks.broadcast(answer);
  const std::string who = fmt::format("{} ranks with {} threads in all", ranks.size(), ranks.threads());
  if (request.device != "cpu" || request.instruction_set != "auto") return who;
  request.instruction_set = answer;
  return fmt::format("{}; instruction set {}, the best that all of them have", who, answer);
}

json compare_ranks(Ranks& ranks, const json& settings, const Plane& plane, int threads, at::Device device) {
  const std::string name = device.is_cuda() ? fmt::format("cuda:{}", device.index()) : std::string("cpu");
  const json own{{"settings", settings},
                 {"directions", sha256_of(plane)},
                 {"rank", {{"host", this_process().host}, {"threads", threads}, {"device", name}}}};
  const auto texts = ranks.gather(json_text(own));
  json all = json::array();
  for (std::size_t r = 0; r < texts.size(); ++r) {
    const json other = json::parse(texts[r]);
    if (const auto what = disagreement(own, other)) {
      throw Error("{} disagrees with rank 0: {}", ranks.name(static_cast<int>(r)), *what);
    }
    all.push_back(other.at("rank"));
  }
  return all;
}

void compare_ranks(SurfaceJob& job) {
  json all = compare_ranks(*job.ranks, job.surface.settings, *job.planes.at(0), job.threads, job.engine.device());
  if (job.ranks->is_first()) job.surface.provenance["ranks"] = std::move(all);
}

Outcome serve_surface(SurfaceJob& job, Observer& observer) {
  const std::vector<std::int64_t> order_of_engine = job.surface.samples[0].indices;
  Engine engine = job.engine;
  while (true) {
    const std::string text = job.ranks->next_request(observer.should_stop());
    if (text == kPathsRequest) {
      serve(job.paths(), *job.ranks);
      continue;
    }
    const json request = json::parse(text);
    if (request.at("what") == kOver) return {.finished = request.at("finished")};
    if (request.contains("order")) {
      job.surface.samples[0].indices = request.at("order").get<std::vector<std::int64_t>>();
      engine = engine_in_order(job, order_of_engine);
    }
    if (request.at("what") == kAxesRequest) {
      serve_axis_curvatures(job, engine, request.at("samples"));
      continue;
    }
    if (request.at("what") == kMapsRequest) {
      serve_eigen_maps(job, observer);
      continue;
    }
    serve(surface_work(job.planes, engine, job.surface, job.threads), *job.ranks);
  }
}

void end_surface(Ranks& ranks, bool finished) {
  ranks.begin(json_text(json{{"what", kOver}, {"finished", finished}}), {}, 1, {});
  ranks.end();
}

}  // namespace lossatlas
