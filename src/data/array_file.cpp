#include "data/array_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "data/array_visit.h"

namespace lossatlas {
namespace {

constexpr std::array kInputs{"inputs", "images", "x", "X", "data"};
constexpr std::array kTargets{"targets", "labels", "y", "Y", "target", "label"};
constexpr auto kTakesImages = "built-in networks take images; `problem` takes arrays of any shape";
constexpr std::int64_t kMostClasses = 1'000'000;

/// What the arrays of a split are called.
struct Names {
  std::vector<std::string> inputs;
  std::string targets;  // "": there are none
};

/// "train_", "" of train_inputs; "", "_train" of x_train.
struct Form {
  std::string_view before, after;
  std::string operator()(std::string_view word) const { return fmt::format("{}{}{}", before, word, after); }
};

std::vector<Form> forms_of(Split split) {
  if (split == Split::train) return {{"train_", ""}, {"", "_train"}, {"", ""}};
  return {{"test_", ""}, {"", "_test"}, {"val_", ""}, {"", "_val"}};
}

/// Null if there is none of this name.
const ArrayFile::Entry* find(const ArrayFile& file, const std::string& name) {
  const auto found =
      std::find_if(file.entries().begin(), file.entries().end(), [&](const auto& entry) { return entry.name == name; });
  return found == file.entries().end() ? nullptr : &*found;
}

bool has(const ArrayFile& file, const std::string& name) { return find(file, name) != nullptr; }

/// NAME, or NAME_0, NAME_1, … as far as they go.
std::vector<std::string> one_or_several(const ArrayFile& file, const std::string& name) {
  if (has(file, name)) return {name};
  std::vector<std::string> names;
  for (std::string next = name + "_0"; has(file, next); next = fmt::format("{}_{}", name, names.size())) {
    names.push_back(next);
  }
  return names;
}

std::optional<Names> find_names(const ArrayFile& file, Split split) {
  for (const Form& form : forms_of(split)) {
    for (const auto* word : kInputs) {
      Names names{one_or_several(file, form(word)), ""};
      if (names.inputs.empty()) continue;
      const auto found =
          std::find_if(kTargets.begin(), kTargets.end(), [&](const char* target) { return has(file, form(target)); });
      if (found != kTargets.end()) names.targets = form(*found);
      return names;
    }
  }
  const std::size_t unnamed = one_or_several(file, "arr").size();
  if (split == Split::test || unnamed == 0 || unnamed != file.entries().size() || unnamed > 2) return std::nullopt;
  return Names{{"arr_0"}, unnamed == 2 ? "arr_1" : ""};
}

std::string list_of(const ArrayFile& file) {
  constexpr std::size_t kMost = 12;
  std::string list;
  for (const auto& entry : file.entries()) {
    if (&entry - file.entries().data() == kMost)
      return fmt::format("{} and {} more", list, file.entries().size() - kMost);
    std::string name = entry.name.substr(0, 80);
    std::replace_if(
        name.begin(), name.end(), [](char letter) { return letter < ' ' || letter == '\x7f'; }, '?');
    list += fmt::format("{}{} {} [{}]", list.empty() ? "" : ", ", name, entry.type, fmt::join(entry.shape, ", "));
  }
  return list.empty() ? "nothing" : list;
}

Names names_of(const ArrayFile& file, Split split) {
  if (const auto names = find_names(file, split)) return *names;
  const std::string holds = list_of(file);
  if (split == Split::test) {
    throw Error("{}: has no test split (test_inputs, test_targets); it holds {}", file.file().string(), holds);
  }
  throw Error("{}: requires arrays named train_inputs and train_targets, or inputs and targets; it holds {}",
              file.file().string(), holds);
}

void check_finite(const ArrayFile& file, const std::string& name, const Array& array) {
  visit_floats(array, [&](auto numbers) {
    const auto bad = std::find_if(numbers.begin(), numbers.end(), [](double x) { return !std::isfinite(x); });
    if (bad == numbers.end()) return;
    const auto row = static_cast<std::size_t>(bad - numbers.begin()) / (numbers.size() / array.rows());
    throw Error("{}: {}[{}] holds {}; inputs must be finite float{}", file.file().string(), name, row,
                static_cast<double>(*bad), 8 * bytes_of(array.type()));
  });
}

Array read(const ArrayFile& file, const std::string& name) {
  const ArrayFile::Entry& entry = *find(file, name);
  const std::string where = fmt::format("{}: {}", file.file().string(), name);
  Array array = file.read(entry);
  if (entry.shape.empty()) throw Error("{} is a single value; the first axis is the sample", where);
  if (array.rows() == 0) throw Error("{} has no rows", where);
  const auto is_bool = [](std::byte byte) { return byte <= std::byte{1}; };
  if (array.type() == NumberType::boolean && !std::all_of(array.bytes().begin(), array.bytes().end(), is_bool)) {
    throw Error("{} holds a bool that is neither 0 nor 1: it is damaged", where);
  }
  return array;
}

std::string shape_text(const Array& array) { return fmt::format("[{}]", fmt::join(array.shape(), ", ")); }

/// Whole numbers from 0, one a row.
std::vector<std::int64_t> labels_of(const ArrayFile& file, const std::string& name, const Array& array) {
  const auto where = file.file().string();
  if (array.size() != array.rows()) {
    throw Error("{}: {} has shape {}; built-in networks take one class number per row, [N] (of one-hot rows: argmax)",
                where, name, shape_text(array));
  }
  std::vector<std::int64_t> labels;
  visit(array, [&](auto numbers) {
    for (const auto number : numbers) {
      const auto label = static_cast<double>(number);
      const std::size_t row = labels.size();
      if (!(label >= 0) || label != std::floor(label)) {
        throw Error("{}: {}[{}] is {}; class labels are whole numbers from 0", where, name, row, label);
      }
      if (label >= kMostClasses) {
        throw Error("{}: {}[{}] is {}; class labels are below {}", where, name, row, label, kMostClasses);
      }
      labels.push_back(static_cast<std::int64_t>(label));
    }
  });
  return labels;
}

bool is_channels(std::int64_t size) { return size == 1 || size == 3 || size == 4; }

/// As [N, C, H, W] of the same type.
Array channels_first(const Array& images, const std::string& what) {
  const auto& shape = images.shape();
  const bool is_grey = shape.size() == 3;
  if (images.size() == 0 || (!is_grey && (shape.size() != 4 || !(is_channels(shape[1]) || is_channels(shape[3]))))) {
    throw Error("{} has shape {}, not [N, H, W], [N, C, H, W] or [N, H, W, C] with C 1, 3 or 4; {}", what,
                shape_text(images), kTakesImages);
  }
  if (is_grey) return images.reshaped({shape[0], 1, shape[1], shape[2]});
  if (is_channels(shape[1])) return images;
  const std::int64_t row = shape[2] * shape[3];
  const std::array strides{shape[1] * row, std::int64_t{1}, row, shape[3]};
  return gathered(images.type(), images.bytes().data(), {shape[0], shape[3], shape[1], shape[2]}, strides);
}

Array as_float32(const Array& array) {
  std::vector<float> values;
  values.reserve(array.size());
  visit(array, [&](auto numbers) {
    for (const auto number : numbers) values.push_back(static_cast<float>(number));
  });
  return {array.shape(), std::move(values)};
}

}  // namespace

ArrayData split_of(const ArrayFile& file, Split split) {
  const Names names = names_of(file, split);
  ArrayData data;
  data.file = file.file();
  const auto read_beside = [&](const std::string& name) {
    Array array = read(file, name);
    if (!data.inputs.empty() && array.rows() != data.inputs.front().rows()) {
      throw Error("{}: {} has {} rows, {} has {}", file.file().string(), names.inputs.front(),
                  data.inputs.front().rows(), name, array.rows());
    }
    return array;
  };
  for (const std::string& name : names.inputs) {
    data.inputs.push_back(read_beside(name));
    check_finite(file, name, data.inputs.back());
  }
  if (!names.targets.empty()) data.targets = read_beside(names.targets);
  return data;
}

bool has_test_arrays(const ArrayFile& file) { return find_names(file, Split::test).has_value(); }

DataSet labelled_images(const ArrayFile& file, Split split) {
  const std::string where = file.file().string();
  const Names names = names_of(file, split);
  if (names.inputs.size() > 1) {
    throw Error("{}: holds {} inputs, {} to {}; built-in networks take one, and `problem` any number", where,
                names.inputs.size(), names.inputs.front(), names.inputs.back());
  }
  const std::string& name = names.inputs.front();
  if (names.targets.empty()) {
    throw Error("{}: holds {} without targets, which built-in networks require; it holds {}", where, name,
                list_of(file));
  }
  const ArrayData arrays = split_of(file, split);
  Array images = arrays.inputs.front();
  if (images.type() != NumberType::uint8 && !is_float(images.type())) {
    throw Error("{}: {} is of {}; images are uint8, or floats", where, name, name_of(images.type()));
  }
  images = channels_first(images, fmt::format("{}: {}", where, name));
  DataSet data;
  data.labels = labels_of(file, names.targets, *arrays.targets);
  data.classes = *std::max_element(data.labels.begin(), data.labels.end()) + 1;
  const auto others = find_names(file, split == Split::train ? Split::test : Split::train);
  if (others && !others->targets.empty()) {  // both splits have the same classes
    const auto more = labels_of(file, others->targets, read(file, others->targets));
    data.classes = std::max(data.classes, *std::max_element(more.begin(), more.end()) + 1);
  }
  if (is_float(images.type()) && images.type() != NumberType::float32) {
    images = as_float32(images);
    check_finite(file, name, images);  // a float64 can be too large
  }
  data.pixels = images;
  data.shape = {images.shape()[1], images.shape()[2], images.shape()[3]};
  const auto channels = static_cast<std::size_t>(data.shape[0]);
  data.normalization = {std::vector<double>(channels, 0), std::vector<double>(channels, 1)};
  return data;
}

}  // namespace lossatlas
