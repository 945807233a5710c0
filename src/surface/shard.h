#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "surface/surface.h"

namespace lossatlas {

/// One of `count` parts of a surface, each of which a process computes into a file of its own: of the order that a
/// sweep of the whole surface has, in blocks, each count-th block from number `number` on.
struct Shard {
  std::size_t number = 1;  // 1 to count
  std::size_t count = 1;

  bool operator==(const Shard&) const = default;
};

/// A file that names more is not one of ours.
inline constexpr std::size_t kMostShards = 100'000;

/// "3/16", as files store it.
std::string text_of(const Shard& shard);

/// The opposite; nothing for what is no such text, and for a number that is not 1 to count.
std::optional<Shard> shard_from(std::string_view text);

/// The one that a surface with these settings is; nothing if it is the whole.
std::optional<Shard> shard_of(const nlohmann::json& settings);

/// S-03-of-16.h5 of S.h5: the number has as many digits as the count.
std::filesystem::path shard_file(const std::filesystem::path& whole, const Shard& shard);

/// Points in a block: a 1024th of the surface's, but at least 1 and at most 8. So the numbers of points of two of n
/// shards differ by n/1024 of their size at most, once a surface has 1024 points.
std::size_t block_of_shards(std::size_t points);

/// All points in the order of a sweep (sweep_order, landscape/sweep.h).
std::vector<std::size_t> order_of_shards(const Surface& surface);

/// The number of the shard that computes the point at this place of that order.
std::size_t shard_at(std::size_t place, std::size_t points, std::size_t count);

/// The points that a surface with a shard in its settings is to hold, in the order of the sweep; empty if it is to hold
/// all. Cost: an order of the whole surface.
std::vector<std::size_t> points_of_shard(const Surface& surface);

/// "12 of 143 points", or of a shard "12 of 36 points of shard 1/4".
std::string points_text(const Surface& surface);

}  // namespace lossatlas
