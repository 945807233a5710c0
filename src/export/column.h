#pragma once

#include <string>
#include <vector>

namespace lossatlas {

/// Numbers under a name: "epoch", "train_loss".
struct Column {
  std::string name;
  std::vector<double> values;
};

}  // namespace lossatlas
