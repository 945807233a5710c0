#include "pickle/unpickler.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "pickle/opcodes.h"
#include "pickle/printable.h"

namespace lossatlas::pickle {
namespace {

// Each opcode makes at most one value of some 50 bytes. A tensor takes about 35 opcodes.
constexpr std::size_t kMaxOpcodes = 16'000'000;

class Unpickler {
 public:
  Unpickler(std::string_view input, Arena& arena, Objects& objects) : input_(input), arena_(arena), objects_(objects) {}

  Loaded load() {
    for (std::size_t count = 0; count < kMaxOpcodes; ++count) {
      const auto opcode = read<unsigned char>();
      if (opcode == kStop) {
        return {pop(), position_};
      }
      if (!framing(opcode) && !scalar(opcode) && !text(opcode) && !container(opcode) && !memo(opcode) &&
          !named_object(opcode)) {
        fail(fmt::format("opcode 0x{:02x} is not one that is read", opcode));
      }
    }
    throw Error("the pickle is larger than any that is read ({} opcodes)", kMaxOpcodes);
  }

 private:
  // Each of these carries out one family of opcodes, and returns whether the opcode was one of them.

  bool framing(unsigned char opcode) {
    switch (opcode) {
      case kProto:
        if (read<std::uint8_t>() > 5) {
          fail("its protocol is newer than 5");
        }
        return true;
      case kFrame:  // a hint for readers that buffer
        read<std::uint64_t>();
        return true;
      case kMark: marks_.push_back(stack_.size()); return true;
      case kPop: pop(); return true;
      case kPopMark: pop_to_mark(); return true;
      case kDup: stack_.push_back(top()); return true;
      default: return false;
    }
  }

  bool scalar(unsigned char opcode) {
    switch (opcode) {
      case kNone: return push(None{});
      case kNewTrue: return push(true);
      case kNewFalse: return push(false);
      case kBinInt: return push(std::int64_t{read<std::int32_t>()});
      case kBinInt1: return push(std::int64_t{read<std::uint8_t>()});
      case kBinInt2: return push(std::int64_t{read<std::uint16_t>()});
      case kLong1: return push_long(take(read<std::uint8_t>()));
      case kLong4: return push_long(take(read<std::uint32_t>()));
      case kBinFloat: return push(std::bit_cast<double>(__builtin_bswap64(read<std::uint64_t>())));
      default: return false;
    }
  }

  bool text(unsigned char opcode) {
    switch (opcode) {
      case kShortBinString:
      case kShortBinUnicode: return push(Text{take_string(read<std::uint8_t>())});
      case kBinString:
      case kBinUnicode: return push(Text{take_string(read<std::uint32_t>())});
      case kBinUnicode8: return push(Text{take_string(read<std::uint64_t>())});
      case kShortBinBytes: return push(Bytes{take_string(read<std::uint8_t>())});
      case kBinBytes: return push(Bytes{take_string(read<std::uint32_t>())});
      case kBinBytes8:
      case kByteArray8: return push(Bytes{take_string(read<std::uint64_t>())});
      default: return false;
    }
  }

  bool container(unsigned char opcode) {
    switch (opcode) {
      case kEmptyDict: return push(Dict{});
      case kEmptyList:
      case kEmptySet: return push(List{});
      case kEmptyTuple: return push(Tuple{});
      case kTuple1:
      case kTuple2:
      case kTuple3: return push(Tuple{pop_last(opcode - kTuple1 + 1U)});
      case kTuple: return push(Tuple{pop_to_mark()});
      case kFrozenSet: return push(List{pop_to_mark()});
      case kAppend: return append(pop_last(1));
      case kAppends:
      case kAddItems: return append(pop_to_mark());
      case kSetItem: return set_items(pop_last(2));
      case kSetItems: return set_items(pop_to_mark());
      default: return false;
    }
  }

  bool memo(unsigned char opcode) {
    switch (opcode) {
      case kBinGet: return recall(read<std::uint8_t>());
      case kLongBinGet: return recall(read<std::uint32_t>());
      case kBinPut: return remember(read<std::uint8_t>());
      case kLongBinPut: return remember(read<std::uint32_t>());
      case kMemoize: return remember(static_cast<std::uint32_t>(memo_.size()));
      default: return false;
    }
  }

  /// What cannot be made is refused by the name that it would have: its key is the last text on the stack, except for
  /// the one that begins a storage's description.
  bool named_object(unsigned char opcode) {
    try {
      return object(opcode);
    } catch (const Error& error) {
      for (auto place = stack_.rbegin(); place != stack_.rend(); ++place) {
        const Text* name = (*place)->as<Text>();
        if (name != nullptr && name->text != "storage") {
          throw Error("'{}': {}", printable(name->text), error.what());
        }
      }
      throw;
    }
  }

  bool object(unsigned char opcode) {
    switch (opcode) {
      case kGlobal: {
        const std::string_view module = take_line();
        return push_global(module, take_line());
      }
      case kStackGlobal: {
        const std::vector<Ref> names = pop_last(2);
        return push_global(text_of(names[0]), text_of(names[1]));
      }
      case kReduce:
      case kNewObj: return push_ref(objects_.call(pop_last(2), arena_));
      case kNewObjEx: return push_ref(objects_.call(pop_last(3), arena_));
      case kBuild: {
        const Ref state = pop();
        objects_.set_state(*top(), *state);
        return true;
      }
      case kBinPersId: return push_ref(objects_.persistent(*pop(), arena_));
      default: return false;
    }
  }

  template <class T>
  bool push(T content) {
    return push_ref(arena_.make(std::move(content)));
  }

  bool push_ref(Ref value) {
    stack_.push_back(value);
    return true;
  }

  /// Little-endian two's complement of any length, as Python writes its integers.
  bool push_long(std::string_view bytes) {
    if (bytes.size() > 9 || (bytes.size() == 9 && bytes[8] != 0)) {
      return push(double_of_long(bytes));
    }
    const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
    std::uint64_t bits = negative ? ~std::uint64_t{0} : 0;
    std::memcpy(&bits, bytes.data(), std::min<std::size_t>(bytes.size(), 8));
    if (!negative && bits > INT64_MAX) {
      return push(bits);
    }
    return push(static_cast<std::int64_t>(bits));
  }

  /// An integer beyond 64 bits, to the nearest double or so.
  static double double_of_long(std::string_view bytes) {
    double sum = (bytes.back() & 0x80) != 0 ? -1 : 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
      sum = sum * 256 + static_cast<unsigned char>(bytes[i]);
    }
    return sum;
  }

  bool push_global(std::string_view module, std::string_view name) {
    return push_ref(objects_.global(fmt::format("{}.{}", module, name), arena_));
  }

  bool append(const std::vector<Ref>& items) {
    if (top()->as<Foreign>() != nullptr) {
      return true;
    }
    List* list = top()->as<List>();
    if (list == nullptr) {
      fail("it appends to what is not a list");
    }
    list->items.insert(list->items.end(), items.begin(), items.end());
    return true;
  }

  bool set_items(const std::vector<Ref>& items) {
    if (top()->as<Foreign>() != nullptr) {
      return true;
    }
    Dict* dict = top()->as<Dict>();
    if (dict == nullptr || items.size() % 2 != 0) {
      fail("it sets items of what is not a dictionary");
    }
    for (std::size_t i = 0; i < items.size(); i += 2) {
      dict->items.emplace_back(items[i], items[i + 1]);
    }
    return true;
  }

  bool remember(std::uint32_t index) {
    memo_[index] = top();
    return true;
  }

  bool recall(std::uint32_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) {
      fail("it recalls what it never stored");
    }
    return push_ref(found->second);
  }

  std::string_view text_of(Ref value) {
    const Text* text = value->as<Text>();
    if (text == nullptr) {
      fail("a global's name is not a string");
    }
    return text->text;
  }

  /// Where the part of the stack above the last mark starts.
  std::size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }

  Ref top() {
    if (stack_.size() <= bottom()) {
      fail("it uses a value that is not there");
    }
    return stack_.back();
  }

  Ref pop() {
    const Ref value = top();
    stack_.pop_back();
    return value;
  }

  std::vector<Ref> pop_last(std::size_t count) {
    if (stack_.size() < bottom() + count) {
      fail("it uses a value that is not there");
    }
    std::vector<Ref> values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }

  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) {
      fail("it uses a mark that is not there");
    }
    std::vector<Ref> values = pop_last(stack_.size() - bottom());
    marks_.pop_back();
    return values;
  }

  std::string_view take(std::uint64_t count) {
    if (count > input_.size() - position_) {
      throw Error("the pickle breaks off, or is damaged, at byte {}", position_);
    }
    const std::string_view bytes = input_.substr(position_, count);
    position_ += count;
    return bytes;
  }

  std::string take_string(std::uint64_t count) { return std::string(take(count)); }

  std::string_view take_line() {
    const std::size_t end = input_.find('\n', position_);
    const std::string_view line = take((end == std::string_view::npos ? input_.size() + 1 : end + 1) - position_);
    return line.substr(0, line.size() - 1);
  }

  template <class T>
  T read() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw Error("the pickle is damaged near byte {}: {}", position_, what);
  }

  std::string_view input_;
  std::size_t position_ = 0;
  Arena& arena_;
  Objects& objects_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<std::uint32_t, Ref> memo_;
};

}  // namespace

Loaded unpickle(std::string_view input, Arena& arena, Objects& objects) {
  return Unpickler(input, arena, objects).load();
}

}  // namespace lossatlas::pickle
