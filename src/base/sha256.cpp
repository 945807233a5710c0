#include "base/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <memory>
#include <vector>

#include "base/error.h"

namespace lossatlas {
namespace {

class Digest {
 public:
  Digest() : is_fine_(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1) {}

  void add(const char* bytes, std::size_t count) {
    is_fine_ = is_fine_ && EVP_DigestUpdate(context_.get(), bytes, count) == 1;
  }

  /// As hexadecimal digits; "" where OpenSSL failed.
  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    is_fine_ = is_fine_ && EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1;
    return is_fine_ ? fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + size, "")) : "";
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  bool is_fine_;
};

}  // namespace

std::string sha256_of_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error("{}: cannot be read", file.string());
  Digest digest;
  std::vector<char> block(1 << 20);
  while (in) {
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    digest.add(block.data(), static_cast<std::size_t>(in.gcount()));
  }
  const std::string text = in.bad() ? "" : digest.finish();
  if (text.empty()) throw Error("{}: cannot be read to its end", file.string());
  return text;
}

std::string sha256_of_text(std::string_view text) {
  Digest digest;
  digest.add(text.data(), text.size());
  return digest.finish();
}

}  // namespace lossatlas
