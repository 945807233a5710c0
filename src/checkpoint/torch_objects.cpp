#include "checkpoint/torch_objects.h"

#include <utility>

#include "base/error.h"
#include "checkpoint/globals.h"

namespace lossatlas::pickle {
namespace {

class TorchObjects : public Objects {
 public:
  explicit TorchObjects(Globals globals) : globals_(globals) {}

  Ref global(std::string name, Arena& arena) override {
    const bool is_read = is_allowed(name) || (globals_ == Globals::any && !makes_tensors(name));
    return is_read ? arena.make(Global{std::move(name)}) : made(foreign_global(std::move(name), arena));
  }

  /// Only a Foreign may have arguments with keywords.
  Ref call(std::span<const Ref> call, Arena& arena) override {
    if (is_passed_over(*call[0])) {
      return arena.make(None{});
    }
    if (call.size() > 2 && call[0]->as<Foreign>() == nullptr) {
      throw Error("the pickle is damaged: it calls a function with keywords that accepts none");
    }
    return made(pickle::call(call[0], *call[1], arena));
  }

  void set_state(Value& object, const Value& state) override {
    if (globals_ == Globals::known || object.as<None>() == nullptr) {
      pickle::set_state(object, state);
    }
  }

  Ref persistent(const Value& id, Arena& arena) override { return made(storage_of(id, arena)); }

 private:
  bool is_passed_over(const Value& function) const {
    const Global* global = function.as<Global>();
    return globals_ == Globals::any && global != nullptr && !is_allowed(global->name);
  }

  /// What must be a tensor or nothing if LibTorch reads the same pickle.
  Ref made(Ref value) const {
    const Foreign* foreign = value->as<Foreign>();
    if (globals_ == Globals::any && foreign != nullptr) {
      throw Error("{}", foreign->why);
    }
    return value;
  }

  Globals globals_;
};

}  // namespace

Loaded unpickle(std::string_view input, Arena& arena, Globals globals) {
  TorchObjects objects(globals);
  return unpickle(input, arena, objects);
}

}  // namespace lossatlas::pickle
