#pragma once

#include <string_view>

namespace lossatlas {

/// Which part of a data set.
enum class Split { train, test };
std::string_view name_of(Split split);

}  // namespace lossatlas
