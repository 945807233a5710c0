#include "jobs/shared_products.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace lossatlas {
namespace {

using nlohmann::json;

// Requests and answers are CBOR (RFC 8949), which keeps every bit of doubles and of bytes.

constexpr auto kProducts = "products", kEnd = "end";

json bytes_of(const std::vector<float>& numbers) {
  std::vector<std::uint8_t> bytes(numbers.size() * sizeof(float));
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return json::binary(std::move(bytes));
}

std::vector<float> floats_of(const json& bytes) {
  const auto& from = bytes.get_binary();
  std::vector<float> numbers(from.size() / sizeof(float));
  std::memcpy(numbers.data(), from.data(), from.size());
  return numbers;
}

json vectors_as_json(std::span<const std::vector<float>> vectors) {
  json all = json::array();
  for (const auto& vector : vectors) all.push_back(bytes_of(vector));
  return all;
}

std::vector<std::vector<float>> vectors_from_json(const json& all) {
  std::vector<std::vector<float>> vectors;
  for (const json& bytes : all) vectors.push_back(floats_of(bytes));
  return vectors;
}

/// Doubles as they are in memory: JSON has no NaN.
json numbers_as_json(const std::vector<double>& numbers) {
  std::vector<std::uint8_t> bytes(numbers.size() * sizeof(double));
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return json::binary(std::move(bytes));
}

std::vector<double> numbers_from_json(const json& bytes) {
  const auto& from = bytes.get_binary();
  std::vector<double> numbers(from.size() / sizeof(double));
  std::memcpy(numbers.data(), from.data(), from.size());
  return numbers;
}

json as_json(const GroupSums& group) {
  json measures = json::array(), forms = json::array();
  for (std::size_t m = 0; m < group.measurement.size(); ++m) {
    const Sum& sum = group.measurement[m];
    measures.push_back(
        numbers_as_json({sum.count, sum.weights, sum.total, sum.squares, sum.weight_squares, sum.weighted_total}));
  }
  for (const auto& of_batches : group.forms) forms.push_back(numbers_as_json(of_batches));
  return {{"measures", measures},
          {"vectors", vectors_as_json(group.vectors)},
          {"forms", forms},
          {"weights", numbers_as_json(group.weights)}};
}

GroupSums from_json(const json& of) {
  GroupSums group;
  group.measurement = Measurement(of.at("measures").size());
  for (std::size_t m = 0; m < group.measurement.size(); ++m) {
    const auto sum = numbers_from_json(of.at("measures")[m]);
    group.measurement[m] = {sum.at(0), sum.at(1), sum.at(2), sum.at(3), sum.at(4), sum.at(5)};
  }
  group.vectors = vectors_from_json(of.at("vectors"));
  for (const json& of_batches : of.at("forms")) group.forms.push_back(numbers_from_json(of_batches));
  group.weights = numbers_from_json(of.at("weights"));
  return group;
}

std::string text_of(const json& message) {
  std::string text;
  json::to_cbor(message, text);
  return text;
}

/// Of all ranks that have any, as evenly as can be, the first groups to rank 0.
GroupRange own_groups(const Ranks& ranks, std::size_t groups) {
  const std::size_t sharing = std::min(static_cast<std::size_t>(ranks.size()), groups);
  const auto rank = std::min(static_cast<std::size_t>(ranks.rank()), sharing);
  return {groups * rank / sharing, groups * std::min(rank + 1, sharing) / sharing};
}

}  // namespace

GroupRange SharedProducts::own(std::size_t groups) const { return own_groups(ranks_, groups); }

SharedProducts::~SharedProducts() {
  if (is_under_way_) ranks_.cancel();
}

void SharedProducts::begin(std::span<const std::vector<float>> in) {
  is_under_way_ = true;
  ranks_.begin(text_of({{"what", kProducts}, {"in", vectors_as_json(in)}}), {}, 1, hooks_);
}

bool SharedProducts::finish(const std::function<void(GroupSums)>& take) {
  const auto texts = ranks_.gather("");
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    const json answer = json::from_cbor(texts[rank]);
    if (answer.is_null()) return false;  // it was stopped
    for (const json& group : answer) take(from_json(group));
  }
  ranks_.end();
  is_under_way_ = false;
  return true;
}

void serve_products(LossProducts& products, Ranks& ranks, const std::atomic<bool>& interrupted,
                    const std::function<bool(const std::string& request)>& other) {
  while (true) {
    const std::string text = ranks.next_request(interrupted);
    if (other && other(text)) continue;
    const json request = json::from_cbor(text);
    if (request.at("what") == kEnd) return;
    const auto in = vectors_from_json(request.at("in"));
    json answer = json::array();
    const bool is_whole = products.for_groups(in, own_groups(ranks, products.groups()),
                                              [&](const GroupSums& group) { answer.push_back(as_json(group)); });
    ranks.gather(text_of(is_whole ? answer : json()));
  }
}

void end_products(Ranks& ranks) {
  ranks.begin(text_of({{"what", kEnd}}), {}, 1, {});
  ranks.end();
}

std::string sharing_text(const Ranks& ranks, std::size_t groups) {
  const auto size = static_cast<std::size_t>(ranks.size());
  if (size <= groups) return fmt::format("the samples of each product are shared by {} ranks", size);
  return fmt::format("the samples of each product are shared by {} of {} ranks; the others idle", groups, size);
}

}  // namespace lossatlas
