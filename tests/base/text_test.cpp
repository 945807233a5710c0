#include "base/text.h"

#include <string>
#include <vector>

#include "catch.h"

using lossatlas::nearest;
using Words = std::vector<std::string>;

TEST_CASE("nearest finds the word that was meant") {
  const Words options{"grid", "seed", "samples", "batch-size", "save-directions", "directions"};
  CHECK(nearest("gird", options) == "grid");
  CHECK(nearest("grd", options) == "grid");
  CHECK(nearest("grids", options) == "grid");
  CHECK(nearest("sample", options) == "samples");
  CHECK(nearest("batchsize", options) == "batch-size");
  CHECK(nearest("direction", options) == "directions");
  CHECK(nearest("grid", options) == "grid");
}

TEST_CASE("nearest takes the nearer of two, and the first of equals") {
  CHECK(nearest("resnet18cifar", Words{"resnet18", "resnet34-cifar", "resnet18-cifar"}) == "resnet18-cifar");
  CHECK(nearest("vgg12", Words{"vgg11", "vgg13"}) == "vgg11");
}

TEST_CASE("nearest does not mind capitals") {
  CHECK(nearest("VGG16", Words{"vgg19", "vgg16"}) == "vgg16");
  CHECK(nearest("WRN56_2_noshort", Words{"wrn56-2", "wrn56-2-noshort"}) == "wrn56-2-noshort");
}

TEST_CASE("nearest finds nothing where nothing is near") {
  CHECK(nearest("epochs", Words{"grid", "seed"}).empty());
  CHECK(nearest("xy", Words{"lr"}).empty());
  CHECK(nearest("foo", Words{"cos", "log"}).empty());
  CHECK(nearest("", Words{"x", "lr"}).empty());
  CHECK(nearest("grid", Words{}).empty());
}

TEST_CASE("of a short word nothing is near that shares only a letter") {
  CHECK(nearest("lr", Words{"l2"}).empty());
  CHECK(nearest("xs", Words{"x", "y"}).empty());
  CHECK(nearest("run", Words{"out"}).empty());
  CHECK(nearest("depth", Words{"dtype"}).empty());
}

TEST_CASE("a word begun, or with something behind it, is near") {
  CHECK(nearest("check", Words{"class-loss", "checkpoint"}) == "checkpoint");
  CHECK(nearest("output", Words{"log", "out"}) == "out");
  CHECK(nearest("Dataset", Words{"data"}) == "data");
  CHECK(nearest("st", Words{"std-of-all"}).empty());
}

TEST_CASE("a third of the letters may be wrong") {
  CHECK(nearest("sim", Words{"cos", "sin"}) == "sin");
  CHECK(nearest("isn", Words{"sin"}) == "sin");  // two swapped letters are one change
  CHECK(nearest("power", Words{"pow"}) == "pow");
  CHECK(nearest("abcdefghi", Words{"abcdefxyz"}) == "abcdefxyz");
  CHECK(nearest("abcdefghi", Words{"abcdewxyz"}).empty());
}

TEST_CASE("the reason is the error at the end of a TorchScript traceback") {
  using lossatlas::reason_of;
  CHECK(reason_of("The following operation failed in the TorchScript interpreter.\n"
                  "Traceback of TorchScript, serialized code (most recent call last):\n"
                  "  File \"code/__torch__.py\", line 9, in forward\n    return torch.linear(x, w)\n"
                  "           ~~~~~~~~~~~~ <--- HERE\n\n"
                  "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x3072 and 1024x10)\n") ==
        "mat1 and mat2 shapes cannot be multiplied (1x3072 and 1024x10)");
  CHECK(reason_of("\n Unknown builtin op: foo::bar.\nHere are some suggestions\n") == "Unknown builtin op: foo::bar.");
  CHECK(reason_of("bad shape\nException raised from f at g.cpp:1 (most recent call first):\nframe #0: h") ==
        "bad shape");
  CHECK(reason_of("").empty());
}

TEST_CASE("a command line is printed so that a shell reads the same words") {
  const std::vector<std::string> words{"lossatlas", "--x=-1:1", "a b", "it's", "", "$HOME"};
  CHECK(lossatlas::shell_line(words) == "lossatlas --x=-1:1 'a b' 'it'\\''s' '' '$HOME'");
}

TEST_CASE("a name that is not known is refused, with the one that was meant") {
  const Words names{"sgd", "adam", "adamw"};
  CHECK_NOTHROW(lossatlas::check_known("`optimizer`", "adam", names));
  CHECK_THROWS_WITH(lossatlas::check_known("`optimizer`", "adm", names),
                    "`optimizer` adm: requires sgd, adam, adamw, did you mean 'adam'?");
  CHECK_THROWS_WITH(lossatlas::check_known("`optimizer`", "rprop", names),
                    "`optimizer` rprop: requires sgd, adam, adamw");
}
