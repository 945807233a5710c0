#include "jobs/epochs.h"

#include <optional>
#include <string>
#include <vector>

#include "catch.h"

using lossatlas::epochs_of_names;

namespace {

using Epochs = std::optional<std::vector<std::int64_t>>;

Epochs epochs(const std::vector<std::string>& names) {
  return epochs_of_names(std::vector<std::filesystem::path>(names.begin(), names.end()));
}

}  // namespace

TEST_CASE("the number after epoch, ep or e is the epoch") {
  CHECK(epochs({"epoch=8-step=80.ckpt", "epoch=9-step=90.ckpt"}) == Epochs{{8, 9}});
  CHECK(epochs({"checkpoint-epoch_012.pt"}) == Epochs{{12}});
  CHECK(epochs({"e12.pt", "e9.pt"}) == Epochs{{12, 9}});  // in the order that was given
  CHECK(epochs({"resnet18-EP.3.t7"}) == Epochs{{3}});
  CHECK(epochs({"step=80-Epoch 8.ckpt"}) == Epochs{{8}});
  CHECK(epochs({"run_2024-01-31_e007_lr1e-4.pt"}) == Epochs{{7}});
  CHECK(epochs({"e5-epoch8.pt"}) == Epochs{{8}});
  // In a word, behind a digit, or with a fraction it is none.
  CHECK(epochs({"ckpt_base5.pt"}) == Epochs{});
  CHECK(epochs({"lr1e5.pt"}) == Epochs{});
  CHECK(epochs({"epoch8.5.pt"}) == Epochs{});
  CHECK(epochs({"epoch99999999999999999999.pt"}) == Epochs{});
}

TEST_CASE("without an epoch, the number after step is the step") {
  CHECK(epochs({"step-000100.pt", "step-000200.pt"}) == Epochs{{100, 200}});
  CHECK(epochs({"global_step5.pt"}) == Epochs{{5}});
  CHECK(epochs({"m_8_step80.pt", "m_9_step90.pt"}) == Epochs{{80, 90}});
  const auto steps = [](const std::vector<std::string>& names) {
    return lossatlas::are_steps(std::vector<std::filesystem::path>(names.begin(), names.end()));
  };
  CHECK(steps({"step-000100.pt", "step-000200.pt"}));
  CHECK(steps({"epochs/step-000100.pt"}));
  CHECK_FALSE(steps({"epoch=8-step=80.ckpt", "epoch=9-step=90.ckpt"}));
  CHECK_FALSE(steps({"step-000100.pt", "last-2.pt"}));
  CHECK_FALSE(steps({"footstep1.pt"}));
}

TEST_CASE("else the only number that differs and rises is") {
  CHECK(epochs({"model_8_acc99.9.pt", "model_9_acc99.95.pt"}) == Epochs{{8, 9}});
  CHECK(epochs({"resnet18_8_lr0.1.pth", "resnet18_10_lr0.1.pth"}) == Epochs{{8, 10}});
  CHECK(epochs({"model_1_acc70.pt", "model_2_acc90.pt", "model_3_acc80.pt"}) == Epochs{{1, 2, 3}});
  CHECK(epochs({"model2.pt", "model12.pt"}) == Epochs{{2, 12}});
  CHECK(epochs({"resnet20_8.pt", "resnet20_12.pt"}) == Epochs{{8, 12}});
  CHECK(epochs({"a/2024-01-01/step_5/model.bin", "a/2024-01-02/step_10/model.bin"}) == Epochs{{5, 10}});
  CHECK(epochs({"model-5.pt", "model-6.pt"}) == Epochs{{5, 6}});
}

TEST_CASE("else the names do not tell") {
  CHECK(epochs({"model12.pt"}) == Epochs{});  // nothing to differ from
  CHECK(epochs({"ckpt.pt", "best.pt"}) == Epochs{});
  CHECK(epochs({"model_3.pt", "model_2.pt"}) == Epochs{});                 // falls
  CHECK(epochs({"model_3.pt", "model_3b.pt", "model_4.pt"}) == Epochs{});  // stays
  CHECK(epochs({"m_8_batch80.pt", "m_9_batch90.pt"}) == Epochs{});         // which of the two?
  CHECK(epochs({"m_1.pt", "m_2_best_3.pt"}) == Epochs{});
  CHECK(epochs({"m_0.1.pt", "m_0.2.pt"}) == Epochs{});
  CHECK(epochs({"2024-01-01.pt", "2024-01-02.pt"}) == Epochs{});
  CHECK(epochs({"20240101.pt", "20240102.pt"}) == Epochs{});
  CHECK(epochs({"1700000000.pt", "1700000060.pt"}) == Epochs{});
}
