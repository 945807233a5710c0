#include "base/append_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/crc32.h"
#include "base/error.h"
#include "base/files.h"
#include "catch.h"
#include "temporary_folder.h"

using namespace lossatlas;

TEST_CASE("CRC-32 gives the known answer") {
  const std::string text = "123456789";
  CHECK(crc32(std::as_bytes(std::span(text))) == 0xCBF43926);
  CHECK(crc32(std::vector<std::byte>(40)) != 0);
}

TEST_CASE("a file grows by what is appended, and goes on where it was") {
  const TemporaryFolder folder;
  {
    AppendFile file(folder / "f");
    file.append("one");
    file.append(" two");
    file.sync();
  }
  AppendFile(folder / "f").append(" three");
  CHECK(content_of(folder / "f") == "one two three");
  CHECK_THROWS_WITH(AppendFile(folder / "none" / "f"), ContainsSubstring("No such file"));
}

TEST_CASE("what finds no room leaves the file as it was") {
  const TemporaryFolder folder;
  AppendFile file(folder / "f");
  file.append("0123456789");
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{15, before.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  CHECK_THROWS_AS(file.append("0123456789"), Error);
  CHECK_THROWS_AS(file.append("0123456789"), Error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK(content_of(folder / "f") == "0123456789");
}

TEST_CASE("a file that was deleted is noticed") {
  const TemporaryFolder folder;
  AppendFile file(folder / "f");
  std::filesystem::remove(folder / "f");
  CHECK_THROWS_WITH(file.sync(), ContainsSubstring("No such file"));
  CHECK_THROWS_AS(file.sync(), DeletedFile);
}

TEST_CASE("temporary files of killed processes are removed, and nothing else") {
  const TemporaryFolder folder;
  for (const char* name : {"s.h5", "s.h5.tmp12", "s.h5.tmp12-2", "s.h5.tmp", "s.h5.tmp1x", "t.h5.tmp3"})
    std::ofstream(folder / name) << "HDF and more";
  std::ofstream(folder / "s.h5.tmp13") << "HD";
  std::ofstream(folder / "s.h5.tmp14");
  std::ofstream(folder / "s.h5.tmp15") << "mine";
  std::filesystem::create_symlink(folder / "s.h5", folder / "s.h5.tmp16");
  remove_temporaries(folder / "s.h5", "HDF");
  for (const char* name : {"s.h5.tmp12", "s.h5.tmp12-2", "s.h5.tmp13", "s.h5.tmp14"})
    CHECK_FALSE(std::filesystem::exists(folder / name));
  for (const char* name : {"s.h5", "s.h5.tmp", "s.h5.tmp1x", "t.h5.tmp3", "s.h5.tmp15", "s.h5.tmp16"})
    CHECK(std::filesystem::exists(folder / name));
}

TEST_CASE("a file of the temporary one's name is not overwritten") {
  const TemporaryFolder folder;
  const auto taken = folder / ("f.tmp" + std::to_string(::getpid()));
  std::ofstream(taken) << "mine";
  write_atomically(folder / "f", [](const ByteSink& sink) { sink(std::as_bytes(std::span("x", 1))); });
  CHECK(content_of(folder / "f") == "x");
  CHECK(content_of(taken) == "mine");
}

TEST_CASE("a file is written through links, and onto nothing but files") {
  const TemporaryFolder folder;
  const auto write = [](const std::filesystem::path& file) {
    write_atomically(file, [](const ByteSink& sink) { sink(std::as_bytes(std::span("x", 1))); });
  };
  std::filesystem::create_directory(folder / "real");
  std::filesystem::create_symlink("real/f", folder / "one");
  std::filesystem::create_symlink(folder / "one", folder / "two");
  CHECK(real_file(folder / "two") == folder / "real/f");
  write(folder / "two");
  CHECK(content_of(folder / "real/f") == "x");
  CHECK(std::filesystem::is_symlink(folder / "two"));
  std::filesystem::create_symlink("loop", folder / "loop");
  CHECK_THROWS_WITH(write(folder / "loop"), ContainsSubstring("without an end"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(write(folder / "pipe"), ContainsSubstring("a pipe, not a file"));
  CHECK_THROWS_WITH(write(folder / "real"), ContainsSubstring("a folder, not a file"));
  CHECK_THROWS_WITH(write("/dev/null"), ContainsSubstring("a device, not a file"));
}

TEST_CASE("a pipe that nobody reads is not waited for") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(AppendFile(folder / "pipe"), ContainsSubstring("nothing reads"));
}
