#include "training/minibatch.h"

#include <torch/utils.h>

#include <algorithm>
#include <map>

#include "catch.h"
#include "evaluation/samples.h"

using namespace lossatlas;

TEST_CASE("an epoch goes once through all images, in an order of its own") {
  const DataSet data = load_data("synthetic:50", Split::train);
  MinibatchSampler sampler(data, 16, 3, false);
  REQUIRE(sampler.steps() == 4);
  std::map<float, int> seen, expected;
  const Images whole(std::make_shared<const DataSet>(data), torch::kCPU);
  const auto checksum = [](const torch::Tensor& images, std::int64_t i) {
    return (images[i] * torch::arange(3072).view({3, 32, 32})).sum().item<float>();
  };
  std::int64_t count = 0;
  for (std::int64_t step = 0; step < 4; ++step) {
    const Minibatch batch = sampler.at(0, step);
    count += batch.images.size(0);
    for (std::int64_t i = 0; i < batch.images.size(0); ++i) ++seen[checksum(batch.images, i)];
  }
  const auto all = whole.normalized(0, 50);
  for (std::int64_t i = 0; i < 50; ++i) ++expected[checksum(all, i)];
  CHECK(count == 50);
  CHECK(seen == expected);
  CHECK_FALSE(torch::equal(sampler.at(0, 0).images, sampler.at(1, 0).images));
}

TEST_CASE("what a minibatch holds depends on seed, epoch and step alone") {
  const DataSet data = load_data("synthetic:50", Split::train);
  MinibatchSampler one(data, 16, 3, true), other(data, 16, 3, true), third(data, 16, 4, true);
  one.at(0, 0);
  one.at(0, 1);
  CHECK(torch::equal(one.at(2, 1).images, other.at(2, 1).images));
  CHECK(torch::equal(one.at(2, 1).labels, other.at(2, 1).labels));
  CHECK_FALSE(torch::equal(one.at(2, 1).images, third.at(2, 1).images));
}

TEST_CASE("augmentation shifts by up to 4 pixels, with black coming in, and flips") {
  DataSet data;
  data.shape = {1, 32, 32};
  data.classes = 2;
  data.labels.assign(200, 0);
  data.labels[0] = 1;
  data.normalization = {{0.0}, {1.0}};
  std::vector<std::uint8_t> pixels(200 * 1024);
  for (std::size_t i = 0; i < 200; ++i) pixels[i * 1024 + 10 * 32 + 12] = 255;  // one light
  data.pixels = Array({200, 1, 32, 32}, std::move(pixels));
  MinibatchSampler sampler(data, 200, 1, true);
  const auto images = sampler.at(0, 0).images;
  std::map<std::int64_t, int> rows, columns;
  for (std::int64_t i = 0; i < 200; ++i) {
    const auto place = images[i].flatten().argmax().item<std::int64_t>();
    REQUIRE(images[i].sum().item<float>() == 1);
    ++rows[place / 32];
    ++columns[place % 32];
  }
  CHECK(rows.begin()->first == 6);
  CHECK(rows.rbegin()->first == 14);
  CHECK(columns.begin()->first == 8);
  CHECK(columns.rbegin()->first == 23);  // 31 - 12 + 4
  CHECK(columns.size() == 16);
}

TEST_CASE("a last minibatch of one image is left out where there are others") {
  const DataSet data = load_data("synthetic:41", Split::train);
  CHECK(MinibatchSampler(data, 20, 0, false).steps() == 2);
  CHECK(MinibatchSampler(data, 100, 0, false).steps() == 1);
  CHECK(MinibatchSampler(data, 1, 0, false).steps() == 41);
}
