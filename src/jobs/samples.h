#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/data_set.h"
#include "evaluation/samples.h"
#include "jobs/observer.h"
#include "jobs/request.h"
#include "programs/problem_file.h"

namespace lossatlas {

DataSpec spec_of(const DataRequest& request);

/// Loads a split; what the request or, of a checkpoint, its metadata say of the normalization replaces the data's own.
DataSet load(const DataRequest& request, Split split, Observer& observer,
             const nlohmann::json& metadata = nlohmann::json::object());
/// Sets that normalization, of data that were loaded before the checkpoint was read.
void normalize(const DataRequest& request, DataSet& set, const nlohmann::json& metadata);

/// Samples of one split.
struct ChosenSamples {
  std::shared_ptr<const SampleSource> source;
  std::vector<std::int64_t> samples;  // indices within the split
  bool is_sample = false;             // a seeded one, stratified if there are classes
  std::int64_t population = 0;        // samples in the whole split
  std::string sha256;                 // of the data; "" without
};

/// `count` of them, or all (0); -n: n, or all if there are fewer. With `is_nested` all in the order of a sample.
/// Without a digest.
ChosenSamples choose(std::shared_ptr<const SampleSource> source, std::int64_t count, std::uint64_t seed,
                     bool is_nested);

/// A split, as the network of a problem file takes it.
struct ProblemSplit {
  std::shared_ptr<const SampleSource> source;  // all samples
  std::string text;                            // "the train split of npz:FILE"
  std::string sha256;                          // of a split that the problem file holds; "" of other data
};

/// The split of the data that the request names, else of the file's own. Images become float32 by the request's mean
/// and deviation, else those of the file. Throws Error, with what the data hold and what the network takes, unless they
/// agree in number, type and shape; and for labels that the network does not have.
ProblemSplit problem_split(const ProblemFile& file, const DataRequest& request, Split split, at::Device device,
                           Observer& observer);

/// Of a request for both splits, and data that have one: that one, with a note. Throws as check(request).
void settle_split(LandscapeRequest& request, std::vector<std::string>& notes);

/// `of`: "the train split of cifar10:DIR"; `word`: what samples are called.
void check_count(const char* option, std::int64_t count, std::int64_t all, const std::string& of,
                 std::string_view word);

/// "the train split of cifar10:DIR"
std::string split_text(Split split, const std::string& data);

}  // namespace lossatlas
