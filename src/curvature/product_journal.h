#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/append_file.h"
#include "curvature/vectors.h"

namespace lossatlas {

inline constexpr std::string_view kProductsMagic = "LAPRODCT";

/// A product A v, and what each batch of samples alone gives for vᵀAv.
struct Product {
  Vector image;
  std::vector<double> forms;
};

/// The products of an algorithm, in order, each on the disk as soon as it is known. An algorithm that was cut off is
/// run again from its beginning and gets them from here: as it asks for the same products, nothing of its own state is
/// stored. The file is removed when all is done.
class ProductJournal {
 public:
  /// Opens the file. What it holds counts if `head` (all that decides the products) is the same; else it begins again.
  /// Throws Error if the file is not such a journal.
  ProductJournal(std::filesystem::path file, const nlohmann::json& head, std::size_t size, std::size_t batches);

  /// The next product, if it is here and was made with this vector. After the first that is not, none is.
  std::optional<Product> next(std::span<const float> vector);
  /// Adds one, made with this vector.
  void add(std::span<const float> vector, const Product& product);
  /// Products that were there when it was opened, and were not asked for yet.
  std::size_t left() const { return left_; }

 private:
  std::size_t record_size() const;

  std::filesystem::path file_;
  std::size_t size_, batches_;
  std::size_t head_size_ = 0, used_ = 0, left_ = 0;  // bytes, records, records
  std::optional<AppendFile> out_;
};

/// The journal of a file of curvature: next to it.
std::filesystem::path products_of(const std::filesystem::path& file);
/// Throws Error if something else has that name.
void check_products(const std::filesystem::path& journal);

}  // namespace lossatlas
