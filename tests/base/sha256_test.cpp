#include "base/sha256.h"

#include <span>

#include "catch.h"

TEST_CASE("SHA-256 gives the known answer of FIPS 180-4, of a text and of its parts") {
  const std::string expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(lossatlas::sha256_of_text("abc") == expected);
  lossatlas::Sha256 digest;
  digest.add(std::as_bytes(std::span("ab", 2)));
  digest.add(std::as_bytes(std::span("c", 1)));
  CHECK(digest.finish() == expected);
}
