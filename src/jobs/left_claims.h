#pragma once

#include <filesystem>

namespace lossatlas {

/// S.h5.claims: where processes of earlier versions shared the points of S.h5. Nothing writes it any more; what a sweep
/// of then left behind is removed.
std::filesystem::path claims_of(const std::filesystem::path& surface);

/// Throws Error if that is no folder, or one with files that those versions did not write: it belongs to somebody else.
void check_claims(const std::filesystem::path& folder);

/// Removes what those versions put there, and the folder if nothing else is in it.
void remove_claims(const std::filesystem::path& folder);

}  // namespace lossatlas
