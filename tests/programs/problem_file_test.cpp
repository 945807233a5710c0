#include "programs/problem_file.h"

#include <ATen/core/grad_mode.h>
#include <torch/types.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "catch.h"
#include "temporary_folder.h"

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using lossatlas::ProblemFile;

namespace {

std::filesystem::path file(const std::string& name) {
  return std::filesystem::path(LOSSATLAS_TEST_FILES) / "problems" / (name + ".lossatlas");
}

std::string bytes_of(const std::string& name) {
  std::ifstream stream(file(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// A copy of the file with other bytes in it.
class Changed {
 public:
  Changed(const std::string& name, const std::function<void(std::string&)>& change) {
    std::string bytes = bytes_of(name);
    change(bytes);
    std::ofstream(path(), std::ios::binary) << bytes;
  }
  std::filesystem::path path() const { return folder_ / "changed.lossatlas"; }

 private:
  TemporaryFolder folder_;
};

/// Replaces the first `from` after `after` by `to`, which is as long.
auto replace(std::string from, std::string to, std::string after = "\"format\"") {
  return [=](std::string& bytes) {
    const std::size_t at = bytes.find(from, bytes.rfind(after));
    REQUIRE(at != bytes.npos);
    REQUIRE(from.size() == to.size());
    bytes.replace(at, from.size(), to);
  };
}

}  // namespace

TEST_CASE("A problem file holds a network, its loss and its samples") {
  const ProblemFile problem(file("convolutions"));
  CHECK(problem.model() == "Sequential");
  CHECK(problem.loss() == "cross-entropy");
  CHECK(problem.outputs() == std::vector<std::string>{"loss", "accuracy", "weight"});
  REQUIRE(problem.parameters().size() == 6);
  CHECK(problem.parameters()[0].name == "0.weight");
  CHECK(problem.parameters()[0].module_class == "Conv2d");
  CHECK(problem.parameters()[0].tensor.sizes() == at::IntArrayRef{4, 3, 3, 3});
  CHECK(problem.parameters()[0].slice_axis == 0);
  CHECK_FALSE(problem.parameters()[1].slice_axis);
  CHECK(problem.buffers().size() == 3);
  REQUIRE(problem.batch_norms().size() == 1);
  CHECK(problem.batch_norms()[0].running_var == "1.running_var");
  CHECK(problem.can_recalibrate());
  CHECK(problem.data().count == 24);
  REQUIRE(problem.test());
  CHECK(problem.test()->inputs[0].sizes() == at::IntArrayRef{8, 3, 8, 8});
  CHECK(at::equal(problem.test()->inputs[0], problem.data().inputs[0].slice(0, 0, 8)));
  CHECK_FALSE(problem.is_fixed_batch());
  CHECK_NOTHROW(problem.check_members());
}

TEST_CASE("Problem files give PyTorch's losses") {
  for (const std::string name : {"convolutions", "tokens"}) CHECK_NOTHROW(ProblemFile(file(name)).check_reference());
}

TEST_CASE("Tied tensors of a problem file are one, and heads are known") {
  const ProblemFile problem(file("tokens"));
  CHECK(problem.aliases() == std::map<std::string, std::string>{{"head.weight", "embed.weight"}});
  const auto& attention = problem.parameters()[1];
  CHECK(attention.name == "layer.self_attn.in_proj_weight");
  REQUIRE(attention.head);
  CHECK(attention.head->axis == 0);
  CHECK(attention.head->size == 4);  // 8 features, 2 heads
  CHECK_FALSE(problem.can_recalibrate());
  CHECK_THROWS(problem.run({}, {}, {}, at::kCPU, true));
}

TEST_CASE("Batch norm in training mode changes the buffers that are given, and no others") {
  const at::NoGradGuard no_gradient;
  const ProblemFile problem(file("convolutions"));
  std::vector<at::Tensor> parameters, buffers;
  for (const auto& parameter : problem.parameters()) parameters.push_back(parameter.tensor);
  for (const auto& buffer : problem.buffers()) buffers.push_back(buffer.tensor.clone());
  const auto before = problem.buffers()[0].tensor.clone();
  const std::vector<at::Tensor> batch{problem.data().inputs[0].clone(), problem.data().inputs[1].clone()};
  problem.run(parameters, buffers, batch, at::kCPU, true);
  const at::Tensor mean = at::conv2d(batch[0], parameters[0], parameters[1], 2, 1).mean({0, 2, 3});
  CHECK(at::allclose(buffers[0], 0.9 * before + 0.1 * mean, 1e-5, 1e-6));  // momentum 0.1
  CHECK(at::equal(problem.buffers()[0].tensor, before));
}

TEST_CASE("A damaged problem file is refused with what is wrong") {
  const std::string whole = bytes_of("tokens");
  const auto refused = [](const std::function<void(std::string&)>& change, const auto& matches) {
    const Changed changed("tokens", change);
    CHECK_THROWS_WITH(ProblemFile(changed.path()).check_reference(), matches);
  };
  refused([](std::string& bytes) { bytes.resize(bytes.size() / 2); },
          EndsWith("has no directory: it is damaged or incomplete"));
  refused([](std::string& bytes) { bytes = "PK"; }, Contains("has no directory"));
  refused([](std::string& bytes) { bytes.clear(); }, Contains("has no directory"));
  refused(replace("lossatlas-problem", "lossatlas-another"), Contains("is not a problem file"));
  refused(replace("\"version\": 1", "\"version\": 2"), EndsWith("reads version 1"));
  refused(replace("\"float32\"", "\"float31\""), Contains("float31"));
  refused(replace("\"parameters/0000\"", "\"parameters/9999\""),
          EndsWith("has no parameters/9999: it is damaged or incomplete"));
  refused(replace("\"graph.json\"", "\"nowhere.js\""), Contains("has no nowhere.js"));
  refused(replace("\"embed.weight\"", "\"other.weight\"", "\"parameters\": ["),
          EndsWith("ties head.weight to embed.weight, which it does not have"));
  refused(replace("\"accuracy\"", "\"train_se\"", "\"outputs\": ["), EndsWith("has another meaning in files"));
  refused(replace("\"batch_size\": 20", "\"batch_size\": -2"), EndsWith("gives a batch of -2 samples"));
  CHECK_THROWS_WITH(ProblemFile("nowhere.lossatlas"), Contains("cannot be opened: No such file"));
  CHECK_THROWS_WITH(ProblemFile("."), EndsWith("a folder, not a file"));
}

TEST_CASE("A batch norm's statistics are tensors of the file") {
  const Changed changed("convolutions", replace("\"1.running_var\"", "\"1.running_vor\"", "\"batch_norms\": ["));
  CHECK_THROWS_WITH(ProblemFile(changed.path()), EndsWith("has no 1.running_vor, a statistic of 1"));
}

TEST_CASE("Samples with NaN are refused") {
  const ProblemFile whole(file("convolutions"));
  const float first = whole.data().inputs[0][17].flatten()[3].item<float>(), nan = std::nanf("");
  const auto as_text = [](const float& number) { return std::string(reinterpret_cast<const char*>(&number), 4); };
  const auto put_nan = [&](std::string& bytes) {
    const std::size_t at = bytes.find(as_text(first), bytes.find("data/0000"));
    REQUIRE(at != bytes.npos);
    bytes.replace(at, 4, as_text(nan));
  };
  const Changed changed("convolutions", put_nan);
  CHECK_THROWS_WITH(ProblemFile(changed.path()).check_samples(),
                    EndsWith("sample 17 of the train split has NaN in input: leave it out, or replace the NaN"));
}

TEST_CASE("Other numbers in a problem file are found") {
  const auto flip = [](std::string& bytes) { bytes[bytes.find("parameters/0000") + 200] ^= 0x40; };
  const Changed changed("tokens", flip);
  const ProblemFile problem(changed.path());
  CHECK_THROWS_WITH(problem.check_members(), Contains("does not have its SHA-256"));
}
