#include <caffe2/serialize/inline_container.h>

#include <exception>
#include <stdexcept>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/pickler.h"

namespace lossatlas {
namespace {

constexpr const char* kState = "state_dict";

/// The pickle, and the tensors whose bytes become the records data/0, data/1, …
struct Content {
  pickle::Pickler pickler;
  std::vector<at::Tensor> storages;
};

void add_tensors(Content& content, const std::vector<NamedTensor>& tensors) {
  content.pickler.begin_ordered_dict();
  for (const NamedTensor& named : tensors) {
    at::Tensor tensor = named.tensor.detach().to(at::kCPU).contiguous();
    content.pickler.text(named.name);
    content.pickler.tensor(std::to_string(content.storages.size()), tensor.scalar_type(), tensor.sizes());
    content.storages.push_back(std::move(tensor));
  }
  content.pickler.end_dict();
}

void check_names(const nlohmann::json& metadata, const TensorGroups& groups) {
  if (!metadata.is_null() && !metadata.is_object()) {
    throw std::logic_error("a checkpoint's metadata is not an object");
  }
  bool twice = groups.contains(kState) || metadata.contains(kState);
  for (const auto& [name, tensors] : groups) {
    twice = twice || metadata.contains(name);
  }
  if (twice) {
    throw std::logic_error("a checkpoint's metadata and groups use a name twice");
  }
}

Content content_of(const std::vector<NamedTensor>& state, const nlohmann::json& metadata, const TensorGroups& groups) {
  Content content;
  content.pickler.begin_dict();
  content.pickler.text(kState);
  add_tensors(content, state);
  for (const auto& [name, tensors] : groups) {
    if (!tensors.empty()) {
      content.pickler.text(name);
      add_tensors(content, tensors);
    }
  }
  for (const auto& [name, value] : metadata.items()) {
    content.pickler.text(name);
    content.pickler.plain(value);
  }
  content.pickler.end_dict();
  return content;
}

/// Passes bytes to a sink, until it throws: LibTorch's writer is C code in part, which cannot be unwound.
class Passage {
 public:
  explicit Passage(const ByteSink& sink) : sink_(sink) {}

  std::size_t pass(const void* bytes, std::size_t count) noexcept {
    try {
      if (!failure_) {
        sink_({static_cast<const std::byte*>(bytes), count});
      }
    } catch (...) {
      failure_ = std::current_exception();
    }
    return count;
  }

  /// Throws what the sink threw.
  void check() const {
    if (failure_) {
      std::rethrow_exception(failure_);
    }
  }

 private:
  const ByteSink& sink_;
  std::exception_ptr failure_;
};

/// The records in torch.save's order. Without dates, and with an id made of the content, so the bytes are the same
/// for the same content.
void write_archive(const ByteSink& sink, const std::string& pickle, const std::vector<at::Tensor>& storages) {
  Passage passage(sink);
  {
    caffe2::serialize::PyTorchStreamWriter writer(
        [&passage](const void* bytes, std::size_t count) { return passage.pass(bytes, count); });
    writer.writeRecord("data.pkl", pickle.data(), pickle.size());
    constexpr std::string_view byte_order = "little";
    writer.writeRecord("byteorder", byte_order.data(), byte_order.size());
    for (std::size_t i = 0; i < storages.size(); ++i) {
      writer.writeRecord("data/" + std::to_string(i), storages[i].const_data_ptr(), storages[i].nbytes());
      passage.check();
    }
    writer.writeEndOfFile();
  }
  passage.check();
}

}  // namespace

void write_checkpoint(const std::filesystem::path& file, const std::vector<NamedTensor>& state,
                      const nlohmann::json& metadata, const TensorGroups& groups) {
  check_names(metadata, groups);
  Content content;
  try {
    content = content_of(state, metadata, groups);
  } catch (const Error& error) {
    throw Error("{}: {}", file.string(), error.what());
  }
  const std::string pickle = content.pickler.finish();
  write_atomically(file, [&](const ByteSink& sink) { write_archive(sink, pickle, content.storages); });
}

}  // namespace lossatlas
