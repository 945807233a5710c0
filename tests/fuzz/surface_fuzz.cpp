#include "base/json.h"
#include "fuzz/input.h"
#include "landscape/summary.h"
#include "landscape/surface.h"

using namespace lossatlas;

/// HDF5 asks for any size that a damaged file names; as anywhere else, it is to be told that there is not so much.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

/// It forgets some of what it holds (about 50 bytes) when it gives up a damaged file.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5\n"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  testing::read_as_file("surface.h5", bytes, size, [](const auto& file) {
    const Surface surface = read_surface(file);
    json_text(surface.settings);
    json_text(surface.provenance);
    json_text(summary_json(surface));
  });
  return 0;
}
