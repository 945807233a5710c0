#pragma once

#include <memory>
#include <utility>

#include "evaluation/classifier.h"
#include "evaluation/evaluator.h"

namespace lossatlas {

inline std::shared_ptr<const SampleSource> source_of(std::shared_ptr<const DataSet> data,
                                                     at::Device device = at::kCPU) {
  return std::make_shared<Images>(std::move(data), device);
}

/// What tests ask of a classifier's engine.
struct EngineWords {
  NetworkSpec network;
  EngineOptions options = {};
  LossFunction loss = LossFunction::cross_entropy;
  Extras extras = {};
  std::int64_t population = 0;
  std::shared_ptr<const DataSet> recalibration = nullptr, second = nullptr;
};

inline Engine engine_over(const EngineWords& words, std::shared_ptr<const DataSet> data, at::Device device = at::kCPU) {
  EngineSamples samples{.first = source_of(std::move(data), device), .population = words.population};
  if (words.second) samples.second = source_of(words.second, device);
  if (words.recalibration) samples.recalibration = source_of(words.recalibration, device);
  EngineOptions options = words.options;
  options.weight_decay = words.extras.weight_decay;
  return {make_classifier(words.network, words.loss, words.extras), samples, options, device};
}

}  // namespace lossatlas
