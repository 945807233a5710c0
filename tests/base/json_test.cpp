#include "base/json.h"

#include "catch.h"

using namespace lossatlas;

TEST_CASE("JSON of a stranger is parsed, unless it is none or nests without end") {
  CHECK(parse_json(R"({"a": [1, {"b": null}]})") == nlohmann::json{{"a", {1, {{"b", nullptr}}}}});
  CHECK(parse_json("{").is_discarded());
  CHECK(parse_json("").is_discarded());
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK(parse_json(deep).is_discarded());
  CHECK(parse_json(R"({"a": )" + deep + "}").is_discarded());
}
