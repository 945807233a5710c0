#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "data/data_set.h"

namespace lossatlas {

/// SHA-256 of what was read: for each image, in order, its label (one byte) and its pixels [C, H, W]
/// as they lie in memory. Of bytes these are records
/// of CIFAR-10's binary files, so that of a whole split is what `cat data_batch_?.bin | sha256sum` prints.
std::string digest_of(const DataSet& data);

/// True for the entries of a file's settings that hold such digests: samples_sha256, test_samples_sha256,
/// bn_images_sha256, train_images_sha256, test_images_sha256.
bool is_data_digest(const std::string& key);

/// True if `before` lacks a digest that `now` holds: older versions stored none.
bool lacks_data_digest(const nlohmann::json& now, const nlohmann::json& before);

/// The line for a file, or run folder, that lacks one.
std::string no_digest_text(const std::filesystem::path& file);

/// The digests among the settings.
nlohmann::json data_digests_of(const nlohmann::json& settings);

/// In words, how the data of one file's settings differ from another's: by their digests, whatever their path; by their
/// path where one lacks digests. Nothing if they are the same. A digest of another number of --bn-images says
/// nothing.
std::optional<std::string> data_difference(const nlohmann::json& now, const nlohmann::json& before);

}  // namespace lossatlas
