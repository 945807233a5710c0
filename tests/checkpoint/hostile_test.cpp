#include <random>

#include "catch.h"
#include "checkpoint/files.h"
#include "temporary_folder.h"
#include "without_checksums.h"

using namespace lossatlas;
using namespace lossatlas::testing;
using namespace std::string_literals;

namespace {

/// Reads the file if it can be read; the test fails on anything but success or Error.
bool reads(const std::filesystem::path& file) {
  try {
    read_checkpoint(file);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// A file before PyTorch 1.6, of a pickle and the storages "0", "1", … that it names.
std::string legacy_file(const std::string& pickle, const std::vector<std::string>& storages) {
  std::string keys = "]";
  std::string data;
  for (std::size_t i = 0; i < storages.size(); ++i) {
    keys += "U\x01"s + static_cast<char>('0' + i) + "a";
    data += static_cast<char>(storages[i].size() / 4) + std::string(7, '\0') + storages[i];
  }
  return "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."s + pickle + "." + keys + "." + data;
}

/// {"w": a tensor with these arguments}; `numel` is the length that its storage "0" claims.
std::string one_tensor(const std::string& numel, const std::string& offset, const std::string& sizes,
                       const std::string& strides) {
  return "}U\x01wctorch._utils\n_rebuild_tensor\n((U\x07storagectorch\nFloatStorage\nU\x01"s + "0U\x03"s + "cpu"s +
         numel + "NtQ" + offset + "(" + sizes + "t(" + strides + "ttRs";
}

const std::string kHuge = "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40"s;  // 2^62
const std::string kMinusOne = "J\xff\xff\xff\xff"s;

}  // namespace

TEST_CASE("what a pickle asks to run beside the weights is passed over; a network in their place is refused") {
  const Checkpoint beside = read_checkpoint(reference("refused-system.pt"));  // "evil" calls posix.system
  CHECK(names_of(beside.tensors) == std::vector<std::string>{"conv.weight", "conv.bias"});
  CHECK(beside.metadata.empty());
  CHECK_THAT(refusal(reference("refused-model.pt")), ContainsSubstring("'torch.nn.modules.linear.Linear'"));
}

TEST_CASE("a checkpoint cut short at any byte is refused") {
  const std::string name = GENERATE("plain-protocol2.pt", "plain-protocol4.pt", "legacy-protocol2.pt",
                                    "python2-legacy.pt", "types-legacy.pt", "plain.safetensors", "types.safetensors");
  CAPTURE(name);
  const TemporaryFolder folder;
  const std::string whole = content_of(reference(name));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    write_file(folder / "cut.pt", whole.substr(0, length));
    REQUIRE_FALSE(reads(folder / "cut.pt"));
  }
}

TEST_CASE("a checkpoint with damaged bytes is read or refused") {
  const std::vector<std::string> names{"plain-protocol2.pt", "plain-protocol4.pt", "batchnorm.pt",
                                       "views.pt",           "views-legacy.pt",    "batchnorm-legacy.pt",
                                       "python2-legacy.pt",  "types-legacy.pt",    "types.safetensors"};
  const TemporaryFolder folder;
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string content = content_of(reference(names[random() % names.size()]));
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      content[random() % content.size()] = static_cast<char>(random());
    }
    CAPTURE(round);
    write_file(folder / "damaged.pt", content);
    REQUIRE_NOTHROW(reads(folder / "damaged.pt"));
  }
}

TEST_CASE("tensors outside their storages are refused") {
  const TemporaryFolder folder;
  const auto file = folder / "tensor.pt";
  const std::string storage(24, '\0');
  write_file(file, legacy_file(one_tensor("K\x06", "K\x01", "K\x02", "K\x04"), {storage}));
  CHECK(refusal(file) == "");

  const auto [numel, offset, sizes, strides] = GENERATE(table<std::string, std::string, std::string, std::string>({
      {"K\x06", "K\x02", "K\x02", "K\x04"},                               // one element too far
      {"K\x06", "K\x07", "", ""},                                         // beyond the end
      {"K\x06", kMinusOne, "K\x02", "K\x01"},                             // before the start
      {"K\x06", "K\x01", "K\x02", kMinusOne},                             // backwards
      {"K\x06", "K\x00"s, kMinusOne, "K\x01"},                            // a negative size
      {"K\x06", "K\x00"s, "K\x02K\x03", "K\x01"},                         // more sizes than strides
      {"K\x06", "K\x00"s, "K\x02", kHuge},                                // a stride that overflows in bytes
      {"K\x06", kHuge, "K\x01", "K\x01"},                                 // an offset that does
      {"K\x06", "K\x00"s, kHuge, "K\x00"s},                               // far more elements than memory
      {"K\x06", "K\x00"s, kHuge + kHuge, "K\x00K\x00"s},                  // their number overflows
      {"K\x06", "K\x00"s, "K\x00"s + kHuge + kHuge, "K\x01K\x01K\x01"s},  // and that of an empty tensor
      {"K\x07", "K\x00"s, "K\x07", "K\x01"},                              // the storage claims more than the file has
      {kHuge, "K\x00"s, "K\x07", "K\x01"},
      {kMinusOne, "K\x00"s, "K\x02", "K\x01"},
      {"K\x06", "K\x00"s, "J\x00\x00\x00\x08"s, "K\x00"s},  // 512 MiB from one element
  }));
  write_file(file, legacy_file(one_tensor(numel, offset, sizes, strides), {storage}));
  CHECK_FALSE(reads(file));
}

TEST_CASE("storages of absurd sizes are refused before memory is taken") {
  const TemporaryFolder folder;
  std::string content = content_of(reference("legacy-protocol2.pt"));
  const std::size_t first_count = content.rfind(std::string("\x02\0\0\0\0\0\0\0", 8));
  REQUIRE(first_count != std::string::npos);
  content[first_count + 6] = '\x7f';
  write_file(folder / "absurd.pt", content);
  CHECK_THAT(refusal(folder / "absurd.pt"), ContainsSubstring("breaks off in storage"));
}

TEST_CASE("a TorchScript archive with a name that LibTorch cannot parse is refused") {
  const TemporaryFolder folder;
  std::string content = without_checksums(content_of(reference("torchscript.pt")));
  const std::string name = "c__torch__.torch";
  const std::size_t place = content.find(name);
  REQUIRE(place != std::string::npos);
  content[place + 4] = '?';
  write_file(folder / "script.pt", content);
  CHECK_THAT(refusal(folder / "script.pt"), ContainsSubstring("no TorchScript module can be read ("));
}

TEST_CASE("a TorchScript archive whose tensors reach past what the file holds is refused") {
  const TemporaryFolder folder;
  const auto refusal_with = [&](const std::string& from, const std::string& to) {
    std::string content = without_checksums(content_of(reference("torchscript.pt")));
    const std::size_t place = content.find(from);
    REQUIRE(place != std::string::npos);
    write_file(folder / "script.pt", content.replace(place, from.size(), to));
    return refusal(folder / "script.pt");
  };
  const std::string storage = "cpuq\x06K\x02tQ"s, sizes = "K\x00(K\x01K\x02t"s;
  CHECK_THAT(refusal_with(sizes, "K\x00(K\x01K\x7ft"s), ContainsSubstring("beyond its storage '0'"));
  CHECK_THAT(refusal_with(sizes, "K\x01(K\x01K\x02t"s), ContainsSubstring("beyond its storage '0'"));
  CHECK_THAT(refusal_with(storage, "cpuq\x06K\x7ftQ"s), ContainsSubstring("is shorter than its length"));
  CHECK_THAT(refusal_with("_rebuild_tensor_v2", "_rebuild_tensor_v9"),
             ContainsSubstring("torch._utils._rebuild_tensor_v9"));
}

TEST_CASE("an entry that stands twice is refused") {
  const TemporaryFolder folder;
  const auto file = folder / "twice.pt";
  const std::string tensor = one_tensor("K\x06", "K\x00"s, "K\x06", "K\x01"), again = tensor.substr(1);
  write_file(file, legacy_file(tensor + again, {std::string(24, '\0')}));
  CHECK_THAT(refusal(file), ContainsSubstring("holds the entry 'w' twice"));
  write_file(file, legacy_file("}U\x03net"s + tensor + "sU\x03net"s + tensor + "s", {std::string(24, '\0')}));
  CHECK_THAT(refusal(file), ContainsSubstring("holds the entry 'net' twice"));
  std::string content = legacy_file(tensor, {std::string(24, '\0')});
  const std::string keys = "]U\x01"s + "0a", storage = content.substr(content.size() - 32);
  content.insert(content.rfind(keys) + keys.size(), keys.substr(1));
  write_file(file, content + storage);
  CHECK_THAT(refusal(file), ContainsSubstring("lists storage '0' twice"));
}

TEST_CASE("attributes that would replace a tensor's values, and arguments too many, are refused") {
  const TemporaryFolder folder;
  const auto file = folder / "attributes.pt";
  const std::string tensor = one_tensor("K\x06", "K\x00"s, "K\x06", "K\x01");
  const std::string made = tensor.substr(4, tensor.size() - 5);  // without the dictionary around it
  const auto refusal_with = [&](const std::string& attributes) {
    write_file(file, legacy_file(
                         "}U\x01wctorch._utils\n_rebuild_parameter_with_state\n(" + made + "\x89}" + attributes + "tRs",
                         {std::string(24, '\0')}));
    return refusal(file);
  };
  CHECK(refusal_with("}U\x04noteK\x01s") == "");
  CHECK_THAT(refusal_with("}U\x04"s + "data" + made + "s"), ContainsSubstring("'w': a tensor with other values"));
  CHECK_THAT(refusal_with("N}U\x04"s + "data" + made + "s\x86"), ContainsSubstring("'w': a tensor with other values"));
  write_file(file, legacy_file(tensor.substr(0, tensor.size() - 3) + "\x89}}NtRs", {std::string(24, '\0')}));
  CHECK_THAT(refusal(file), ContainsSubstring("'w': the pickle is damaged: a tensor has unsuitable arguments"));
}

TEST_CASE("safetensors headers that do not fit the file are refused") {
  const auto file_of = [](const std::string& header, std::size_t data) {
    return static_cast<char>(header.size()) + std::string(7, '\0') + header + std::string(data, '\0');
  };
  const auto tensor = [](const std::string& type, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const TemporaryFolder folder;
  const auto file = folder / "x.safetensors";
  write_file(file, file_of(tensor("F32", "[2]", "[0,8]"), 8));
  CHECK(refusal(file) == "");

  const std::string header = GENERATE_COPY(
      tensor("F32", "[2]", "[0,7]"), tensor("F32", "[3]", "[0,12]"), tensor("F32", "[2]", "[8,0]"),
      tensor("F32", "[2]", "[4,12]"), tensor("U8", "[7]", "[1,8]"), tensor("U8", "[7]", "[0,7]"),
      tensor("F32", "[-2]", "[0,8]"), tensor("F32", "2", "[0,8]"), tensor("F32", "[4611686018427387904,4]", "[0,0]"),
      tensor("F32", "[18446744073709551615]", "[0,8]"), tensor("C64", "[1]", "[0,8]"), tensor("F32", "[2.0]", "[0,8]"),
      tensor("F32", "[2]", "[0]"), "{\"w\":3}"s, "{\"w\":{}}"s, "{"s, "[]"s,
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"s +
          R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})");
  CAPTURE(header);
  write_file(file, file_of(header, 8));
  CHECK_FALSE(reads(file));
}

TEST_CASE("metadata that nests or repeats without end is left out") {
  const TemporaryFolder folder;
  const auto file = folder / "bomb.pt";
  const std::string weights = one_tensor("K\x06", "K\x00"s, "K\x06", "K\x01");
  std::string bomb = "]";  // each list holds the one before it twice: 2^30 values in all
  for (int i = 0; i < 30; ++i) {
    bomb += "q\x01"s + "0]h\x01"s + "ah\x01"s + "a"s;
  }
  const std::string deep = std::string(100'000, ']') + std::string(99'999, 'a');
  const std::string loop = "]q\x02h\x02"s + "a"s;
  const std::string pickle = "}(U\x03net"s + weights + "U\x04"s + "bomb" + bomb + "U\x04"s + "deep" + deep + "U\x04"s +
                             "loop" + loop + "U\x05"s + "epochK\x05u";
  write_file(file, legacy_file(pickle, {std::string(24, '\0')}));
  const Checkpoint checkpoint = read_checkpoint(file);
  CHECK(checkpoint.tensors.size() == 1);
  CHECK(checkpoint.metadata == nlohmann::json{{"epoch", 5}});
}

TEST_CASE("a dictionary that holds itself ends") {
  const TemporaryFolder folder;
  write_file(folder / "loop.pt", legacy_file("}q\x01U\x03neth\x01s"s, {}));
  CHECK_THAT(refusal(folder / "loop.pt"), ContainsSubstring("holds no state_dict"));
}

TEST_CASE("dictionaries that hold one another many times over are looked into once") {
  const TemporaryFolder folder;
  const auto file = folder / "wide.pt";
  std::string pickle = "}q\x01(";
  for (const std::string name : {"model", "net", "ema", "state_dict"}) {
    pickle += "U"s + static_cast<char>(name.size()) + name + "h\x01"s;
  }
  for (int i = 1000; i < 10'000; ++i) pickle += "U\x04"s + std::to_string(i) + "h\x01"s;
  const std::string weights = one_tensor("K\x06", "K\x00"s, "K\x06", "K\x01");
  write_file(file, legacy_file(pickle + "U\x04mine"s + weights + "u", {std::string(24, '\0')}));
  CHECK_THAT(refusal(file),
             ContainsSubstring("holds no state_dict") && ContainsSubstring("`key` mine chooses that entry"));
}

TEST_CASE("objects that are passed over take no memory however often they are made") {
  const TemporaryFolder folder;
  const auto file = folder / "objects.pt";
  std::string calls;
  for (int i = 0; i < 1'000'000; ++i) calls += "h\x02)R0";
  const std::string weights = one_tensor("K\x06", "K\x00"s, "K\x06", "K\x01");
  write_file(file,
             legacy_file("}(U\x03net"s + weights + "U\x01xca\n"s + std::string(1000, 'B') + "\nq\x02" + calls + "u",
                         {std::string(24, '\0')}));
  CHECK(read_checkpoint(file).metadata.empty());
}
