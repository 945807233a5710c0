#include "fuzz/input.h"
#include "programs/problem_file.h"

using namespace lossatlas;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  testing::read_as_file("my.lossatlas", bytes, size, [](const auto& file) { ProblemFile{file}.check_members(); });
  return 0;
}
