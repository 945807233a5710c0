#include "base/processors.h"

#include <sched.h>

#include <cstdlib>

#include "catch.h"

using namespace lossatlas;

namespace {

/// OMP_NUM_THREADS of a value while it lives; null: none.
class OmpThreads {
 public:
  explicit OmpThreads(const char* value) {
    if (const char* old = std::getenv("OMP_NUM_THREADS")) kept_ = old;
    set(value);
  }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;
  ~OmpThreads() { set(kept_.empty() ? nullptr : kept_.c_str()); }

 private:
  static void set(const char* value) { value ? setenv("OMP_NUM_THREADS", value, 1) : unsetenv("OMP_NUM_THREADS"); }
  std::string kept_;
};

}  // namespace

TEST_CASE("OMP_NUM_THREADS and the processors allowed bound the threads") {
  int all = 0;
  {
    const OmpThreads none(nullptr);
    all = usable_processors();
  }
  CHECK(all >= 1);
  for (const auto& [text, most] :
       {std::pair{"1", 1}, {"1,4", 1}, {"100000", all}, {"none", all}, {"0", all}, {"-3", all}, {"", all}}) {
    CAPTURE(text);
    const OmpThreads threads(text);
    CHECK(usable_processors() == most);
  }
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_SET(first, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  const OmpThreads none(nullptr);
  CHECK(usable_processors() == 1);
  REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
}
