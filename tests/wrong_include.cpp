// Compiled as a file of the room landscape: tests/CMakeLists.txt.
#include "base/error.h"
#include "fused/plan.h"
