#include "data/data_digest.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/sha256.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr auto kOfBatchNorm = "bn_images_sha256";
constexpr std::array kDigests{"samples_sha256", "test_samples_sha256", kOfBatchNorm, "train_images_sha256",
                              "test_images_sha256"};

/// The split that the images of a digest belong to.
std::string split_of(const std::string& digest, const json& settings) {
  if (digest == "samples_sha256") return settings.value("split", "train") == "test" ? "test" : "train";
  if (digest == kOfBatchNorm) return "train (`bn_images`)";
  return digest.starts_with("test") ? "test" : "train";
}

std::string short_text(const json& digest) {
  return digest.is_string() ? digest.get<std::string>().substr(0, 12) : "?";
}

}  // namespace

std::string digest_of(const DataSet& data) {
  Sha256 digest;
  const auto pixels = data.pixels.bytes();
  const std::size_t label_bytes = data.classes <= 256 ? 1 : sizeof(std::int64_t);
  const std::size_t bytes = data.pixels.row_bytes();
  for (std::size_t i = 0; i < data.size(); ++i) {
    digest.add(std::as_bytes(std::span(&data.labels[i], 1)).first(label_bytes));  // the low bytes: little-endian
    digest.add(pixels.subspan(i * bytes, bytes));
  }
  return digest.finish();
}

bool is_data_digest(const std::string& key) {
  return std::find(kDigests.begin(), kDigests.end(), key) != kDigests.end();
}

bool lacks_data_digest(const json& now, const json& before) {
  return std::any_of(kDigests.begin(), kDigests.end(),
                     [&](const char* key) { return now.contains(key) && !before.contains(key); });
}

std::string no_digest_text(const std::filesystem::path& file) {
  return fmt::format(
      "{}: an older version wrote it, without a digest of its data; whether they are the same could not be "
      "checked, and is checked from now on",
      file.string());
}

json data_digests_of(const json& settings) {
  json digests = json::object();
  for (const char* key : kDigests) {
    if (settings.contains(key)) digests[key] = settings.at(key);
  }
  return digests;
}

std::optional<std::string> data_difference(const json& now, const json& before) {
  std::vector<std::string> splits;
  std::string digests;
  bool is_known = false;
  for (const std::string key : kDigests) {
    if (!now.contains(key) || !before.contains(key)) continue;
    is_known = true;
    if (now.at(key) == before.at(key)) continue;
    if (key == kOfBatchNorm && now.value("bn_images", json()) != before.value("bn_images", json())) continue;
    const std::string split = split_of(key, now);
    if (std::find(splits.begin(), splits.end(), split) != splits.end()) continue;
    if (splits.empty())
      digests = fmt::format("SHA-256 was {}…, now {}…", short_text(before.at(key)), short_text(now.at(key)));
    splits.push_back(split);
  }
  const json name = now.value("data", json()), name_before = before.value("data", json());
  const std::string names = fmt::format("data was {}, now {}", json_text(name_before), json_text(name));
  const bool has_other_name = name != name_before;
  if (splits.empty())
    return has_other_name && (!is_known || lacks_data_digest(now, before)) ? std::optional(names) : std::nullopt;
  return fmt::format("{}: other images in the {} split ({})", has_other_name ? names : "data " + json_text(name),
                     fmt::join(splits, " and "), digests);
}

}  // namespace lossatlas
