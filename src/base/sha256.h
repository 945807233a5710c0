#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lossatlas {

/// SHA-256 of bytes that come part by part.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::span<const std::byte> bytes);
  /// 64 lower-case hexadecimal digits. Once, after the last part. Throws Error if OpenSSL fails.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// SHA-256 of a text's bytes, as Sha256 has it.
std::string sha256_of_text(std::string_view text);

}  // namespace lossatlas
