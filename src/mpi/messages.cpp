#include "mpi/messages.h"

#include <cstring>
#include <type_traits>

#include "base/error.h"

namespace lossatlas {
namespace {

/// Writes what it is given one after the other.
class Packer {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void put(const T& number) { bytes.append(reinterpret_cast<const char*>(&number), sizeof number); }
  void put(const std::string& text) {
    put(text.size());
    bytes.append(text);
  }
  template <class T>
  void put(const std::vector<T>& values) {
    put(values.size());
    if constexpr (std::is_arithmetic_v<T>) {
      bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    } else {
      for (const T& value : values) put(value);
    }
  }
  void put(const Evaluation& value) {
    for (const double number : {value.loss, value.loss_se, value.accuracy, value.accuracy_se}) put(number);
    put(value.images);
    put(value.more.size());
    for (const auto& [kind, number] : value.more) put(kind), put(number);
    put(value.second);
  }
  void put(const DoneItem& done) {
    put(done.item), put(done.seconds);
    put(done.result.values), put(done.result.images.losses), put(done.result.images.is_correct);
  }

  std::string bytes;
};

/// Reads it back, in the same order.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void get(T& number) { std::memcpy(&number, take(sizeof number), sizeof number); }
  void get(std::string& text) {
    const std::size_t size = count(1);
    text.assign(take(size), size);
  }
  template <class T>
  void get(std::vector<T>& values) {
    if constexpr (std::is_arithmetic_v<T>) {
      values.resize(count(sizeof(T)));
      if (!values.empty()) std::memcpy(values.data(), take(values.size() * sizeof(T)), values.size() * sizeof(T));
    } else {
      values.resize(count(1));
      for (T& value : values) get(value);
    }
  }
  void get(Evaluation& value) {
    for (double* number : {&value.loss, &value.loss_se, &value.accuracy, &value.accuracy_se}) get(*number);
    get(value.images);
    for (std::size_t left = count(1); left > 0; --left) {
      std::string kind;
      get(kind);
      get(value.more[kind]);
    }
    get(value.second);
  }
  void get(DoneItem& done) {
    get(done.item), get(done.seconds);
    get(done.result.values), get(done.result.images.losses), get(done.result.images.is_correct);
  }

 private:
  /// A number of things of at least that many bytes each, which are still to come.
  std::size_t count(std::size_t bytes_each) {
    std::size_t number = 0;
    get(number);
    if (number > bytes_.size() / bytes_each) throw Error("a message of another rank is damaged");
    return number;
  }
  const char* take(std::size_t size) {
    if (size > bytes_.size()) throw Error("a message of another rank is damaged");
    const char* begin = bytes_.data();
    bytes_.remove_prefix(size);
    return begin;
  }

  std::string_view bytes_;
};

}  // namespace

std::string packed(const Message& message) {
  Packer packer;
  packer.put(message.kind), packer.put(message.status), packer.put(message.dropped);
  packer.put(message.text), packer.put(message.items), packer.put(message.done);
  return std::move(packer.bytes);
}

Message unpacked(std::string_view bytes) {
  Unpacker unpacker(bytes);
  Message message;
  unpacker.get(message.kind), unpacker.get(message.status), unpacker.get(message.dropped);
  unpacker.get(message.text), unpacker.get(message.items), unpacker.get(message.done);
  return message;
}

}  // namespace lossatlas
