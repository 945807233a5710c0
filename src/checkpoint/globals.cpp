#include "checkpoint/globals.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "pickle/numpy_scalar.h"

namespace lossatlas::pickle {
namespace {

using Arguments = std::span<const Ref>;

constexpr std::size_t kMaxDimensions = 64;  // LibTorch's own limit
constexpr std::string_view kDefaultDict = "collections.defaultdict";
constexpr std::string_view kFromType = "torch._tensor._rebuild_from_type";
constexpr std::string_view kOnMeta =
    "a tensor on the meta device, which has no values; load the weights into the network before it is saved";

[[noreturn]] void unsuited(std::string_view what) {
  throw Error("the pickle is damaged: {} has unsuitable arguments", what);
}

template <class T>
const T& argument(Arguments arguments, std::size_t index, std::string_view what) {
  const T* value = index < arguments.size() ? arguments[index]->as<T>() : nullptr;
  if (value == nullptr) {
    unsuited(what);
  }
  return *value;
}

/// The numbers of a torch.Size, tuple or list.
std::vector<std::int64_t> integers(Arguments arguments, std::size_t index, std::string_view what) {
  const Value* value = index < arguments.size() ? arguments[index] : nullptr;
  const Tuple* tuple = value ? value->as<Tuple>() : nullptr;
  const List* list = value ? value->as<List>() : nullptr;
  if (tuple == nullptr && list == nullptr) {
    unsuited(what);
  }
  const Arguments items = tuple ? tuple->items : list->items;
  if (items.size() > kMaxDimensions) {
    unsuited(what);
  }
  std::vector<std::int64_t> numbers;
  for (const Ref item : items) {
    const auto* number = item->as<std::int64_t>();
    if (number == nullptr) {
      unsuited(what);
    }
    numbers.push_back(*number);
  }
  return numbers;
}

/// The first of them that is not read; null if there is none.
Ref foreign_of(Arguments arguments) {
  const auto found = std::find_if(arguments.begin(), arguments.end(),
                                  [](const Value* value) { return value->as<Foreign>() != nullptr; });
  return found == arguments.end() ? nullptr : *found;
}

/// The same, as a tensor whose values are lost with it.
Ref foreign_tensor(const Foreign& foreign, Arena& arena) {
  return arena.make_foreign({foreign.name, foreign.why, true});
}

struct TypeName {
  std::string_view name;
  c10::ScalarType type;
};

constexpr std::array kStorageTypes{
    TypeName{"DoubleStorage", c10::kDouble}, TypeName{"FloatStorage", c10::kFloat},
    TypeName{"HalfStorage", c10::kHalf},     TypeName{"LongStorage", c10::kLong},
    TypeName{"IntStorage", c10::kInt},       TypeName{"ShortStorage", c10::kShort},
    TypeName{"CharStorage", c10::kChar},     TypeName{"ByteStorage", c10::kByte},
    TypeName{"BoolStorage", c10::kBool},     TypeName{"BFloat16Storage", c10::kBFloat16},
    TypeName{"UntypedStorage", c10::kByte},
};

/// Not read, but of a known width: what follows them in a file before PyTorch 1.6 is found by it.
constexpr std::array kUnreadStorageTypes{
    TypeName{"ComplexFloatStorage", c10::kComplexFloat},
    TypeName{"ComplexDoubleStorage", c10::kComplexDouble},
    TypeName{"QInt8Storage", c10::kQInt8},
    TypeName{"QUInt8Storage", c10::kQUInt8},
    TypeName{"QInt32Storage", c10::kQInt32},
    TypeName{"QUInt4x2Storage", c10::kQUInt4x2},
    TypeName{"QUInt2x4Storage", c10::kQUInt2x4},
};

constexpr std::array kTensorTypes{
    TypeName{"float64", c10::kDouble},
    TypeName{"double", c10::kDouble},
    TypeName{"float32", c10::kFloat},
    TypeName{"float", c10::kFloat},
    TypeName{"float16", c10::kHalf},
    TypeName{"half", c10::kHalf},
    TypeName{"int64", c10::kLong},
    TypeName{"long", c10::kLong},
    TypeName{"int32", c10::kInt},
    TypeName{"int", c10::kInt},
    TypeName{"int16", c10::kShort},
    TypeName{"short", c10::kShort},
    TypeName{"int8", c10::kChar},
    TypeName{"uint8", c10::kByte},
    TypeName{"bool", c10::kBool},
    TypeName{"bfloat16", c10::kBFloat16},
    TypeName{"uint16", c10::kUInt16},
    TypeName{"uint32", c10::kUInt32},
    TypeName{"uint64", c10::kUInt64},
    TypeName{"float8_e4m3fn", c10::kFloat8_e4m3fn},
    TypeName{"float8_e4m3fnuz", c10::kFloat8_e4m3fnuz},
    TypeName{"float8_e5m2", c10::kFloat8_e5m2},
    TypeName{"float8_e5m2fnuz", c10::kFloat8_e5m2fnuz},
    TypeName{"float8_e8m0fnu", c10::kFloat8_e8m0fnu},
};

template <std::size_t N>
std::optional<c10::ScalarType> find_type(const std::array<TypeName, N>& types, std::string_view name) {
  for (const TypeName& type : types) {
    if (type.name == name) {
      return type.type;
    }
  }
  return std::nullopt;
}

/// "torch.FloatStorage", as well as the torch.cuda and torch.storage of some versions.
template <std::size_t N>
std::optional<c10::ScalarType> storage_type(std::string_view name, const std::array<TypeName, N>& types) {
  for (const std::string_view module : {"torch.", "torch.cuda.", "torch.storage."}) {
    if (name.starts_with(module)) {
      if (const auto type = find_type(types, name.substr(module.size()))) {
        return type;
      }
    }
  }
  return std::nullopt;
}

std::optional<c10::ScalarType> storage_type(std::string_view name) { return storage_type(name, kStorageTypes); }

std::optional<c10::ScalarType> tensor_type(std::string_view name) {
  constexpr std::string_view module = "torch.";
  return name.starts_with(module) ? find_type(kTensorTypes, name.substr(module.size())) : std::nullopt;
}

/// What a tensor's metadata, {"neg": bool, "conj": bool}, say of its sign (torch.serialization keeps the bits of lazy
/// views so). They may be missing. What would change the numbers in a way that is not read is refused.
bool is_negative(Arguments arguments, std::size_t index) {
  if (index >= arguments.size() || arguments[index]->as<None>() != nullptr) {
    return false;
  }
  bool negative = false;
  for (const auto& [key, value] : argument<Dict>(arguments, index, "a tensor").items) {
    const Text* name = key->as<Text>();
    const bool* is_set = value->as<bool>();
    if (name == nullptr || is_set == nullptr || (name->text != "neg" && *is_set)) {
      throw Error("a tensor carries the bit '{}', which is not read; save it after .resolve_conj().resolve_neg()",
                  name ? printable(name->text) : "?");
    }
    negative = negative || *is_set;
  }
  return negative;
}

/// `metadata`: the place of that argument, the last.
Ref make_tensor(Arguments arguments, c10::ScalarType type, std::size_t metadata, Arena& arena) {
  constexpr std::string_view what = "a tensor";
  if (arguments.size() > metadata + 1) {
    unsuited(what);
  }
  return arena.make(arena.keep(TensorView{.storage = argument<const Storage*>(arguments, 0, what),
                                          .type = type,
                                          .offset = argument<std::int64_t>(arguments, 1, what),
                                          .sizes = integers(arguments, 2, what),
                                          .strides = integers(arguments, 3, what),
                                          .is_negative = is_negative(arguments, metadata)}));
}

/// _rebuild_tensor(storage, offset, size, stride), _v2(…, requires_grad, backward_hooks, metadata).
Ref rebuild_tensor(Arguments arguments, Arena& arena) {
  return make_tensor(arguments, argument<const Storage*>(arguments, 0, "a tensor")->type, 6, arena);
}

/// _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata).
Ref rebuild_tensor_v3(Arguments arguments, Arena& arena) {
  const auto type = tensor_type(argument<Global>(arguments, 6, "a tensor").name);
  if (!type) {
    unsuited("a tensor");
  }
  return make_tensor(arguments, *type, 7, arena);
}

/// Python sets the attributes that a tensor carries, a dictionary or a pair of them: `data` would replace its values.
void check_attributes(Arguments arguments, std::size_t index) {
  if (index >= arguments.size()) {
    return;
  }
  const Tuple* pair = arguments[index]->as<Tuple>();
  for (const Ref part : pair ? Arguments(pair->items) : arguments.subspan(index, 1)) {
    const Dict* attributes = part->as<Dict>();
    for (std::size_t i = 0; attributes != nullptr && i < attributes->items.size(); ++i) {
      const Text* name = attributes->items[i].first->as<Text>();
      if (name != nullptr && name->text == "data") {
        throw Error("a tensor with other values as its attribute 'data', which is not read; save it after .clone()");
      }
    }
  }
}

/// _rebuild_parameter(tensor, requires_grad, backward_hooks), _with_state(…, attributes).
Ref rebuild_parameter(Arguments arguments, Arena&) {
  argument<const TensorView*>(arguments, 0, "a parameter");
  check_attributes(arguments, 3);
  return arguments[0];
}

/// torch._tensor._rebuild_from_type(function, type, arguments, attributes), _v2: a tensor that carries attributes.
Ref rebuild_from_type(Arguments arguments, Arena& arena) {
  check_attributes(arguments, 3);
  const std::string& function = argument<Global>(arguments, 0, "a tensor").name;
  const Arguments inner = argument<Tuple>(arguments, 2, "a tensor").items;
  if (const Ref foreign = foreign_of(inner)) {
    return foreign_tensor(*foreign->as<Foreign>(), arena);
  }
  // By name rather than through call(), so that a pickle cannot make us recurse.
  if (function == "torch._utils._rebuild_tensor_v2") {
    return rebuild_tensor(inner, arena);
  }
  if (function == "torch._utils._rebuild_tensor_v3") {
    return rebuild_tensor_v3(inner, arena);
  }
  unsuited("a tensor");
}

/// Python 2 hands an OrderedDict its items as a list of pairs; Python 3 sets them afterwards.
/// A Counter is handed a dictionary.
Ref make_dict(Arguments arguments, Arena& arena) {
  constexpr std::string_view what = "a dictionary";
  Dict dict;
  if (!arguments.empty() && arguments[0]->as<Dict>() != nullptr) {
    arena.charge(arguments[0]->as<Dict>()->items.size());
    dict = *arguments[0]->as<Dict>();
  } else if (!arguments.empty()) {
    const Arguments items = argument<List>(arguments, 0, what).items;
    arena.charge(items.size());
    for (const Ref item : items) {
      const List* list = item->as<List>();
      const Tuple* tuple = item->as<Tuple>();
      const Arguments pair = list ? Arguments(list->items) : tuple ? Arguments(tuple->items) : Arguments();
      if (pair.size() != 2) {
        unsuited(what);
      }
      dict.items.emplace_back(pair[0], pair[1]);
    }
  }
  return arena.make(std::move(dict));
}

/// collections.defaultdict(factory), filled afterwards.
Ref make_default_dict(Arguments, Arena& arena) { return arena.make(Dict{}); }

/// set([…]), frozenset([…]), set().
Ref make_set(Arguments arguments, Arena& arena) {
  List list;
  if (!arguments.empty()) {
    list = argument<List>(arguments, 0, "a set");
    arena.charge(list.items.size());
  }
  return arena.make(std::move(list));
}

/// torch.Size((2, 3)).
Ref make_size(Arguments arguments, Arena& arena) {
  Tuple size;
  for (const std::int64_t number : integers(arguments, 0, "torch.Size")) {
    size.items.push_back(arena.make(number));
  }
  return arena.make(std::move(size));
}

/// torch.device("cuda", 0), as the text that names it.
Ref make_device(Arguments arguments, Arena& arena) {
  std::string name = argument<Text>(arguments, 0, "torch.device").text;
  arena.charge(name.size());
  if (arguments.size() > 1) {
    name += fmt::format(":{}", argument<std::int64_t>(arguments, 1, "torch.device"));
  }
  return arena.make(Text{std::move(name)});
}

using Builder = Ref (*)(Arguments, Arena&);

const std::unordered_map<std::string_view, Builder>& builders() {
  static const std::unordered_map<std::string_view, Builder> table{
      {"collections.OrderedDict", make_dict},
      {"collections.Counter", make_dict},
      {kDefaultDict, make_default_dict},
      {"builtins.set", make_set},
      {"__builtin__.set", make_set},
      {"builtins.frozenset", make_set},
      {"__builtin__.frozenset", make_set},
      {"torch._utils._rebuild_tensor", rebuild_tensor},
      {"torch._utils._rebuild_tensor_v2", rebuild_tensor},
      {"torch._utils._rebuild_tensor_v3", rebuild_tensor_v3},
      {"torch._utils._rebuild_parameter", rebuild_parameter},
      {"torch._utils._rebuild_parameter_with_state", rebuild_parameter},
      {"torch._tensor._rebuild_from_type", rebuild_from_type},
      {"torch._tensor._rebuild_from_type_v2", rebuild_from_type},
      {"torch.Size", make_size},
      {"torch.device", make_device},
      {"numpy.dtype", numpy_type},
      {"numpy.core.multiarray.scalar", numpy_scalar},
      {"numpy._core.multiarray.scalar", numpy_scalar},
      {"_codecs.encode", encode_latin1},
  };
  return table;
}

/// Allowed as a value, but not to be called.
bool is_plain_type(std::string_view name) {
  return name == "torch.Tensor" || name == "torch.nn.parameter.Parameter" || storage_type(name) || tensor_type(name);
}

/// What is known but not read: how its name begins, what it is, and what to do.
struct Unread {
  std::string_view name;
  std::string_view text;
};

constexpr std::string_view kQuantized =
    "a part of a quantized network, which is not read; save the network before it is quantized, or .dequantize() of "
    "each tensor";
constexpr std::string_view kComplex = "a complex tensor, which is not read; save torch.view_as_real() of it";
constexpr std::string_view kOnDevice =
    "a tensor on a device with a format of its own, which is not read; save its .cpu()";
constexpr std::string_view kUninitialized =
    "not initialized yet (a lazy module); run a batch through the network before it is saved";
constexpr std::string_view kNumpyArray = "a NumPy array, which is not read; save torch.from_numpy() of it";

constexpr std::array kUnread{
    Unread{"torch._utils._rebuild_qtensor", kQuantized},
    Unread{"torch.q", kQuantized},
    Unread{"torch._utils._rebuild_sparse_tensor", "a sparse tensor, which is not read; save its .to_dense()"},
    Unread{"torch._utils._rebuild_meta_tensor_no_storage", kOnMeta},
    Unread{"torch._utils._rebuild_nested_tensor",
           "a nested tensor, which is not read; save the tensors of its .unbind()"},
    Unread{"torch._utils._rebuild_wrapper_subclass",
           "a tensor of a class that keeps its values elsewhere, which is not read; save it as a plain tensor"},
    Unread{"torch._utils._rebuild_device_tensor", kOnDevice},
    Unread{"torch._utils._rebuild_xla_tensor", kOnDevice},
    Unread{"torch.complex", kComplex},
    Unread{"torch.Complex", kComplex},
    Unread{"torch.nn.parameter.Uninitialized", kUninitialized},
    Unread{"numpy.core.multiarray._reconstruct", kNumpyArray},
    Unread{"numpy._core.multiarray._reconstruct", kNumpyArray},
    Unread{"numpy.core.numeric._frombuffer", kNumpyArray},
    Unread{"numpy._core.numeric._frombuffer", kNumpyArray},
};

}  // namespace

bool is_allowed(std::string_view name) { return builders().contains(name) || is_plain_type(name); }

bool makes_tensors(std::string_view name) {
  return name.starts_with("torch._utils.") || name.starts_with("torch._tensor.");
}

Ref foreign_global(std::string name, Arena& arena) {
  for (const Unread& unread : kUnread) {
    if (name.starts_with(unread.name)) return arena.make_foreign({std::move(name), std::string(unread.text), true});
  }
  const bool is_type = name.starts_with("torch.") && name.find('.', 6) == std::string::npos;
  std::string why = is_type
                        ? fmt::format("the pickle holds '{}', a type that is not read; save it as another, as float32",
                                      printable(name))
                        : fmt::format(
                              "the pickle asks for '{}', which Lossatlas does not run; save only the weights, with "
                              "torch.save(model.state_dict(), ...)",
                              printable(name));
  const bool is_tensor = makes_tensors(name);
  return arena.make_foreign({std::move(name), std::move(why), is_tensor});
}

namespace {

/// What a function that is read makes of an argument that is not.
Ref call_of_foreign(const std::string& function, Ref argument, Arena& arena) {
  const Foreign& foreign = *argument->as<Foreign>();
  if (function.starts_with(kFromType) && !foreign.is_tensor) {
    return arena.make_foreign({foreign.name,
                               fmt::format("a tensor of class '{}', which is not read; save its "
                                           ".as_subclass(torch.Tensor)",
                                           printable(foreign.name)),
                               true});
  }
  return makes_tensors(function) ? foreign_tensor(foreign, arena) : argument;
}

}  // namespace

Ref call(Ref function, const Value& arguments, Arena& arena) {
  if (function->as<Foreign>() != nullptr) {
    return function;
  }
  const Global* global = function->as<Global>();
  const Tuple* tuple = arguments.as<Tuple>();
  if (global == nullptr || tuple == nullptr) {
    throw Error("the pickle is damaged: it calls something that is not a function");
  }
  const auto builder = builders().find(global->name);
  if (builder == builders().end()) {
    throw Error("the pickle is damaged: it calls '{}'", printable(global->name));
  }
  const Ref foreign = global->name == kDefaultDict ? nullptr : foreign_of(tuple->items);
  return foreign ? call_of_foreign(global->name, foreign, arena) : builder->second(tuple->items, arena);
}

void set_state(Value& object, const Value& state) {
  if (NumpyType* type = object.as<NumpyType>()) {
    set_byte_order(*type, state);
  } else if (object.as<Dict>() == nullptr && object.as<Foreign>() == nullptr) {
    throw Error("the pickle is damaged: it gives a state to something that has none");
  }
}

Ref storage_of(const Value& persistent_id, Arena& arena) {
  constexpr std::string_view what = "a storage";
  const Tuple* tuple = persistent_id.as<Tuple>();
  if (tuple == nullptr) {
    unsuited(what);
  }
  const Arguments arguments = tuple->items;
  if (const Ref foreign = foreign_of(arguments)) {
    const auto type = storage_type(foreign->as<Foreign>()->name, kUnreadStorageTypes);
    const Text* key = arguments.size() > 2 ? arguments[2]->as<Text>() : nullptr;
    if (type && key != nullptr) {
      arena.charge(key->text.size());
      arena.keep(Storage{key->text, *type, 0, 0, 0});
    }
    return foreign_tensor(*foreign->as<Foreign>(), arena);
  }
  const auto type = storage_type(argument<Global>(arguments, 1, what).name);
  if (argument<Text>(arguments, 0, what).text != "storage" || !type) {
    unsuited(what);
  }
  if (argument<Text>(arguments, 3, what).text == "meta") {
    return arena.make_foreign({"", std::string(kOnMeta), true});
  }
  arena.charge(argument<Text>(arguments, 2, what).text.size());
  Storage storage{.key = argument<Text>(arguments, 2, what).text,
                  .type = *type,
                  .numel = argument<std::int64_t>(arguments, 4, what),
                  .view_offset = 0,
                  .view_numel = 0};
  storage.view_numel = storage.numel;
  if (arguments.size() > 5 && arguments[5]->as<None>() == nullptr) {
    const Arguments view = argument<Tuple>(arguments, 5, what).items;  // (key, offset, length)
    storage.view_offset = argument<std::int64_t>(view, 1, what);
    storage.view_numel = argument<std::int64_t>(view, 2, what);
  }
  return arena.make(arena.keep(std::move(storage)));
}

}  // namespace lossatlas::pickle
