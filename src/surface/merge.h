#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "surface/surface.h"

namespace lossatlas {

struct MergeOptions {
  bool partial = false;  // though points are missing
  bool force = false;    // though engine, instruction set, batch size or LibTorch differ
};

struct Merged {
  Surface surface;  // without a shard in its settings; its provenance holds that of each shard, as `merged_from`
  std::vector<std::string> notes = {};  // for people: on damaged journals, missing shards, other arithmetic
};

/// Puts the shards (shard.h) of one surface or line together, in any order. The points of their journals count too;
/// the files are left as they are. One shard is in memory at a time. Throws Error naming the file that is not a shard,
/// is one of another surface or of another number of shards, comes twice, or holds other values at a point than an
/// earlier one, and naming the shards that are missing or not finished.
Merged merge_shards(const std::vector<std::filesystem::path>& files, const MergeOptions& options);

}  // namespace lossatlas
