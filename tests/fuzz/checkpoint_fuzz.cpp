#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "fuzz/input.h"

using namespace lossatlas;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  testing::read_as_file("checkpoint", bytes, size, [](const auto& file) { json_text(read_checkpoint(file).metadata); });
  return 0;
}
