#include <ATen/ops/zeros.h>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/index.h"
#include "fuzz/input.h"
#include "without_checksums.h"

using namespace lossatlas;

namespace {

/// As a trajectory does: where the tensors lie, then the numbers of each.
void read_in_place(const std::filesystem::path& file) {
  constexpr std::int64_t kMost = 1 << 20;
  const CheckpointIndex index = index_checkpoint(file);
  const TensorReader reader(index);
  for (const StoredTensor& tensor : index.tensors) {
    const std::int64_t count = std::min(tensor.numel(), kMost);
    std::vector<float> numbers(static_cast<std::size_t>(count));
    reader.read(tensor, tensor.numel() - count, numbers);
  }
}

/// Into a network of a convolution, by whatever names and halves the file has.
void load(const Checkpoint& checkpoint, const std::filesystem::path& file) {
  NetworkTensors state;
  state.parameters = {{"conv.weight", at::zeros({2, 1, 3, 3})}, {"conv.bias", at::zeros({2})}};
  load_into(checkpoint, state, "conv", file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  // A zip with wrong checksums is refused at once; without any, it is read.
  const std::string content = testing::without_checksums({reinterpret_cast<const char*>(bytes), size});
  const auto* data = reinterpret_cast<const std::uint8_t*>(content.data());
  testing::read_as_file("checkpoint", data, content.size(), [](const auto& file) {
    files_of_checkpoint(file);
    const Checkpoint checkpoint = read_checkpoint(file);
    json_text(checkpoint.metadata);
    read_in_place(file);
    load(checkpoint, file);
  });
  return 0;
}
