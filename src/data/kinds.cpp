#include "data/kinds.h"

#include <charconv>

#include "base/error.h"
#include "data/cifar.h"
#include "data/hdf5_arrays.h"
#include "data/idx.h"
#include "data/image_folder.h"
#include "data/images.h"
#include "data/npz.h"
#include "data/synthetic.h"
#include "data/tokens.h"

namespace lossatlas {
namespace {

DataSet load_synthetic(const std::string& number, Split split) {
  std::uint32_t count = 5000;
  if (!number.empty()) {
    const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), count);
    if (failure != std::errc{} || end != number.data() + number.size() || count < 40 || count > 1'000'000) {
      throw UsageError(
          "`data` synthetic:{}: requires a number of training images from 40 to 1000000, as in synthetic:2000", number);
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

/// Named arrays in one file.
template <class File>
DataKind arrays_of(const std::string& name) {
  using Rest = const std::string&;
  return {.name = name,
          .shown = name + ":FILE",
          .load = [](Rest file, Split split, const ImageOptions&,
                     const DataObserver&) { return labelled_images(File(file), split); },
          .load_arrays = [](Rest file, Split split, const TokenOptions&) { return split_of(File(file), split); },
          .has_test = [](Rest file) { return has_test_arrays(File(file)); },
          .files = [](Rest file) { return std::vector<std::filesystem::path>{file}; }};
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
       .class_names = [](Rest folder, Split split) { return list_images(folder, split).classes; },
       .files = [](Rest folder) { return image_files(folder); }},
      arrays_of<NpzFile>("npz"),
      arrays_of<Hdf5Arrays>("hdf5"),
      {.name = "tokens",
       .shown = "tokens:FILE[:T]",
       .load_arrays = load_tokens,
       .has_test = has_test_tokens,
       .files = token_files},
  };
  return kinds;
}

}  // namespace lossatlas
