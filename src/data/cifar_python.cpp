#include "data/cifar_python.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>

#include "base/error.h"
#include "base/mapped_file.h"
#include "data/array_visit.h"
#include "data/npy.h"
#include "pickle/numpy_scalar.h"
#include "pickle/printable.h"
#include "pickle/unpickler.h"

namespace lossatlas {
namespace {

using pickle::Arena;
using pickle::Ref;
using pickle::Tuple;
using pickle::Value;

constexpr std::array kReconstruct{"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"};
constexpr std::array kFromBuffer{"numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"};
constexpr std::array kScalar{"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"};
constexpr std::array kOthers{"numpy.ndarray", "numpy.dtype", "_codecs.encode"};

[[noreturn]] void refuse(std::string_view what) { throw Error("is not a file of CIFAR's Python version: {}", what); }

template <class T>
const T& content(const Value& value, std::string_view what) {
  const T* found = value.as<T>();
  if (!found) refuse(what);
  return *found;
}

/// NumPy's arrays, each the tuple that NumPy gives it as its state: version, shape, type, whether in the order of
/// Fortran, bytes.
class NumpyObjects : public pickle::Objects {
 public:
  Ref global(std::string name, Arena& arena) override {
    const auto is_among = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
    if (!is_among(kReconstruct) && !is_among(kFromBuffer) && !is_among(kScalar) && !is_among(kOthers)) {
      refuse(fmt::format("it asks for '{}', which is never run", pickle::printable(name)));
    }
    return arena.make(pickle::Global{std::move(name)});
  }

  Ref call(std::span<const Ref> call, Arena& arena) override {
    const std::string_view name = content<pickle::Global>(*call[0], "it calls something that is not a function").name;
    const auto is_one_of = [&](const auto& names) { return name == names[0] || name == names[1]; };
    const auto& arguments = content<Tuple>(*call[1], "it calls a function without arguments").items;
    if (is_one_of(kReconstruct)) return arena.make(Tuple{});
    if (is_one_of(kScalar)) return pickle::numpy_scalar(arguments, arena);
    if (name == "numpy.dtype") return pickle::numpy_type(arguments, arena);
    if (name == "_codecs.encode") return pickle::encode_latin1(arguments, arena);
    if (!is_one_of(kFromBuffer) || arguments.size() != 4) refuse(fmt::format("it calls '{}'", name));
    const auto* order = arguments[3]->as<pickle::Text>();
    const Ref is_fortran = arena.make(order != nullptr && order->text == "F");
    return arena.make(Tuple{{call[0], arguments[2], arguments[1], is_fortran, arguments[0]}});
  }

  void set_state(Value& object, const Value& state) override {
    if (auto* type = object.as<pickle::NumpyType>()) return pickle::set_byte_order(*type, state);
    auto* array = object.as<Tuple>();
    if (!array || !array->items.empty()) refuse("it sets the state of what is not an array");
    const auto& items = content<Tuple>(state, "an array has no state").items;
    if (items.size() != 5) refuse("an array's state is damaged");
    array->items = items;
  }

  Ref persistent(const Value&, Arena&) override { refuse("it has persistent objects"); }
};

/// Nothing for what is not an array. `bytes` lie in the arena, to which `owner` belongs.
std::optional<Array> array_of(const Value& value, const std::shared_ptr<const void>& owner) {
  const Tuple* state = value.as<Tuple>();
  if (!state || state->items.size() != 5) return std::nullopt;
  const auto& type = content<pickle::NumpyType>(*state->items[2], "an array is not of numbers");
  NpyHeader header{.type = fmt::format("{}{}{}", type.big_endian ? '>' : '<', type.kind, type.size),
                   .is_fortran = content<bool>(*state->items[3], "an array's order is damaged"),
                   .shape = {}};
  for (const Ref size : content<Tuple>(*state->items[1], "an array's shape is damaged").items) {
    header.shape.push_back(content<std::int64_t>(*size, "an array's shape is damaged"));
    if (header.shape.back() < 0) refuse("an array's shape is damaged");
  }
  const auto* text = state->items[4]->as<pickle::Text>();  // of Python 2
  const std::string& bytes =
      text ? text->text : content<pickle::Bytes>(*state->items[4], "an array has no bytes").bytes;
  if (bytes.size() != numbers_size(header)) refuse("an array's shape and its bytes differ");
  return npy_array(header, std::shared_ptr<const void>(owner, bytes.data()));
}

const Value& entry(const pickle::Dict& dict, const std::string& name) {
  for (const auto& [key, value] : dict.items) {
    const auto* text = key->as<pickle::Text>();
    const auto* bytes = key->as<pickle::Bytes>();
    if ((text && text->text == name) || (bytes && bytes->bytes == name)) return *value;
  }
  refuse(fmt::format("it has no '{}'", name));
}

std::vector<std::int64_t> labels_in(const Value& value, const std::shared_ptr<const void>& owner) {
  std::vector<std::int64_t> labels;
  if (const auto array = array_of(value, owner)) {
    visit(*array, [&]<class Number>(std::span<const Number> numbers) {
      if constexpr (std::is_integral_v<Number>) labels.assign(numbers.begin(), numbers.end());
    });
    return labels;
  }
  for (const Ref label : content<pickle::List>(value, "its labels are not a list").items) {
    labels.push_back(content<std::int64_t>(*label, "a label is not a whole number"));
  }
  return labels;
}

CifarBatch read_batch(std::string_view bytes, const std::string& labels) {
  constexpr std::size_t kOthersCopied = 1 << 20;
  const auto arena = std::make_shared<Arena>(bytes.size() + kOthersCopied);
  NumpyObjects objects;
  const Value& root = *pickle::unpickle(bytes, *arena, objects).root;
  const auto& dict = content<pickle::Dict>(root, "it holds no dictionary");
  const auto pixels = array_of(entry(dict, "data"), arena);
  if (!pixels || pixels->type() != NumberType::uint8 || pixels->shape().size() != 2 ||
      pixels->shape()[1] != std::int64_t{kCifarPixels}) {
    refuse("its 'data' is not an array of uint8 [N, 3072]");
  }
  CifarBatch batch{*pixels, labels_in(entry(dict, labels), arena)};
  if (batch.labels.size() != batch.pixels.rows()) {
    throw Error("holds {} images and {} labels", batch.pixels.rows(), batch.labels.size());
  }
  if (batch.labels.empty()) throw Error("holds no images");
  return batch;
}

}  // namespace

CifarBatch read_cifar_batch(const std::filesystem::path& file, const std::string& labels) {
  const MappedFile mapped(file);
  try {
    return read_batch({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()}, labels);
  } catch (const Error& error) {
    throw Error("{}: {}", file.string(), error.what());
  }
}

}  // namespace lossatlas
