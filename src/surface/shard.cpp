#include "surface/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "grid/order.h"
#include "surface/settings.h"

namespace lossatlas {
namespace {

std::optional<std::size_t> whole_number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_read = failure == std::errc{} && end == text.data() + text.size();
  return is_read ? std::optional(value) : std::nullopt;
}

}  // namespace

std::string text_of(const Shard& shard) { return fmt::format("{}/{}", shard.number, shard.count); }

std::optional<Shard> shard_from(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto number = whole_number(text.substr(0, slash)), count = whole_number(text.substr(slash + 1));
  if (!number || !count || *number < 1 || *number > *count || *count > kMostShards) return std::nullopt;
  return Shard{*number, *count};
}

std::optional<Shard> shard_of(const nlohmann::json& settings) {
  const nlohmann::json text = stored(settings, key_of(&Settings::shard));
  return text.is_string() ? shard_from(text.get<std::string>()) : std::nullopt;
}

std::filesystem::path shard_file(const std::filesystem::path& whole, const Shard& shard) {
  const std::string count = std::to_string(shard.count);
  const std::string name = fmt::format("{}-{:0{}}-of-{}{}", whole.stem().string(), shard.number, count.size(), count,
                                       whole.extension().string());
  return whole.parent_path() / name;
}

std::size_t block_of_shards(std::size_t points) { return std::clamp<std::size_t>(points / 1024, 1, 8); }

std::size_t shard_at(std::size_t place, std::size_t points, std::size_t count) {
  return place / block_of_shards(points) % count + 1;
}

std::vector<std::size_t> order_of_shards(const Surface& surface) {
  return coarse_to_fine(surface.grid, surface.grid.centre(), surface.members());
}

std::vector<std::size_t> points_of_shard(const Surface& surface) {
  const auto shard = shard_of(surface.settings);
  if (!shard) return {};
  const auto order = order_of_shards(surface);
  std::vector<std::size_t> points;
  for (std::size_t place = 0; place < order.size(); ++place) {
    if (shard_at(place, order.size(), shard->count) == shard->number) points.push_back(order[place]);
  }
  return points;
}

std::string points_text(const Surface& surface) {
  const auto shard = shard_of(surface.settings);
  if (!shard) return fmt::format("{} of {} points", surface.evaluated(), surface.size());
  const auto points = points_of_shard(surface);
  const auto is_there = [&](std::size_t point) { return surface.state[point] == PointState::evaluated; };
  return fmt::format("{} of {} points of shard {}", std::count_if(points.begin(), points.end(), is_there),
                     points.size(), text_of(*shard));
}

}  // namespace lossatlas
