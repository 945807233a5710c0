#include "grid/measure.h"

#include <array>
#include <stdexcept>
#include <utility>

namespace lossatlas {
namespace {

/// Kinds that names shorten, as tomgoldstein/loss-landscape does.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kShort{
    {{"accuracy", "acc"}, {"top5", "acc_top5"}}};

}  // namespace

Measure measure_of(std::string_view name, std::string_view loss_unit) {
  Measure measure{.name = std::string(name), .kind = std::string(name), .split = std::nullopt};
  for (const Split split : {Split::train, Split::test}) {
    const std::string prefix = std::string(name_of(split)) + "_";
    if (!name.starts_with(prefix)) continue;
    measure.split = split;
    measure.kind = name.substr(prefix.size());
  }
  if (!measure.split) return measure;
  for (const auto& [kind, shortened] : kShort) {
    if (measure.kind == shortened) measure.kind = kind;
  }
  const bool is_share = measure.kind == "accuracy" || measure.kind == "top5";
  measure.unit = is_share ? "percent" : measure.kind.starts_with("loss") ? loss_unit : "";
  measure.mean_of = is_share || measure.kind == "loss" || measure.kind.starts_with("loss_class_") ? "images" : "";
  measure.has_error = measure.kind == "loss" || measure.kind == "accuracy";
  return measure;
}

std::string measure_name(std::string_view kind, Split split) {
  for (const auto& [whole, shortened] : kShort) {
    if (kind == whole) kind = shortened;
  }
  return std::string(name_of(split)) + "_" + std::string(kind);
}

std::vector<Measure> loss_and_accuracy(Split split) {
  return {measure_of(measure_name("loss", split)), measure_of(measure_name("accuracy", split))};
}

std::vector<std::string> names_of(const std::vector<Measure>& measures) {
  std::vector<std::string> names;
  for (const Measure& measure : measures) names.push_back(measure.name);
  return names;
}

double Evaluation::value(std::string_view kind) const {
  if (kind == "loss") return loss;
  if (kind == "accuracy") return accuracy;
  const auto found = more.find(kind);
  if (found == more.end()) throw std::logic_error("Evaluation: has no " + std::string(kind));
  return found->second;
}

double Evaluation::standard_error(std::string_view kind) const {
  if (kind == "loss") return loss_se;
  if (kind == "accuracy") return accuracy_se;
  throw std::logic_error("Evaluation: no standard error of " + std::string(kind));
}

void Evaluation::set(std::string_view kind, double value, double error) {
  if (kind == "loss") {
    loss = value;
    loss_se = error;
  } else if (kind == "accuracy") {
    accuracy = value;
    accuracy_se = error;
  } else {
    more.insert_or_assign(std::string(kind), value);
  }
}

}  // namespace lossatlas
