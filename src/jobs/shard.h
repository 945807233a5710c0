#pragma once

#include <cstddef>
#include <string_view>

#include "jobs/request.h"

namespace lossatlas {

/// Checks `shard` of a surface or line of so many points, all draws of directions counted, and names the shard's own
/// file in place of `out`. Without a shard nothing is changed. Throws UsageError for what is no shard, for more shards
/// than blocks of points, and for options that shards cannot have.
void take_shard(LandscapeRequest& request, const PlaneRequest& plane, std::size_t points);

/// Throws UsageError if a job that has no shards is asked for one. `job`: "a curve".
void refuse_shard(const LandscapeRequest& request, std::string_view job);

}  // namespace lossatlas
