// Every architecture against its authors' own Python code: tests/files/models.json, written by
// tools/reference/models.py, which fills parameters, buffers and images as fill_network() and make_images() do.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "catch.h"
#include "families.h"
#include "models/network.h"
#include "models/registry.h"

using namespace lossatlas;
using Json = nlohmann::json;

namespace {

const Json& reference() {
  static const Json file = Json::parse(std::ifstream(LOSSATLAS_TEST_FILES "/models.json"));
  return file;
}

// A number in [-1, 1): SplitMix64's finalizer over (stream, element).
double unit_number(std::uint64_t stream, std::uint64_t element) {
  std::uint64_t x = ((stream << 40) + element + 1) * 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  x ^= x >> 31;
  return static_cast<double>(x >> 11) * 0x1p-52 - 1.0;
}

void fill(torch::Tensor tensor, std::uint64_t stream, double center, double radius) {
  torch::Tensor numbers = torch::empty(tensor.sizes(), torch::kFloat64);
  double* data = numbers.data_ptr<double>();
  for (std::int64_t i = 0; i < numbers.numel(); ++i) {
    data[i] = center + radius * unit_number(stream, static_cast<std::uint64_t>(i));
  }
  tensor.copy_(numbers);
}

bool ends_with(const std::string& name, std::string_view end) { return std::string_view(name).ends_with(end); }

void fill_parameter(const NamedTensor& parameter, std::uint64_t stream, double bn_scale) {
  if (parameter.tensor.dim() > 1) {
    const auto fan_in = static_cast<double>(parameter.tensor[0].numel());
    fill(parameter.tensor, stream, 0.0, std::sqrt(6.0 / fan_in));
  } else if (ends_with(parameter.name, "weight")) {
    fill(parameter.tensor, stream, bn_scale, 0.1 * bn_scale);
  } else {
    fill(parameter.tensor, stream, 0.0, 0.1);
  }
}

void fill_network(const NetworkTensors& state, double bn_scale) {
  std::uint64_t stream = 0;
  for (const NamedTensor& parameter : state.parameters) {
    fill_parameter(parameter, stream++, bn_scale);
  }
  stream = reference().at("buffers_stream");
  for (const NamedTensor& buffer : state.buffers) {
    if (ends_with(buffer.name, "running_mean")) {
      fill(buffer.tensor, stream, 0.0, 0.1);
    } else if (ends_with(buffer.name, "running_var")) {
      fill(buffer.tensor, stream, 1.0, 0.1);
    }
    ++stream;
  }
}

NetworkSpec spec_of(const Json& record) {
  return {record.at("name"), record.at("classes"), 0, record.at("input").get<std::array<std::int64_t, 3>>()};
}

torch::Tensor make_images(const NetworkSpec& spec) {
  torch::Tensor images = torch::empty({2, spec.input[0], spec.input[1], spec.input[2]}, torch::kFloat64);
  fill(images, reference().at("images_stream"), 0.0, 1.0);
  return images;
}

// FNV-1a, 64 bits.
std::string digest(const std::string& text) {
  std::uint64_t value = 0xCBF29CE484222325u;
  for (const char c : text) {
    value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  }
  return fmt::format("{:016x}", value);
}

std::string shapes(const std::vector<NamedTensor>& entries) {
  std::string text;
  for (const NamedTensor& entry : entries) {
    text += fmt::format("{}:{};", entry.name, fmt::join(entry.tensor.sizes(), "x"));
  }
  return text;
}

void check_names(const Network& network, const Json& record) {
  const NetworkTensors state = state_of(network);
  CHECK(count_parameters(network) == record.at("parameters").get<std::int64_t>());
  CHECK(state.parameters.size() == record.at("parameter_entries").get<std::size_t>());
  CHECK(state.buffers.size() == record.at("buffer_entries").get<std::size_t>());
  std::size_t i = 0;
  for (const std::string name : record.at("first_names")) {
    CHECK(state.parameters.at(i++).name == name);
  }
  CHECK(digest(shapes(state.parameters) + shapes(state.buffers)) == record.at("digest").get<std::string>());
}

// The random numbers of torch differ in the last bits from one processor to the next.
void check_initialization(const Network& network, const Json& record) {
  std::vector<torch::Tensor> weights;
  double squares = 0;
  for (const torch::Tensor& parameter : network.parameters()) {
    squares += parameter.square().sum(torch::kFloat64).item<double>();
    if (parameter.dim() > 1) {
      weights.push_back(parameter);
    }
  }
  const auto expected = record.at("initial").at("first_elements").get<std::array<double, 3>>();
  const torch::Tensor chosen[] = {weights.front(), weights[weights.size() / 2], weights.back()};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(chosen[i].flatten()[0].item<double>() == Approx(expected[i]).epsilon(1e-5).margin(1e-7));
  }
  CHECK(squares == Approx(record.at("initial").at("sum_of_squares").get<double>()).epsilon(1e-6));
}

void check_logits(const torch::Tensor& logits, const Json& record, double tolerance) {
  const auto near = [tolerance](double value) { return Approx(value).epsilon(tolerance).margin(tolerance); };
  REQUIRE(logits.size(1) == record.at("classes").get<std::int64_t>());
  const auto expected = record.at("logits").get<std::vector<std::vector<double>>>();
  for (std::size_t image = 0; image < expected.size(); ++image) {
    for (std::size_t k = 0; k < expected[image].size(); ++k) {
      CHECK(logits[static_cast<std::int64_t>(image)][static_cast<std::int64_t>(k)].item<double>() ==
            near(expected[image][k]));
    }
  }
  CHECK(logits.sum(torch::kFloat64).item<double>() == near(record.at("sum")));
  CHECK(logits.to(torch::kFloat64).square().sum().item<double>() == near(record.at("sum_of_squares")));
}

std::shared_ptr<Network> filled_network(const Json& record, torch::Dtype dtype) {
  const auto network = make_network(spec_of(record));
  network->to(dtype);
  network->eval();
  fill_network(state_of(*network), record.at("bn_scale"));
  return network;
}

void check_network(const Json& record) {
  INFO("architecture " << record.at("name"));
  const torch::NoGradGuard no_grad;
  torch::manual_seed(reference().at("seed").get<std::uint64_t>());
  const auto network = make_network(spec_of(record));
  check_names(*network, record);
  check_initialization(*network, record);
  network->to(torch::kFloat64);
  network->eval();
  fill_network(state_of(*network), record.at("bn_scale"));
  check_logits(network->forward(make_images(spec_of(record))), record, 1e-9);
}

std::size_t check_networks(const std::function<bool(const Json&)>& chosen) {
  std::size_t count = 0;
  for (const Json& record : reference().at("networks")) {
    if (chosen(record)) {
      check_network(record);
      ++count;
    }
  }
  return count;
}

bool named(const Json& record, std::string_view start) {
  return record.at("name").get<std::string>().starts_with(start);
}

bool of_imagenet(const Json& record) { return record.at("classes") == 1000; }

bool without_skips(const Json& record) { return ends_with(record.at("name"), "-noshort"); }

bool of_option_a(const Json& record) { return ends_with(record.at("name"), "-a"); }

}  // namespace

TEST_CASE("parameters are counted without being made") {
  for (const Json& record : reference().at("networks")) {
    INFO("architecture " << record.at("name"));
    CHECK(count_parameters(spec_of(record)) == record.at("parameters").get<std::int64_t>());
  }
  CHECK(torch::ones({3}).sum().item<double>() == 3);  // operators compute again
}

TEST_CASE("a network of each family equals its authors'") {
  CHECK(check_networks([](const Json& r) { return is_family(r.at("name").get<std::string>()); }) ==
        kFamilies.size() + 1);  // LeNet twice: of one channel too
}

TEST_CASE("the ImageNet ResNets equal torchvision's", "[.full]") { CHECK(check_networks(of_imagenet) == 3); }

TEST_CASE("the CIFAR ResNets equal Li et al.'s", "[.full]") {
  CHECK(check_networks([](const Json& r) {
          return named(r, "resnet") && !of_imagenet(r) && !without_skips(r) && !of_option_a(r);
        }) == 10);
}

TEST_CASE("the CIFAR ResNets of option A equal plain torch.nn", "[.full]") { CHECK(check_networks(of_option_a) == 5); }

TEST_CASE("the CIFAR ResNets without skip connections equal Li et al.'s", "[.full]") {
  CHECK(check_networks([](const Json& r) { return named(r, "resnet") && without_skips(r); }) == 10);
}

TEST_CASE("the wide ResNets equal Li et al.'s", "[.full]") {
  CHECK(check_networks([](const Json& r) { return named(r, "wrn"); }) == 8);
}

TEST_CASE("the VGG networks and the DenseNet equal Li et al.'s", "[.full]") {
  CHECK(check_networks([](const Json& r) { return named(r, "vgg") || named(r, "densenet"); }) == 6);
}

TEST_CASE("the small networks equal plain torch.nn", "[.full]") {
  CHECK(check_networks([](const Json& r) {
          return !named(r, "resnet") && r.at("name").get<std::string>()[0] != 'v' && !named(r, "wrn") &&
                 !named(r, "densenet");
        }) == 4);
}

TEST_CASE("every architecture has a reference") {
  std::set<std::string> referenced;
  for (const Json& record : reference().at("networks")) {
    referenced.insert(record.at("name"));
  }
  std::set<std::string> listed;
  for (const ArchitectureInfo& info : architectures()) {
    listed.insert(info.name);
  }
  CHECK(listed == referenced);
  CHECK(listed.size() == architectures().size());
}

TEST_CASE("float32 agrees with float64 where the network is shallow") {
  // A few hundred roundings of 6e-8 each; the margin is ten times what is seen.
  const torch::NoGradGuard no_grad;
  for (const Json& record : reference().at("networks")) {
    const std::set<std::string> shallow{"lenet", "mlp", "linear", "vgg9", "resnet20", "resnet18"};
    if (shallow.contains(record.at("name"))) {
      INFO("architecture " << record.at("name"));
      const auto network = filled_network(record, torch::kFloat32);
      const torch::Tensor images = make_images(spec_of(record)).to(torch::kFloat32);
      check_logits(network->forward(images), record, 1e-5);
    }
  }
}
