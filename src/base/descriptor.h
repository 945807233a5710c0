#pragma once

#include <unistd.h>

#include <utility>

namespace lossatlas {

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  /// Takes what open() returned; below 0 there is none.
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }

  int get() const { return value_; }

 private:
  int value_;
};

}  // namespace lossatlas
