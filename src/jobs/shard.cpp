#include "jobs/shard.h"

#include "base/error.h"
#include "base/files.h"
#include "surface/shard.h"

namespace lossatlas {

void take_shard(LandscapeRequest& request, const PlaneRequest& plane, std::size_t points) {
  if (request.shard.empty()) return;
  const auto shard = shard_from(request.shard);
  if (!shard) {
    throw UsageError("`shard` {}: requires N/COUNT with N from 1 to COUNT, as in 3/16", request.shard);
  }
  const std::size_t block = block_of_shards(points), blocks = (points + block - 1) / block;
  if (shard->count > blocks) {
    throw UsageError("`shard` {}: {} points make {} blocks, so there are at most {} shards", request.shard, points,
                     blocks, blocks);
  }
  if (!plane.save_directions.empty()) {
    throw UsageError(
        "`shard`: cannot be used with `save_directions`, which all shards would write; save them with a grid of one "
        "point");
  }
  request.shard = text_of(*shard);
  if (request.out.has_filename()) request.out = real_file(shard_file(request.out, *shard));
}

void refuse_shard(const LandscapeRequest& request, std::string_view job) {
  if (!request.shard.empty()) {
    throw UsageError("`shard`: {} is computed in one run; surfaces and lines have shards", job);
  }
}

}  // namespace lossatlas
