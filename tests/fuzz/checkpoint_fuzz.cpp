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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  // A zip with wrong checksums is refused at once; without any, it is read.
  const std::string content = testing::without_checksums({reinterpret_cast<const char*>(bytes), size});
  const auto* data = reinterpret_cast<const std::uint8_t*>(content.data());
  testing::read_as_file("checkpoint", data, content.size(), [](const auto& file) {
    json_text(read_checkpoint(file).metadata);
    read_in_place(file);
  });
  return 0;
}
