#pragma once

#include <array>
#include <string>
#include <vector>

namespace lossatlas {

/// A lowest or highest point of a function.
struct Extremum {
  std::vector<double> point;
  double value = 0;
};

/// A well-known function: by name, with the part of its domain that is usually drawn.
struct NamedFunction {
  std::string name;
  std::string summary;  // one line: what it is there to show
  std::string expression;
  std::vector<std::array<double, 2>> domain;  // [low, high] of each variable
  std::vector<double> start;                  // where a descent begins unless told otherwise
  double rate;                                // at which plain descent gets somewhere from there in 100 steps
  bool maximizes = false;                     // `global` holds maxima: it is there to be climbed
  std::vector<Extremum> global;               // empty if it is not bounded
};

const std::vector<NamedFunction>& gallery();

/// nullptr if no function has this name.
const NamedFunction* find_function(const std::string& name);

}  // namespace lossatlas
