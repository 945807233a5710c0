#include "data/data_digest.h"

#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "catch.h"

using namespace lossatlas;
using nlohmann::json;

namespace {

const json kSettings{{"data", "cifar10:a"}, {"split", "test"},
                     {"samples", 100},      {"samples_sha256", "0123456789abcdef"},
                     {"bn_images", 50},     {"bn_images_sha256", "0123"}};

json with(const char* key, const json& value) {
  json settings = kSettings;
  settings[key] = value;
  return settings;
}

}  // namespace

TEST_CASE("a digest is that of each image's label and pixels in turn") {
  DataSet data;
  data.shape = {1, 1, 2};
  data.labels = {'a', 'd'};
  data.pixels = Array({2, 1, 1, 2}, std::vector<std::uint8_t>{'b', 'c', 'e', 'f'});
  CHECK(digest_of(data) == sha256_of_text("abcdef"));
  data.classes = 257;  // a label is then eight bytes
  CHECK(digest_of(data) == sha256_of_text(std::string("a\0\0\0\0\0\0\0bcd\0\0\0\0\0\0\0ef", 20)));
}

TEST_CASE("data are known by their digests, by their path without any") {
  CHECK_FALSE(data_difference(kSettings, kSettings));
  CHECK_FALSE(data_difference(with("data", "cifar10:b"), kSettings));
  CHECK(data_difference(with("samples_sha256", "fedcba9876543210"), kSettings) ==
        "data \"cifar10:a\": other images in the test split (SHA-256 was 0123456789ab…, now fedcba987654…)");
  json old = kSettings;
  for (const char* key : {"samples_sha256", "bn_images_sha256"}) old.erase(key);
  CHECK(lacks_data_digest(kSettings, old));
  CHECK_FALSE(lacks_data_digest(kSettings, kSettings));
  CHECK_FALSE(data_difference(kSettings, old));
  CHECK(data_difference(with("data", "cifar10:b"), old) == "data was \"cifar10:a\", now \"cifar10:b\"");
}

TEST_CASE("all splits whose images differ are named, those for statistics only where their number is the same") {
  json other = with("bn_images_sha256", "4567");
  CHECK(data_difference(other, kSettings) ==
        "data \"cifar10:a\": other images in the train (`bn_images`) split (SHA-256 was 0123…, now 4567…)");
  other["samples_sha256"] = "89";
  other["data"] = "cifar10:b";
  CHECK(
      data_difference(other, kSettings) ==
      "data was \"cifar10:a\", now \"cifar10:b\": other images in the test and train (`bn_images`) split (SHA-256 was "
      "0123456789ab…, now 89…)");
  CHECK_FALSE(data_difference(kSettings, with("samples_sha256", 5)) == std::nullopt);  // tampered with
  other = with("bn_images_sha256", "4567");
  other["bn_images"] = 40;
  CHECK_FALSE(data_difference(other, kSettings));
}
