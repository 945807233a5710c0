#include "data/picture.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/crc32.h"
#include "base/error.h"
#include "catch.h"
#include "data/resample.h"

using namespace lossatlas;
using nlohmann::json;

namespace {

std::vector<std::byte> bytes_of(const std::string& name) {
  std::ifstream in(std::filesystem::path(LOSSATLAS_TEST_FILES) / "pictures" / name, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::uint8_t> from_hex(const std::string& text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

void read_all(std::span<const std::byte> bytes) {
  const auto picture = open_picture(bytes);
  for (std::int64_t y = 0; y < picture->height(); ++y) picture->next_row();
}

std::string reason(std::span<const std::byte> bytes) {
  try {
    read_all(bytes);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

/// The PNG file with other bytes in its head, and the checksum of that.
std::vector<std::byte> with_width(std::vector<std::byte> png, std::uint32_t width) {
  for (std::size_t i = 0; i < 4; ++i) png[16 + i] = static_cast<std::byte>(width >> (24 - 8 * i));
  const auto check = crc32(std::span(png).subspan(12, 17));
  for (std::size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<std::byte>(check >> (24 - 8 * i));
  return png;
}

}  // namespace

TEST_CASE("pictures of all kinds have the pixels of Pillow and of torchvision's transforms") {
  std::ifstream in(std::filesystem::path(LOSSATLAS_TEST_FILES) / "pictures" / "expected.json");
  for (const json& expected : json::parse(in)) {
    const std::string name = expected.at("picture");
    CAPTURE(name, expected.at("resize").dump(), expected.at("crop").dump(), expected.at("interpolation").dump());
    ImageOptions options;
    expected.at("resize").get_to(options.resize);
    expected.at("crop").get_to(options.crop);
    expected.at("interpolation").get_to(options.interpolation);
    const auto bytes = bytes_of(name);
    const auto picture = open_picture(bytes);
    const Cropping cropping = cropping_of(picture->width(), picture->height(), options);
    CHECK(std::vector<std::int64_t>{3, cropping.y.size, cropping.x.size} == expected.at("shape"));
    const auto wanted = from_hex(expected.at("pixels"));
    std::vector<std::uint8_t> found(wanted.size(), 77);
    resample(*picture, cropping, interpolation_of(options.interpolation), found);
    int most = 0;
    for (std::size_t i = 0; i < found.size(); ++i) most = std::max(most, std::abs(found[i] - wanted[i]));
    CHECK(most <= (name.ends_with(".jpg") ? 1 : 0));  // libjpeg's versions may differ
  }
}

TEST_CASE("a picture that is cut off anywhere is refused") {
  for (const char* name : {"rgb.png", "interlaced.png", "halved.jpg", "progressive.jpg"}) {
    const auto bytes = bytes_of(name);
    CHECK(reason(bytes) == "");
    for (const double part : {0.1, 0.5, 0.9, 0.99}) {
      CAPTURE(name, part);
      const auto cut = std::span(bytes).first(static_cast<std::size_t>(part * static_cast<double>(bytes.size())));
      CHECK(reason(cut) != "");
    }
  }
  const auto bytes = bytes_of("halved.jpg");
  CHECK(reason(std::span(bytes).first(bytes.size() / 2)) == "is cut off");
  CHECK(reason({}) == "is empty");
  CHECK(reason(std::as_bytes(std::span("GIF89a"))) == "is neither JPEG nor PNG");
}

TEST_CASE("damage is found, and costs no memory") {
  auto png = bytes_of("rgb.png");
  png[png.size() / 2] ^= std::byte{1};
  CHECK(reason(png) != "");
  const auto huge = with_width(bytes_of("rgb.png"), 999'999'999);
  CHECK(reason(huge) != "");
  const auto wide = with_width(bytes_of("rgb.png"), 1'000'000);
  CHECK_THROWS_WITH(open_picture(wide, 1'000'000), ContainsSubstring("1000000x19 pixels"));
  CHECK_THROWS_WITH(open_picture(bytes_of("full.jpg"), 25 * 19 - 1), ContainsSubstring("25x19 pixels"));
  ImageOptions options;
  options.resize = {2000};
  CHECK_THROWS_WITH(cropping_of(1, 100'000, options), ContainsSubstring("2000x200000000 pixels"));
}
