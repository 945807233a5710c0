#include "data/kinds.h"

#include <charconv>

#include "base/error.h"
#include "data/cifar.h"
#include "data/idx.h"
#include "data/image_folder.h"
#include "data/images.h"
#include "data/synthetic.h"

namespace lossatlas {
namespace {

DataSet load_synthetic(const std::string& number, Split split) {
  std::uint32_t count = 5000;
  if (!number.empty()) {
    const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), count);
    if (failure != std::errc{} || end != number.data() + number.size() || count < 40 || count > 1'000'000) {
      throw UsageError(
          "`data` synthetic:{}: wants a number of training images from 40 to 1000000, as in synthetic:2000", number);
    }
  }
  return make_synthetic(count, split);
}

/// cifar100:DIR and cifar100:DIR:coarse.
std::pair<Cifar, std::string> cifar100(std::string rest) {
  constexpr std::string_view kCoarse = ":coarse";
  if (!rest.ends_with(kCoarse)) return {Cifar::hundred, std::move(rest)};
  rest.resize(rest.size() - kCoarse.size());
  return {Cifar::hundred_coarse, std::move(rest)};
}

}  // namespace

const std::vector<DataKind>& data_kinds() {
  using Rest = const std::string&;
  using Options = const ImageOptions&;
  using Hears = const DataObserver&;
  using Files = std::vector<std::filesystem::path>;
  static const std::vector<DataKind> kinds{
      {.name = "synthetic",
       .shown = "synthetic[:N]",
       .load = [](Rest number, Split split, Options, Hears) { return load_synthetic(number, split); },
       .files = [](Rest) { return Files(); }},
      {.name = "cifar10",
       .shown = "cifar10:DIR",
       .load = [](Rest folder, Split split, Options, Hears) { return load_cifar(Cifar::ten, folder, split); },
       .files = [](Rest folder) { return cifar_files(Cifar::ten, folder); }},
      {.name = "cifar100",
       .shown = "cifar100:DIR[:coarse]",
       .load =
           [](Rest rest, Split split, Options, Hears) {
             const auto [kind, folder] = cifar100(rest);
             return load_cifar(kind, folder, split);
           },
       .files =
           [](Rest rest) {
             const auto [kind, folder] = cifar100(rest);
             return cifar_files(kind, folder);
           }},
      {.name = "mnist",
       .shown = "mnist:DIR",
       .load = [](Rest folder, Split split, Options, Hears) { return load_idx(folder, split); },
       .files = [](Rest folder) { return idx_files(folder); }},
      {.name = "images",
       .shown = "images:DIR",
       .load = load_images,
       .has_test = [](Rest folder) { return has_test_images(folder); },
       .files = [](Rest folder) { return image_files(folder); }},
  };
  return kinds;
}

}  // namespace lossatlas
