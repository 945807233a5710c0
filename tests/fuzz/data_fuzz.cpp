#include "data/cifar.h"
#include "fuzz/input.h"

using namespace lossatlas;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  testing::read_as_file("test_batch.bin", bytes, size,
                        [](const auto& file) { load_cifar(Cifar::ten, file.parent_path(), Split::test); });
  return 0;
}
