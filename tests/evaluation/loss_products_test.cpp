#include "evaluation/loss_products.h"

#include <ATen/ops/linalg_eigh.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/utils.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "catch.h"
#include "evaluation/classifier.h"
#include "evaluation/graph_problem.h"
#include "evaluation/smoothness.h"
#include "models/network.h"
#include "models/registry.h"

using namespace lossatlas;

namespace {

const std::filesystem::path kFiles(LOSSATLAS_TEST_FILES);

/// A problem file with what PyTorch and curvlinops have of it in float64 (tools/reference/curvature.py).
struct Small {
  std::shared_ptr<const ProblemFile> file;
  nlohmann::json reference;

  explicit Small(const std::string& name) {
    file = std::make_shared<const ProblemFile>(kFiles / "curvature" / (name + ".lossatlas"));
    reference = nlohmann::json::parse(std::ifstream(kFiles / "curvature" / "small.json")).at(name);
  }

  LossProducts products(LossProductsOptions options) const {
    return {*make_problem(file), samples_of(*file, Split::train, torch::kCPU), copy_state(state_of(*file), torch::kCPU),
            std::move(options)};
  }
};

/// All columns of the matrix, [n, n] in double.
at::Tensor matrix_of(LossProducts& products) {
  const std::size_t n = products.size();
  std::vector<std::vector<float>> units(n, std::vector<float>(n)), columns(n, std::vector<float>(n));
  std::vector<std::vector<double>> forms(n);
  for (std::size_t i = 0; i < n; ++i) units[i][i] = 1;
  REQUIRE(products.multiply(units, columns, forms));
  at::Tensor matrix = torch::zeros({static_cast<std::int64_t>(n), static_cast<std::int64_t>(n)}, torch::kFloat64);
  for (std::size_t i = 0; i < n; ++i) {
    matrix[static_cast<std::int64_t>(i)] = torch::tensor(columns[i]).to(torch::kFloat64);
    // What batches give for vᵀAv, put together, is the product's.
    double form = 0, weights = 0;
    for (std::size_t b = 0; b < forms[i].size(); ++b) {
      form += products.batch_weights()[b] * forms[i][b];
      weights += products.batch_weights()[b];
    }
    CHECK(form / weights == Approx(columns[i][i]).epsilon(1e-4).margin(1e-6));
  }
  return matrix;
}

double largest_error(const at::Tensor& matrix, const nlohmann::json& eigenvalues) {
  const at::Tensor wanted = torch::tensor(eigenvalues.get<std::vector<double>>(), torch::kFloat64);
  const at::Tensor found = std::get<0>(at::linalg_eigh((matrix + matrix.t()) / 2));
  return ((found - wanted).abs().max() / wanted.abs().max()).item<double>();
}

}  // namespace

TEST_CASE("every eigenvalue of exact Hessians and Gauss-Newton matrices is PyTorch's") {
  for (const std::string name : {"smooth", "kinked"}) {
    INFO(name);
    const Small small(name);
    LossProducts hessian = small.products({.batch_size = 16});
    REQUIRE(hessian.size() == small.reference["hessian"].size());
    REQUIRE(hessian.batches() == 3);
    const at::Tensor matrix = matrix_of(hessian);
    CHECK(largest_error(matrix, small.reference["hessian"]) < 1e-6);
    CHECK((matrix - matrix.t()).abs().max().item<double>() < 1e-6 * matrix.abs().max().item<double>());
    LossProducts gauss_newton = small.products({.matrix = CurvatureMatrix::gauss_newton, .batch_size = 16});
    CHECK(largest_error(matrix_of(gauss_newton), small.reference["gauss_newton"]) < 1e-6);
  }
}

TEST_CASE("loss and gradient are PyTorch's") {
  const Small small("smooth");
  LossProducts products = small.products({.batch_size = 16, .threads = 2});
  const auto slope = products.slope();
  REQUIRE(slope);
  CHECK(slope->sums[0].mean() == Approx(small.reference["loss"].get<double>()).epsilon(1e-6));
  double squares = 0;
  for (const float number : slope->gradient) squares += static_cast<double>(number) * static_cast<double>(number);
  CHECK(std::sqrt(squares) == Approx(small.reference["gradient_norm"].get<double>()).epsilon(1e-5));
  CHECK(products.batch_weights() == std::vector<double>{16, 16, 8});
  CHECK(products.parts().front().name == "0.weight");
  CHECK(products.parts().back().first + products.parts().back().count == products.size());
}

TEST_CASE("no bit of a product depends on threads, nor on the vectors that are multiplied with it") {
  const Small small("kinked");
  std::vector<std::vector<float>> in(3, std::vector<float>(99));
  for (std::size_t k = 0; k < 3; ++k) {
    for (std::size_t i = 0; i < 99; ++i) in[k][i] = std::sin(static_cast<float>(i * (k + 1)));
  }
  std::vector<std::vector<float>> together(3), alone(1);
  std::vector<std::vector<double>> forms(3), form(1);
  const auto matrix = GENERATE(CurvatureMatrix::hessian, CurvatureMatrix::gauss_newton);
  REQUIRE(small.products({.matrix = matrix, .batch_size = 7, .threads = 4}).multiply(in, together, forms));
  LossProducts one = small.products({.matrix = matrix, .batch_size = 7});
  for (std::size_t k = 0; k < 3; ++k) {  // the second and third begin from what the first kept
    REQUIRE(one.multiply(std::span(in).subspan(k, 1), alone, form));
    CHECK(alone[0] == together[k]);
    CHECK(form[0] == forms[k]);
  }
}

TEST_CASE("a part of the parameters has a block of the matrix") {
  const Small small("smooth");
  LossProducts whole = small.products({});
  const at::Tensor all = matrix_of(whole);
  LossProducts part = small.products({.parameters = {1, 2}});  // "0.bias" and "2.weight"
  REQUIRE(part.size() == 6 + 24);
  CHECK(part.parts()[1].name == "2.weight");
  const at::Tensor block = all.narrow(0, 36, 30).narrow(1, 36, 30);
  CHECK((matrix_of(part) - block).abs().max().item<double>() < 1e-6);
}

TEST_CASE("products of a network of ours are those of double backward") {
  NetworkSpec spec{.architecture = "resnet20", .width = 2};
  const auto problem = make_classifier(spec);
  const auto network = make_network(spec);
  network->eval();
  torch::manual_seed(1);
  for (at::Tensor& parameter : network->parameters())
    parameter.requires_grad_(false).add_(0.1 * torch::randn_like(parameter));
  auto data = std::make_shared<DataSet>(load_data(DataSpec("synthetic:40"), Split::train));
  const auto images = std::make_shared<Images>(data, torch::kCPU);
  const NetworkState state = copy_state(state_of(*network), torch::kCPU);
  LossProducts products(*problem, images, state, {.batch_size = 8, .threads = 2});
  std::vector<std::vector<float>> in(1, std::vector<float>(products.size())), out(1);
  std::vector<std::vector<double>> forms(1);
  for (std::size_t i = 0; i < in[0].size(); ++i) in[0][i] = std::cos(static_cast<float>(i));
  REQUIRE(products.multiply(in, out, forms));

  network->to(torch::kFloat64);
  std::vector<at::Tensor> parameters = network->parameters(), directions;
  std::int64_t first = 0;
  const at::Tensor vector = torch::tensor(in[0]).to(torch::kFloat64);
  for (at::Tensor& parameter : parameters) {
    parameter.requires_grad_();
    directions.push_back(vector.narrow(0, first, parameter.numel()).view(parameter.sizes()));
    first += parameter.numel();
  }
  const Batch batch = images->batch(0, 40);
  const auto loss = at::cross_entropy_loss(network->forward(batch.inputs[0].to(torch::kFloat64)), batch.targets);
  const auto gradient = torch::autograd::grad({loss}, parameters, {}, true, true);
  const auto wanted = torch::autograd::grad(gradient, parameters, directions);
  std::vector<at::Tensor> flat;
  for (const at::Tensor& part : wanted) flat.push_back(part.flatten());
  const at::Tensor expected = torch::cat(flat), found = torch::tensor(out[0]).to(torch::kFloat64);
  CHECK(((found - expected).norm() / expected.norm()).item<double>() < 1e-5);
}

TEST_CASE("a stopped product gives nothing") {
  const Small small("smooth");
  const std::atomic<bool> stop{true};
  LossProducts products = small.products({.stop = &stop});
  std::vector<std::vector<float>> in(1, std::vector<float>(85)), out(1);
  std::vector<std::vector<double>> forms(1);
  CHECK_FALSE(products.multiply(in, out, forms));
  CHECK_FALSE(products.slope());
}

TEST_CASE("a product that is not finite names the tensor") {
  const Small small("smooth");
  LossProducts products = small.products({});
  std::vector<std::vector<float>> in(1, std::vector<float>(85)), out(1);
  in[0][84] = std::numeric_limits<float>::infinity();
  std::vector<std::vector<double>> forms(1);
  CHECK_THROWS_WITH(products.multiply(in, out, forms), ContainsSubstring("is not finite in 0.weight"));
}

TEST_CASE("kinks and attention are found in the graph that autograd records") {
  const auto smoothness = [](const std::filesystem::path& path) {
    const auto file = std::make_shared<const ProblemFile>(path);
    const auto problem = make_problem(file);
    const auto samples = samples_of(*file, Split::train, torch::kCPU);
    return smoothness_of(*problem->make_program(torch::kCPU), *problem->criterion(), samples->batch(0, 2),
                         copy_state(state_of(*file), torch::kCPU));
  };
  CHECK(smoothness(kFiles / "curvature" / "smooth.lossatlas").kinks.empty());
  CHECK(smoothness(kFiles / "curvature" / "kinked.lossatlas").kinks == std::vector<std::string>{"ReLU"});
  const auto flash = at::globalContext().userEnabledFlashSDP();
  at::globalContext().setSDPUseFlash(true);
  CHECK(smoothness(kFiles / "problems" / "tokens.lossatlas").has_attention);
  use_differentiable_attention();
  CHECK_FALSE(smoothness(kFiles / "problems" / "tokens.lossatlas").has_attention);
  at::globalContext().setSDPUseFlash(flash);
  NetworkSpec vgg{.architecture = "vgg9", .width = 0};
  auto data = std::make_shared<DataSet>(load_data(DataSpec("synthetic:40"), Split::train));
  const Images images(data, torch::kCPU);
  const auto problem = make_classifier(vgg);
  const auto found = smoothness_of(*problem->make_program(torch::kCPU), *problem->criterion(), images.batch(0, 2),
                                   copy_state(state_of(*make_network(vgg)), torch::kCPU));
  CHECK(found.kinks == std::vector<std::string>{"ReLU", "max pooling"});
}
