#include "base/files.h"

#include "base/error.h"
#include "catch.h"
#include "temporary_folder.h"

using namespace lossatlas;

TEST_CASE("a new file is made once, with its content") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "claim";
  CHECK(make_new_file(file, "first") == NewFile::made);
  CHECK(make_new_file(file, "second") == NewFile::exists);
  CHECK(content_of(file) == "first");
}

TEST_CASE("a new file says if its folder is missing, and throws for other reasons") {
  const TemporaryFolder folder;
  CHECK(make_new_file(folder.path() / "none" / "claim", "") == NewFile::no_folder);
  REQUIRE(make_new_file(folder.path() / "file", "") == NewFile::made);
  CHECK_THROWS_AS(make_new_file(folder.path() / "file" / "claim", ""), Error);
  CHECK(!content_of(folder.path() / "none"));
}
