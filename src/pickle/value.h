#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace c10 {
enum class ScalarType : std::int8_t;  // as LibTorch declares it, which few rooms see
}

/// What a pickle can hold. Tensors are descriptions only: their bytes are read later, if wanted.
namespace lossatlas::pickle {

struct Value;
/// Values refer to one another freely (a hostile pickle makes cycles), so the Arena owns them all.
using Ref = Value*;

struct None {};
/// A str, in UTF-8; or a str of Python 2, which may be any bytes.
struct Text {
  std::string text;
};
struct Bytes {
  std::string bytes;
};
/// A list or a set.
struct List {
  std::vector<Ref> items;
};
struct Tuple {
  std::vector<Ref> items;
};
/// In the order of insertion; a damaged pickle can hold a key twice.
struct Dict {
  std::vector<std::pair<Ref, Ref>> items;
};
/// A function or class that the pickle asks for: "module.name".
struct Global {
  std::string name;
};
/// A function or class that is not read, and whatever calling it would have given. None of it is kept.
struct Foreign {
  std::string name;  // as a Global's; "" if there is none
  std::string why;   // it is not read, and what to do
  bool is_tensor;    // values of a tensor are lost with it
};
/// numpy.dtype of a scalar: kind is NumPy's letter (f, i, u, b), size is in bytes.
struct NumpyType {
  char kind;
  std::int64_t size;
  bool big_endian;
};

/// The memory that tensors are views of. Lengths count elements of `type`.
struct Storage {
  std::string key;  // of the record that holds its bytes
  c10::ScalarType type;
  std::int64_t numel;
  // Files before PyTorch 0.4 can hold a part of another storage as a storage of its own.
  std::int64_t view_offset;
  std::int64_t view_numel;
};

/// Not yet checked against its storage. Strides and offset count elements of `type`.
struct TensorView {
  const Storage* storage;
  c10::ScalarType type;
  std::int64_t offset;
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
  bool is_negative = false;  // its elements are those stored, negated (torch._neg_view)
};

struct Value {
  std::variant<None, bool, std::int64_t, std::uint64_t, double, Text, Bytes, List, Tuple, Dict, Global, Foreign,
               NumpyType, const Storage*, const TensorView*>
      data;

  /// The content if it is a T, else null.
  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  template <class T>
  T* as() {
    return std::get_if<T>(&data);
  }
};

/// Owns what a pickle made. Nothing is freed before the arena, and freeing does not recurse.
class Arena {
 public:
  /// `most_copied`: what may be copied within the pickle (charge).
  explicit Arena(std::size_t most_copied = 64'000'000) : most_copied_(most_copied) {}

  template <class T>
  Ref make(T content) {
    return &values_.emplace_back(Value{std::move(content)});
  }
  /// One value for all that are alike: a pickle can name one any number of times.
  Ref make_foreign(Foreign foreign) {
    Ref& known = foreign_[{foreign.name, foreign.why, foreign.is_tensor}];
    return known ? known : known = make(std::move(foreign));
  }
  const Storage* keep(Storage storage) { return &storages_.emplace_back(std::move(storage)); }
  const TensorView* keep(TensorView tensor) { return &tensors_.emplace_back(std::move(tensor)); }

  /// To be called before copying `size` bytes or items of what is there already. The rest of the memory taken is in
  /// proportion to the pickle; copies are not, since a pickle can name one value any number of times.
  void charge(std::size_t size) {
    copied_ += size;
    if (copied_ > most_copied_) {
      throw Error("the pickle repeats itself without end");
    }
  }

  const std::deque<Storage>& storages() const { return storages_; }
  const std::deque<TensorView>& tensors() const { return tensors_; }

 private:
  std::deque<Value> values_;
  std::deque<Storage> storages_;
  std::deque<TensorView> tensors_;
  std::map<std::tuple<std::string, std::string, bool>, Ref> foreign_;
  std::size_t most_copied_;
  std::size_t copied_ = 0;
};

}  // namespace lossatlas::pickle
