#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/split.h"

namespace lossatlas {

/// What one number at each point of a grid means.
struct Measure {
  std::string name;            // its own, that of its dataset: "train_loss", "train_acc_top5", "l2"
  std::string kind;            // "loss", "accuracy", "top5", "loss_class_3", "l2"
  std::optional<Split> split;  // over whose samples; nothing: it depends only on the parameters
  std::string unit = {};       // "nats", "percent"; "": none
  std::string mean_of = {};    // "images"; "": not a mean over samples
  bool has_error = false;      // with standard errors, as an estimate of the mean over the whole split

  bool operator==(const Measure&) const = default;
};

/// The unit of losses that are cross-entropies; others have none.
inline constexpr std::string_view kNats = "nats";
/// The unit of shares: accuracies.
inline constexpr std::string_view kPercent = "percent";

/// A measure of ours by its name, as files have it.
Measure measure_of(std::string_view name, std::string_view loss_unit = kNats);

/// The name of a measure of this kind on one split: "train_acc".
std::string measure_name(std::string_view kind, Split split);

/// Loss and accuracy on one split.
std::vector<Measure> loss_and_accuracy(Split split);

std::vector<std::string> names_of(const std::vector<Measure>& measures);

/// What a set of images gives at one vector of parameters.
struct Evaluation {
  double loss = 0;         // mean over the images
  double loss_se = 0;      // its standard error as an estimate of the mean over the whole split
  double accuracy = 0;     // percent
  double accuracy_se = 0;  // percent
  std::int64_t images = 0;
  std::map<std::string, double, std::less<>> more = {};  // other measures, by their kind
  std::vector<Evaluation> second = {};                   // of the second split's images; at most one

  /// Of a measure, by its kind. Throw std::logic_error if there is none.
  double value(std::string_view kind) const;
  double standard_error(std::string_view kind) const;
  /// `error`: its standard error, of measures that have one.
  void set(std::string_view kind, double value, double error);
};

/// What single samples give, in their order.
struct ImageResults {
  std::vector<double> losses;            // whose mean is the loss
  std::vector<std::uint8_t> is_correct;  // 1, or 0; of classifiers
};

}  // namespace lossatlas
