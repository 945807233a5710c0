#pragma once

#include <memory>

#include "evaluation/loss.h"
#include "evaluation/problem.h"
#include "models/spec.h"

namespace lossatlas {

/// A network of ours, or of a file (TorchScript, torch.export), that classifies Images. Throws as make_network and
/// check_exported_network do, and Error if a TorchScript file draws random numbers.
std::shared_ptr<const Problem> make_classifier(const NetworkSpec& network,
                                               LossFunction loss = LossFunction::cross_entropy,
                                               const Extras& extras = {});

/// What keeps the fused engine from a network: "the operator aten::…"; "" if nothing does. Costs as much as an Engine.
/// Throws as make_network does.
std::string why_not_fused(const NetworkSpec& network);
std::string why_not_fused(const Problem& problem);

/// Whether the outputs of a network of a file are no logits: in each row of a few images they are 0 or more and sum
/// to 1, as after a softmax.
bool gives_probabilities(const NetworkSpec& network, const SampleSource& images);

}  // namespace lossatlas
