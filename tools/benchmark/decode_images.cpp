// Loads images:DIR and prints what that took, for tools/bench-images. Usage: decode_images DIR CACHE

#include <sys/resource.h>

#include <cstdio>

#include "base/error.h"
#include "base/stopwatch.h"
#include "data/data_set.h"

int main(int count, char** words) {
  using namespace lossatlas;
  if (count != 3) return 2;
  DataSpec spec("images:" + std::string(words[1]));
  spec.images.cache = words[2];
  try {
    const Stopwatch watch;
    const DataSet data = load_data(spec, Split::train);
    const double seconds = watch.seconds();
    struct rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    std::printf("{\"images\": %zu, \"seconds\": %.6f, \"kilobytes\": %ld}\n", data.size(), seconds, usage.ru_maxrss);
  } catch (const Error& error) {
    std::fprintf(stderr, "decode_images: %s\n", error.what());
    return 1;
  }
}
