#include "curvature/product_journal.h"

#include <bit>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "base/crc32.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace lossatlas {
namespace {

static_assert(std::endian::native == std::endian::little, "journals are little-endian");

using Checksum = std::uint32_t;

std::span<const std::byte> bytes_of(const auto& numbers) { return std::as_bytes(std::span(numbers)); }

template <class T>
std::span<const std::byte> take(std::span<const std::byte> bytes, std::span<T> numbers) {
  std::memcpy(numbers.data(), bytes.data(), numbers.size_bytes());
  return bytes.subspan(numbers.size_bytes());
}

void put(std::string& out, const auto& numbers) {
  const auto bytes = bytes_of(numbers);
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void put(std::string& out, Checksum number) { put(out, std::span<const Checksum>(&number, 1)); }

/// Magic, length, text, checksum of the text.
std::string bytes_of_head(const std::string& text) {
  std::string bytes(kProductsMagic);
  put(bytes, static_cast<Checksum>(text.size()));
  bytes += text;
  put(bytes, crc32(bytes_of(text)));
  return bytes;
}

/// True if the file begins with these bytes.
bool has_head(const std::filesystem::path& file, const std::string& head) {
  std::string found(head.size(), '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(found.data(), static_cast<std::streamsize>(found.size()));
  return in && found == head;
}

}  // namespace

ProductJournal::ProductJournal(std::filesystem::path file, const nlohmann::json& head, std::size_t size,
                               std::size_t batches)
    : file_(std::move(file)), size_(size), batches_(batches) {
  check_products(file_);
  const auto bytes = bytes_of_head(json_text(head));
  head_size_ = bytes.size();
  if (has_head(file_, bytes)) {
    left_ = (std::filesystem::file_size(file_) - head_size_) / record_size();
  } else {
    write_atomically(file_, [&](const ByteSink& sink) { sink(bytes_of(bytes)); });
  }
}

std::size_t ProductJournal::record_size() const {
  return 2 * sizeof(Checksum) + size_ * sizeof(float) + batches_ * sizeof(double);
}

std::optional<Product> ProductJournal::next(std::span<const float> vector) {
  if (left_ == 0) return std::nullopt;
  std::vector<std::byte> record(record_size());
  std::ifstream in(file_, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(head_size_ + used_ * record.size()));
  in.read(reinterpret_cast<char*>(record.data()), static_cast<std::streamsize>(record.size()));
  Product product{Vector(size_), std::vector<double>(batches_)};
  Checksum of_vector = 0, of_record = 0;
  auto rest = take(std::span<const std::byte>(record), std::span(&of_vector, 1));
  rest = take(rest, std::span(product.image));
  rest = take(rest, std::span(product.forms));
  take(rest, std::span(&of_record, 1));
  const bool is_whole =
      in && of_record == crc32(std::span<const std::byte>(record).first(record.size() - sizeof of_record));
  if (!is_whole || of_vector != crc32(bytes_of(vector))) {
    left_ = 0;
    return std::nullopt;
  }
  ++used_;
  --left_;
  return product;
}

void ProductJournal::add(std::span<const float> vector, const Product& product) {
  if (!out_) {
    std::filesystem::resize_file(file_,
                                 head_size_ + used_ * record_size());  // without what is torn or was not asked for
    out_.emplace(file_);
    left_ = 0;
  }
  std::string record;
  record.reserve(record_size());
  put(record, crc32(bytes_of(vector)));
  put(record, product.image);
  put(record, product.forms);
  put(record, crc32(bytes_of(record)));
  out_->append(record);
}

std::filesystem::path products_of(const std::filesystem::path& file) {
  auto journal = file;
  return journal += ".products";
}

void check_products(const std::filesystem::path& journal) {
  std::error_code code;
  const auto status = std::filesystem::symlink_status(journal, code);
  if (!std::filesystem::exists(status) || begins_with(journal, kProductsMagic)) return;
  throw Error(
      "{}: not a journal of `lossatlas curvature`, which keeps one under this name; move it away, or choose "
      "another `out`",
      journal.string());
}

}  // namespace lossatlas
