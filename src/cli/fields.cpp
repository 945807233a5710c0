#include "cli/fields.h"

#include <fmt/format.h>

#include <algorithm>

namespace lossatlas {
namespace {

/// Each is an option: --bn-images of bn_images. Between blanks.
constexpr std::string_view kFields =
    " arch augment axes axis batch_size bends betas bn bn_images broadcast budget checkpoint checkpoints class_loss "
    "classes crop "
    "data delta"
    " device dir_type directions distribution draw dtype engine epochs eps field force from grid ignore image_cache"
    " instruction_set interp interpolation key l2 lines log loss lr lr_epochs lr_factor lr_schedule lr_steps mean "
    "momentum"
    " nesterov norm optimizer orthogonal out partial plane plane_out points problem project repeat resize resume rho "
    "run "
    "sample_seed"
    " samples save_bends save_directions save_every save_projection seed shape shard skip_bad split std test_data "
    "threads to "
    "tolerance top5"
    " w warmup weight_decay width x y z"
    " curvature_products by csv draws every rho sigma eigen_samples eigen_trace curvature scale_curvature step density "
    "density_steps low "
    "most_products operator parameters threshold top trace ";

std::string option_of(std::string_view field) {
  std::string option = "--" + std::string(field);
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

}  // namespace

std::string with_options(std::string_view message) {
  std::string text;
  while (true) {
    const std::size_t open = message.find('`');
    const std::size_t close = open == message.npos ? open : message.find('`', open + 1);
    if (close == message.npos) return text.append(message);
    const std::string_view name = message.substr(open + 1, close - open - 1);
    const bool is_field = kFields.find(fmt::format(" {} ", name)) != kFields.npos;
    text.append(message.substr(0, open)).append(is_field ? option_of(name) : message.substr(open, close - open));
    message.remove_prefix(is_field ? close + 1 : close);
  }
}

}  // namespace lossatlas
