#include <cmath>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/landscape_inputs.h"
#include "cli/landscape_words.h"
#include "cli/surface_run.h"
#include "cli/version.h"
#include "evaluation/recalibration.h"
#include "landscape/checkpoint_plane.h"
#include "landscape/journal.h"
#include "landscape/path.h"
#include "training/curve.h"

namespace lossatlas {
namespace {

using nlohmann::json;

struct PathWords {
  std::filesystem::path from, to;
  LandscapeWords landscape;
  std::string curve = "bezier";
  std::size_t bends = 1;
  CurveOptions training;
  std::size_t points = 61;
  std::filesystem::path save_bends;  // "": --out without its suffix
  std::filesystem::path plane_out;
  std::string grid = "21x21";

  std::filesystem::path bend_file(std::size_t number) const {
    auto prefix = save_bends;
    if (prefix.empty()) prefix = landscape.out.parent_path() / landscape.out.stem();
    return prefix += fmt::format(".bend-{}.pt", number);
  }

  /// Where a training that was cut off goes on.
  std::filesystem::path state_file() const {
    auto file = landscape.out;
    return file += ".curve.pt";
  }
};

void add_options(CLI::App& command, PathWords& words) {
  command.add_option("--from", words.from, "checkpoint where the curve begins")->required()->type_name("FILE");
  command.add_option("--to", words.to, "checkpoint where it ends, of the same network")->required()->type_name("FILE");
  auto& landscape = words.landscape;
  landscape.out = "outputs/path.h5";
  landscape.split = "both";
  landscape.batch_norm = "recalibrate";
  landscape.add_network_to(command);
  command.add_option("--curve", words.curve, "bezier or polygon")->capture_default_str();
  command.add_option("--bends", words.bends, "points between the ends that are trained")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  auto& training = words.training;
  training.loop.epochs = 30;
  command.add_option("--epochs", training.loop.epochs, "times through the training images")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command.add_option("--lr", training.learning_rate, "learning rate of the first half; it falls to a hundredth at 90 %")
      ->check(above_zero())
      ->capture_default_str();
  command.add_option("--momentum", training.momentum, "μ of SGD")->check(CLI::Range(0.0, 0.999999))->capture_default_str();
  command.add_option("--weight-decay", training.weight_decay, "λ: λ/2 ‖θ(t)‖² is added to the loss")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_flag("--augment", training.loop.augment, "random shifts and flips");
  command.add_option("--seed", training.loop.seed, "decides order, augmentation and the points of the curve trained at")
      ->check(whole_number())
      ->capture_default_str();
  command.add_option("--points", words.points, "values of t, from 0 to 1, at which curve and line are evaluated")
      ->check(CLI::Range(2, 100'000))
      ->capture_default_str();
  command.add_option("--save-bends", words.save_bends, "PREFIX.bend-1.pt, … (default: beside --out)")->type_name("PREFIX");
  command.add_option("--plane-out", words.plane_out, "also the surface of the plane through the ends and a bend")
      ->type_name("FILE.h5");
  command.add_option("--grid", words.grid, "its points along x and y")->capture_default_str();
  landscape.add_values_to(command);
  landscape.add_running_to(command);
  command.add_flag("--resume", landscape.resume, "go on with --out, if it was begun");
  command.add_flag("--force", landscape.force, "replace an existing --out");
}

}  // namespace
}  // namespace lossatlas
