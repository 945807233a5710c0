// What a room without LibTorch may not do: tests/CMakeLists.txt expects that it does not compile.
#include <ATen/core/Tensor.h>
