#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "checkpoint/contents.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"
#include "checkpoint/input_file.h"
#include "checkpoint/tensors.h"
#include "checkpoint/torch_objects.h"

namespace lossatlas {
namespace {

constexpr std::int64_t kProtocol = 1001;

/// The end of the file: for each key, the number of its elements (int64), then the elements. Always little-endian.
class RawStorages : public pickle::StorageBytes {
 public:
  RawStorages(std::string_view content, std::string_view rest, const pickle::Value& keys, const pickle::Arena& arena)
      : content_(content) {
    const pickle::List* list = keys.as<pickle::List>();
    if (list == nullptr) {
      throw Error("is damaged: it lists no storages");
    }
    const auto widths = element_sizes(arena);
    for (const pickle::Ref item : list->items) {
      const pickle::Text* key = item->as<pickle::Text>();
      const auto width = key ? widths.find(key->text) : widths.end();
      if (width == widths.end()) {
        throw Error("is damaged: it lists a storage that no tensor names");
      }
      std::uint64_t count = 0;
      std::memcpy(&count, take(rest, sizeof count, key->text).data(), sizeof count);
      if (count > rest.size() / width->second) {
        throw Error("breaks off in storage '{}': it is damaged or incomplete", key->text);
      }
      if (!bytes_.emplace(key->text, take(rest, count * width->second, key->text)).second) {
        throw Error("lists storage '{}' twice: it is damaged", pickle::printable(key->text));
      }
    }
  }

  std::uint64_t size(const std::string& key) override { return find(key).size(); }

  void read(const std::string& key, std::span<std::byte> bytes) override {
    if (!bytes.empty()) {
      std::memcpy(bytes.data(), find(key).data(), bytes.size());
    }
  }

  std::optional<std::uint64_t> offset(const std::string& key) override {
    return static_cast<std::uint64_t>(find(key).data() - content_.data());
  }

 private:
  static std::unordered_map<std::string, std::size_t> element_sizes(const pickle::Arena& arena) {
    std::unordered_map<std::string, std::size_t> sizes;
    for (const pickle::Storage& storage : arena.storages()) {
      sizes.emplace(storage.key, c10::elementSize(storage.type));
    }
    return sizes;
  }

  static std::string_view take(std::string_view& rest, std::size_t count, const std::string& key) {
    if (count > rest.size()) {
      throw Error("breaks off before storage '{}': it is damaged or incomplete", key);
    }
    const std::string_view bytes = rest.substr(0, count);
    rest.remove_prefix(count);
    return bytes;
  }

  std::string_view find(const std::string& key) const {
    const auto found = bytes_.find(key);
    if (found == bytes_.end()) {
      throw Error("has no storage '{}': it is damaged or incomplete", key);
    }
    return found->second;
  }

  std::string_view content_;  // of the whole file
  std::unordered_map<std::string, std::string_view> bytes_;
};

/// The pickles that stand one after the other at the front of the file.
class Pickles {
 public:
  Pickles(std::string_view input, pickle::Arena& arena) : rest_(input), arena_(arena) {}

  pickle::Ref next() {
    const pickle::Loaded loaded = pickle::unpickle(rest_, arena_);
    rest_.remove_prefix(loaded.end);
    return loaded.root;
  }

  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  pickle::Arena& arena_;
};

void check_protocol(const pickle::Value& value) {
  const auto* protocol = value.as<std::int64_t>();
  if (protocol == nullptr || *protocol != kProtocol) {
    throw Error("has a legacy protocol other than {}: save it again with a newer PyTorch", kProtocol);
  }
}

/// What `use` makes of the state_dict's pickle and the storages.
template <class Use>
auto read(InputFile& file, std::string_view key, const Use& use) {
  file.load();
  const std::string& content = *file.content();
  pickle::Arena arena;
  Pickles pickles(content, arena);
  pickles.next();  // the magic number, by which the file was recognised
  check_protocol(*pickles.next());
  pickles.next();  // the writer's byte order and type sizes, which PyTorch does not use either
  const pickle::Ref root = pickles.next();
  const pickle::Ref keys = pickles.next();
  RawStorages storages(content, pickles.rest(), *keys, arena);
  pickle::TensorLoader loader(storages, content.size());
  auto result = use(*root, loader, key);
  result.format = "PyTorch legacy";
  return result;
}

}  // namespace

Checkpoint read_legacy(InputFile& file, std::string_view key) { return read(file, key, pickle::checkpoint_of); }

CheckpointIndex index_legacy(InputFile& file, std::string_view key) { return read(file, key, pickle::index_of); }

}  // namespace lossatlas
