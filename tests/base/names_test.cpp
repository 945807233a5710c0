#include "base/names.h"

#include "catch.h"

namespace {

enum class Fruit { apple, pear, fig };

constexpr lossatlas::NameTable<Fruit, 3> kFruits{{{Fruit::apple, "apple"}, {Fruit::pear, "pear"}, {Fruit::fig, "fig"}}};

static_assert(kFruits.name_of(Fruit::fig) == "fig");

}  // namespace

TEST_CASE("a table of names reads what it writes") {
  for (const Fruit fruit : {Fruit::apple, Fruit::pear, Fruit::fig}) {
    CHECK(kFruits.parse("--fruit", kFruits.name_of(fruit)) == fruit);
  }
}

TEST_CASE("a name that is not in the table is refused with those that are") {
  constexpr lossatlas::NameTable<Fruit, 1> kOne{{{Fruit::apple, "apple"}}};
  CHECK(kOne.list() == "apple");
  try {
    kFruits.parse("--fruit", "plum");
    FAIL("no error");
  } catch (const lossatlas::UsageError& error) {
    CHECK(std::string(error.what()) == "--fruit plum: requires apple, pear or fig");
  }
}
