// What jobs name by fields, the command line names by options.
#include "cli/fields.h"

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "catch.h"

using lossatlas::with_options;

TEST_CASE("fields in messages become options") {
  CHECK(with_options("S.h5: exists; choose another `out`") == "S.h5: exists; choose another --out");
  CHECK(with_options("`bn_images`: requires `bn` recalibrate") == "--bn-images: requires --bn recalibrate");
  CHECK(with_options("`x` 2:1") == "--x 2:1");
  CHECK(with_options("`a`b`out`") == "`a`b--out");
}

TEST_CASE("text in backquotes that is no field stays") {
  for (const char* text : {"", "`", "``", "plain", "`lossatlas info --archs` lists them", "`outs`", "a `out"}) {
    CHECK(with_options(text) == text);
  }
}

TEST_CASE("nothing below the command line names an option, and every field that it names has one") {
  const auto source_folder = std::filesystem::path(LOSSATLAS_TEST_FILES).parent_path().parent_path() / "src";
  // The hints of these are stored in files as words to type.
  const std::set<std::string> hints{"range_advice.cpp", "summary.cpp"};
  const std::regex text("\"(?:[^\"\\\\]|\\\\.)*\""), field("`[a-z][a-z0-9_]*`"), option("(^|[ \"'(])--[a-z]");
  std::size_t fields = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source_folder)) {
    const auto room = *std::filesystem::relative(entry.path(), source_folder).begin();
    if (room == "cli" || !entry.is_regular_file() || hints.contains(entry.path().filename())) continue;
    std::ostringstream source;
    source << std::ifstream(entry.path()).rdbuf();
    std::istringstream lines(source.str());
    for (std::string line; std::getline(lines, line);) {
      line = line.substr(0, line.find("//"));
      for (std::sregex_iterator found(line.begin(), line.end(), text), end; found != end; ++found) {
        const std::string literal = found->str();
        INFO(entry.path().string() << ": " << literal);
        if (literal.find("lossatlas info") == literal.npos) CHECK(!std::regex_search(literal, option));
        for (std::sregex_iterator name(literal.begin(), literal.end(), field); name != end; ++name) {
          CHECK(with_options(name->str()).starts_with("--"));
          ++fields;
        }
      }
    }
  }
  CHECK(fields > 50);
}
