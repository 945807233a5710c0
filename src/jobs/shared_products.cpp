#include "jobs/shared_products.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace lossatlas {
namespace {

using nlohmann::json;

// Requests and answers are CBOR (RFC 8949), which holds bytes as they are.

constexpr auto kProducts = "products", kEnd = "end";

/// Numbers as they are in memory: all ranks are of one build.
template <class Number>
json bytes_of(const std::vector<Number>& numbers) {
  std::vector<std::uint8_t> bytes(numbers.size() * sizeof(Number));
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return json::binary(std::move(bytes));
}

template <class Number>
std::vector<Number> numbers_of(const json& bytes) {
  const auto& from = bytes.get_binary();
  std::vector<Number> numbers(from.size() / sizeof(Number));
  std::memcpy(numbers.data(), from.data(), from.size());
  return numbers;
}

template <class Number>
json all_bytes_of(std::span<const std::vector<Number>> vectors) {
  json all = json::array();
  for (const auto& vector : vectors) all.push_back(bytes_of(vector));
  return all;
}

template <class Number>
std::vector<std::vector<Number>> all_numbers_of(const json& all) {
  std::vector<std::vector<Number>> vectors;
  for (const json& bytes : all) vectors.push_back(numbers_of<Number>(bytes));
  return vectors;
}

json as_json(const GroupSums& group) {
  std::vector<std::vector<double>> measures;
  for (std::size_t m = 0; m < group.measurement.size(); ++m) {
    const Sum& sum = group.measurement[m];
    measures.push_back({sum.count, sum.weights, sum.total, sum.squares, sum.weight_squares, sum.weighted_total});
  }
  return {{"measures", all_bytes_of<double>(measures)},
          {"vectors", all_bytes_of<float>(group.vectors)},
          {"forms", all_bytes_of<double>(group.forms)},
          {"weights", bytes_of(group.weights)}};
}

GroupSums from_json(const json& of) {
  GroupSums group{.vectors = all_numbers_of<float>(of.at("vectors")),
                  .forms = all_numbers_of<double>(of.at("forms")),
                  .weights = numbers_of<double>(of.at("weights"))};
  const auto measures = all_numbers_of<double>(of.at("measures"));
  group.measurement = Measurement(measures.size());
  for (std::size_t m = 0; m < measures.size(); ++m) {
    const auto& sum = measures[m];
    group.measurement[m] = {sum.at(0), sum.at(1), sum.at(2), sum.at(3), sum.at(4), sum.at(5)};
  }
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

SweepHooks hooks_of(Observer& observer, const std::string& again) {
  SweepHooks hooks;
  hooks.stop = &observer.should_stop();
  if (!again.empty()) hooks.on_stop = [&observer, again] { observer.on_note("stopping; continue with: " + again); };
  hooks.on_note = [&observer](const std::string& text) { observer.on_note(text); };
  return hooks;
}

GroupRange SharedProducts::own(std::size_t groups) const { return own_groups(ranks_, groups); }

SharedProducts::~SharedProducts() {
  if (is_under_way_) ranks_.cancel();
}

void SharedProducts::begin(std::span<const std::vector<float>> in) {
  is_under_way_ = true;
  ranks_.begin(text_of({{"what", kProducts}, {"in", all_bytes_of(in)}}), {}, 1, hooks_);
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
    const auto in = all_numbers_of<float>(request.at("in"));
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
