#include "base/error.h"
#include "catch.h"
#include "checkpoint/torch_objects.h"

using namespace lossatlas;
using namespace lossatlas::pickle;
using namespace std::string_literals;

namespace {

/// The one value of this pickle, which must be a T.
template <class T>
T value_of(const std::string& pickle) {
  Arena arena;
  const Loaded loaded = unpickle(pickle, arena);
  CHECK(loaded.end == pickle.size());
  REQUIRE(loaded.root->as<T>() != nullptr);
  return *loaded.root->as<T>();
}

std::string refusal(const std::string& pickle) {
  try {
    Arena arena;
    unpickle(pickle, arena);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("integers of every width and sign") {
  CHECK(value_of<std::int64_t>("K\xff."s) == 255);
  CHECK(value_of<std::int64_t>("M\x01\x02."s) == 513);
  CHECK(value_of<std::int64_t>("J\xfe\xff\xff\xff."s) == -2);
  CHECK(value_of<std::int64_t>("\x8a\x00."s) == 0);
  CHECK(value_of<std::int64_t>("\x8a\x01\xff."s) == -1);
  CHECK(value_of<std::int64_t>("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."s) == INT64_MIN);
  CHECK(value_of<std::uint64_t>("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."s) == 1ULL << 63U);
  CHECK(value_of<double>("\x8a\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00."s) == 18446744073709551616.0);
  CHECK(value_of<double>("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xff."s) == -18446744073709551616.0);
}

TEST_CASE("floats, strings and bytes") {
  CHECK(value_of<double>("G\x3f\xf8\x00\x00\x00\x00\x00\x00."s) == 1.5);
  CHECK(value_of<Text>("X\x02\x00\x00\x00hi."s).text == "hi");
  CHECK(value_of<Text>("U\x02hi."s).text == "hi");
  CHECK(value_of<Bytes>("C\x02hi."s).bytes == "hi");
  CHECK(value_of<Bytes>("c_codecs\nencode\nX\x03\x00\x00\x00\xc3\xbfhU\x06latin1\x86R."s).bytes == "\xffh");
}

TEST_CASE("NumPy scalars of either byte order") {
  const auto scalar = [](const std::string& type, const std::string& order, const std::string& bytes) {
    return "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\nU\x02"s + type + "K\x00K\x01\x87R(K\x03U\x01"s + order +
           "tbC" + static_cast<char>(bytes.size()) + bytes + "tR.";
  };
  CHECK(value_of<std::int64_t>(scalar("i2", "<", "\xfe\xff"s)) == -2);
  CHECK(value_of<std::int64_t>(scalar("i2", ">", "\xff\xfe"s)) == -2);
  CHECK(value_of<std::int64_t>(scalar("u2", "<", "\xfe\xff"s)) == 65534);
  CHECK(value_of<bool>(scalar("b1", "|", "\x01"s)));
  CHECK(value_of<double>(scalar("f4", "<", "\x00\x00\xc0\x3f"s)) == 1.5);
  CHECK_THAT(refusal(scalar("f4", "<", "\x00\x00"s)), ContainsSubstring("NumPy"));
  CHECK_THAT(value_of<Foreign>(scalar("O8", "|", "\x00\x00"s)).why, ContainsSubstring("'O8'"));
}

TEST_CASE("lists and dictionaries are built in place, also through the memo") {
  const auto dict = value_of<Dict>("}q\x01(U\x01"s + "aK\x01U\x01"s + "bK\x02u0h\x01."s);
  CHECK(dict.items.size() == 2);
  Arena arena;
  const Ref list = unpickle("]q\x00h\x00"s + "a."s, arena).root;  // a list that holds itself
  CHECK(list->as<List>()->items.at(0) == list);
}

TEST_CASE("objects that make up no checkpoint are passed over, with their names") {
  const auto why = [](const std::string& pickle) {
    const auto foreign = value_of<Foreign>(pickle);
    CHECK_FALSE(foreign.is_tensor);
    return foreign.why;
  };
  CHECK_THAT(why("cos\nsystem\nU\x04true\x85R."s),
             ContainsSubstring("asks for 'os.system', which Lossatlas does not run"));
  CHECK_THAT(why("\x8c\x08"s + "builtins"s + "\x8c\x04"s + "eval"s + "\x93."s), ContainsSubstring("'builtins.eval'"));
  CHECK_THAT(why("ctorch.nn.modules.linear\nLinear\n)\x81}b."s), ContainsSubstring("modules.linear.Linear"));
  CHECK_THAT(why("ctorch\nQInt8Storage\n."s), ContainsSubstring("'torch.QInt8Storage', a type that is not read"));
  CHECK_THAT(why("c\x1b[2J\nx\n."s), ContainsSubstring("'?[2J.x'"));
  // Whatever is done to it: items, a state, a call of what it gave, a call with keywords.
  CHECK_THAT(why("ca\nB\n)R(K\x01K\x02uK\x01"s + "a(K\x01"s + "e(K\x01\x90}b)R."s), ContainsSubstring("'a.B'"));
  CHECK_THAT(why("ca\nB\n)}\x92."s), ContainsSubstring("'a.B'"));
  CHECK_THAT(why("ctorch\nSize\nca\nB\n\x85R."s), ContainsSubstring("'a.B'"));
  CHECK_FALSE(refusal("ctorch\nSize\n)}\x92."s).empty());
}

TEST_CASE("an object in the place of a tensor's class, storage or type is a tensor that is not read") {
  const std::string storage = "(U\x07storagectorch\n", rest = "U\x01"s + "0U\x03"s + "cpuK\x01NtQ"s;
  const auto quantized = value_of<Foreign>(storage + "QInt8Storage\n" + rest + ".");
  CHECK(quantized.is_tensor);
  CHECK_THAT(quantized.why, ContainsSubstring("torch.QInt8Storage"));
  const auto complex = value_of<Foreign>("ctorch._utils\n_rebuild_tensor\n(" + storage + "ComplexFloatStorage\n" +
                                         rest + "K\x00K\x01\x85K\x01\x85tR."s);
  CHECK(complex.is_tensor);
  CHECK_THAT(complex.why, ContainsSubstring("a complex tensor"));
  const auto of_class = value_of<Foreign>("ca\nB\nq\x01"s + "0ctorch._tensor\n_rebuild_from_type_v2\n(NNh\x01NtR."s);
  CHECK(of_class.is_tensor);
  CHECK_THAT(of_class.why, ContainsSubstring("a tensor of class 'a.B'"));
}

TEST_CASE("a defaultdict is a dictionary, a set a list") {
  CHECK(value_of<Dict>("ccollections\ndefaultdict\nca\nfactory\n\x85RU\x01"s + "aK\x01s."s).items.size() == 1);
  CHECK(value_of<List>("c__builtin__\nset\n](K\x01K\x02"s + "e\x85R."s).items.size() == 2);
  CHECK(value_of<List>("cbuiltins\nset\n)R."s).items.empty());
}

TEST_CASE("damaged pickles are refused") {
  const std::string pickle = GENERATE(
      ""s, "."s, "0."s, "1."s, "a."s, "u."s, "t."s, "s."s, "b."s, "R."s, "Q."s, "2."s, "h\x01."s, "K"s, "\x80\x09N."s,
      "X\xff\xff\xff\xff."s, "\x8d\xff\xff\xff\xff\xff\xff\xff\xff."s, "cnoend"s, "NNs."s, "}(Nu."s, "(N0N0."s,
      "NN\x93."s, "NNR."s, "ctorch\nFloatStorage\n)R."s, "ctorch._utils\n_rebuild_tensor_v2\n)R."s, "I1\n."s, "(Na."s,
      "ccollections\nOrderedDict\n](]Nae\x85R."s, "ctorch\nSize\n(K\x01U\x01"s + "at\x85R."s);
  CAPTURE(pickle);
  CHECK_FALSE(refusal(pickle).empty());
}

TEST_CASE("nesting without end takes no recursion, and repetition without end is stopped") {
  const std::size_t depth = 1'000'000;
  CHECK(value_of<List>("]"s + std::string(depth, ']') + std::string(depth, 'a') + ".").items.size() == 1);
  CHECK(value_of<Tuple>("("s + std::string(depth, '(') + std::string(depth + 1, 't') + ".").items.size() == 1);
  CHECK_FALSE(refusal(std::string(20'000'000, 'N')).empty());

  std::string copies = "]q\x00("s;  // a list of a million pairs, copied by a hundred dictionaries
  for (int i = 0; i < 1'000'000; ++i) copies += "NN\x86"s;
  copies += "e0";
  for (int i = 0; i < 100; ++i) copies += "ccollections\nOrderedDict\nh\x00\x85R"s;
  CHECK_THAT(refusal(copies + "."), ContainsSubstring("repeats itself"));
}
