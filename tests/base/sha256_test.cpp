#include "base/sha256.h"

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "catch.h"

TEST_CASE("SHA-256 of a text is that of its bytes") {
  CHECK(lossatlas::sha256_of_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("SHA-256 gives the known answer of FIPS 180-4") {
  const auto file = std::filesystem::temp_directory_path() / "lossatlas-sha256-test";
  std::ofstream(file) << "abc";
  CHECK(lossatlas::sha256_of_file(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  std::filesystem::remove(file);
  CHECK_THROWS_AS(lossatlas::sha256_of_file(file), lossatlas::Error);
}
