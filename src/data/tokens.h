#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/data_set.h"

namespace lossatlas {

/// Token ids: nanoGPT's files, which hold uint16 and nothing else, and llm.c's, which have a header that says whether
/// they hold uint16 or uint32. `rest` is FILE or FILE:T, or the same of a folder that holds train.bin and val.bin; a
/// single file is training data. Sample i of a split with ids t is the block t[iT] … t[iT + T - 1], its target the
/// block t[iT + 1] … t[iT + T]: [N, T] both, of the file's type, mapped from it; N = (ids - 1) / T.
/// Throws UsageError without a block length, Error naming the file if it is missing, damaged, or shorter than a block.
ArrayData load_tokens(const std::string& rest, Split split, const TokenOptions& options);

/// The folder has a val.bin.
bool has_test_tokens(const std::string& rest);

std::vector<std::filesystem::path> token_files(const std::string& rest);

}  // namespace lossatlas
