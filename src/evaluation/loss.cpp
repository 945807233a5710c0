#include "evaluation/loss.h"

#include "base/names.h"

namespace lossatlas {
namespace {

constexpr NameTable<LossFunction, 2> kLossNames{
    {{LossFunction::cross_entropy, "cross-entropy"}, {LossFunction::mse, "mse"}}};

}  // namespace

std::string_view name_of(LossFunction loss) { return kLossNames.name_of(loss); }

LossFunction loss_function_of(const std::string& name) { return kLossNames.parse("`loss`", name); }

}  // namespace lossatlas
