#include "curvature/product_journal.h"

#include <fstream>

#include "base/error.h"
#include "catch.h"
#include "curvature/lanczos.h"
#include "curvature/matrices.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

const nlohmann::json kHead{{"seed", 0}, {"stage", "a test"}};

/// A matrix whose products come from the journal where it has them, and go into it.
SymmetricOperator remembered(const SymmetricOperator& matrix, ProductJournal& journal, std::size_t most) {
  return {matrix.size, [&matrix, &journal, most, made = std::size_t{0}](auto in, auto out) mutable {
            for (std::size_t k = 0; k < in.size(); ++k) {
              if (auto known = journal.next(in[k])) {
                out[k] = known->image;
                continue;
              }
              if (made++ == most) throw Error("stopped");
              matrix.apply(in.subspan(k, 1), out.subspan(k, 1));
              journal.add(in[k], {out[k], {1.5, static_cast<double>(k)}});
            }
          }};
}

}  // namespace

TEST_CASE("an algorithm that was cut off goes on to the same bits without a product twice") {
  const TemporaryFolder folder;
  const auto file = folder / "c.h5.products";
  Matrix matrix{outliers_and_bulk(200)};
  const auto operator_ = matrix.as_operator();
  const auto whole = lanczos(operator_, {});
  CHECK(whole.products > 5);
  matrix.products = 0;
  for (const std::size_t part : {3, 2}) {
    ProductJournal journal(file, kHead, 200, 2);
    CHECK_THROWS_AS(lanczos(remembered(operator_, journal, part), {}), Error);
  }
  CHECK(matrix.products == 5);
  std::ofstream(file, std::ios::app) << "a torn record";
  ProductJournal journal(file, kHead, 200, 2);
  CHECK(journal.left() == 5);
  const auto resumed = lanczos(remembered(operator_, journal, 1000), {});
  CHECK(matrix.products == whole.products);
  CHECK(resumed.pairs.values == whole.pairs.values);
  CHECK(resumed.pairs.vectors == whole.pairs.vectors);
}

TEST_CASE("a journal keeps products with their forms, whole or not at all") {
  const TemporaryFolder folder;
  const auto file = folder / "c.h5.products";
  const Vector one{1, 2}, two{3, 4};
  {
    ProductJournal journal(file, kHead, 2, 2);
    CHECK_FALSE(journal.next(one));
    journal.add(one, {{5, 6}, {7, 8}});
    journal.add(two, {{9, 10}, {11, 12}});
  }
  {
    ProductJournal journal(file, kHead, 2, 2);
    const auto first = journal.next(one);
    REQUIRE(first);
    CHECK(first->image == Vector{5, 6});
    CHECK(first->forms == std::vector<double>{7, 8});
    CHECK_FALSE(journal.next(one));  // the second is of another vector: what follows is of no use
    CHECK_FALSE(journal.next(two));
  }
  CHECK(ProductJournal(file, {{"seed", 1}, {"stage", "a test"}}, 2, 2).left() == 0);  // begins again
  CHECK(ProductJournal(file, kHead, 2, 2).left() == 0);
}

TEST_CASE("a damaged product ends the journal") {
  const TemporaryFolder folder;
  const auto file = folder / "c.h5.products";
  const Vector one{1, 2};
  std::uintmax_t head = 0;
  {
    ProductJournal journal(file, kHead, 2, 1);
    head = std::filesystem::file_size(file);
    journal.add(one, {{5, 6}, {7}});
  }
  std::fstream change(file, std::ios::in | std::ios::out | std::ios::binary);
  change.seekp(static_cast<std::streamoff>(head + 6));
  change.put('x');
  change.close();
  ProductJournal journal(file, kHead, 2, 1);
  CHECK(journal.left() == 1);
  CHECK_FALSE(journal.next(one));
}

TEST_CASE("another's file is not taken for a journal") {
  const TemporaryFolder folder;
  const auto file = folder / "c.h5.products";
  std::ofstream(file) << "mine";
  CHECK_THROWS_WITH(check_products(file), ContainsSubstring("not a journal of `lossatlas curvature`"));
  CHECK_THROWS_AS(ProductJournal(file, kHead, 2, 1), Error);
  CHECK(products_of("a/c.h5") == std::filesystem::path("a/c.h5.products"));
}
