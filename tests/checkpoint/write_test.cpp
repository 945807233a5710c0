#include <sys/resource.h>
#include <torch/utils.h>

#include <csignal>
#include <stdexcept>

#include "catch.h"
#include "checkpoint/files.h"
#include "temporary_folder.h"

using namespace lossatlas;
using namespace lossatlas::testing;

namespace {

std::size_t count_files(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

std::vector<NamedTensor> some_state() {
  return {{"b.weight", ramp({2, 3}).t()},  // to be written in its own order, not its memory's
          {"a.weight", ramp({4}).to(torch::kBFloat16)},
          {"steps", torch::tensor(5, torch::kLong)},
          {"empty", torch::empty({0, 3})},
          {"parameter", torch::ones({2}).requires_grad_()}};
}

nlohmann::json some_metadata() {
  return {{"epoch", 3},
          {"arch", "resnet ü"},
          {"lr", {0.1, 1e-300}},
          {"seed", UINT64_MAX},
          {"low", INT64_MIN},
          {"minus", -5},
          {"thousand", 1000},
          {"none", nullptr},
          {"true", true},
          {"empty list", nlohmann::json::array()},
          {"empty", nlohmann::json::object()},
          {"nested", {{"a", {1, {{"b", false}}}}}}};
}

/// While it lives, no file grows beyond `bytes`: a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("a checkpoint reads back as it was written") {
  const TemporaryFolder folder;
  const TensorGroups groups{{"optimizer", {{"b.weight.momentum", ramp({2, 3})}, {"step", torch::tensor(2.0)}}},
                            {"average", {{"x", ramp({1})}}},
                            {"without tensors", {}}};
  write_checkpoint(folder / "a.pt", some_state(), some_metadata(), groups);
  const Checkpoint read = read_checkpoint(folder / "a.pt");
  CHECK(read.format == "PyTorch zip");
  CHECK(read.metadata == some_metadata());
  const auto state = some_state();
  CHECK(names_of(read.tensors) == names_of(state));
  for (const NamedTensor& tensor : state) {
    CAPTURE(tensor.name);
    CHECK(same(find(read.tensors, tensor.name), tensor.tensor.contiguous()));
    CHECK_FALSE(find(read.tensors, tensor.name).requires_grad());
  }
  CHECK(read.groups.size() == 2);
  CHECK(names_of(read.groups.at("optimizer")) == names_of(groups.at("optimizer")));
  CHECK(same(find(read.groups.at("optimizer"), "b.weight.momentum"), ramp({2, 3})));
  CHECK(same(find(read.groups.at("average"), "x"), ramp({1})));
}

TEST_CASE("the same checkpoint gives the same bytes, whatever the file's name") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a.pt", some_state(), some_metadata());
  write_checkpoint(folder / "b.pth", some_state(), some_metadata());
  CHECK(content_of(folder / "a.pt") == content_of(folder / "b.pth"));
}

TEST_CASE("a checkpoint replaces the one before it, and leaves no other file") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a.pt", {{"w", ramp({1000})}}, nullptr);
  write_checkpoint(folder / "a.pt", {{"w", ramp({2})}}, nullptr);
  CHECK(same(read_checkpoint(folder / "a.pt").tensors.at(0).tensor, ramp({2})));
  CHECK(count_files(folder.path()) == 1);
}

TEST_CASE("a full disk leaves the old checkpoint whole") {
  const TemporaryFolder folder;
  const auto file = folder / "a.pt";
  write_checkpoint(file, {{"w", ramp({2})}}, nullptr);
  const std::string before = content_of(file);
  const auto limit = GENERATE(as<rlim_t>{}, 0, 100, 4096);
  {
    const FileSizeLimit full(limit);
    CHECK_THROWS_WITH(write_checkpoint(file, {{"w", ramp({100, 1000})}, {"v", ramp({100})}}, nullptr),
                      ContainsSubstring(file.string()) && ContainsSubstring("File too large"));
  }
  CHECK(content_of(file) == before);
  CHECK(count_files(folder.path()) == 1);
}

TEST_CASE("a folder that does not exist is named") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(write_checkpoint(folder / "no" / "a.pt", some_state(), nullptr),
                    ContainsSubstring("/no/a.pt: ") && ContainsSubstring("No such file or directory"));
}

TEST_CASE("tensors that torch.save could not write either are refused") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(write_checkpoint(folder / "a.pt", {{"w", torch::ones({2}, torch::kComplexFloat)}}, nullptr),
                    ContainsSubstring("a.pt") && ContainsSubstring("ComplexFloat"));
  CHECK(count_files(folder.path()) == 0);
}

TEST_CASE("names used twice are our own mistake") {
  const TemporaryFolder folder;
  const auto file = folder / "a.pt";
  CHECK_THROWS_AS(write_checkpoint(file, some_state(), {{"state_dict", 1}}), std::logic_error);
  CHECK_THROWS_AS(write_checkpoint(file, some_state(), {{"a", 1}}, {{"a", some_state()}}), std::logic_error);
  CHECK_THROWS_AS(write_checkpoint(file, some_state(), 3), std::logic_error);
}
