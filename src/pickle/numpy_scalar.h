#pragma once

#include <span>

#include "pickle/value.h"

/// NumPy scalars, which many trainers store as `acc` or `loss`.
namespace lossatlas::pickle {

/// numpy.dtype("f8", align, copy): a NumpyType, little-endian until set_byte_order; a Foreign for what is not a
/// number of 8 bytes or fewer.
Ref numpy_type(std::span<const Ref> arguments, Arena& arena);

/// The state of a numpy.dtype: (3, "<", …).
void set_byte_order(NumpyType& type, const Value& state);

/// numpy.core.multiarray.scalar(dtype, bytes): an integer, a double or a bool.
Ref numpy_scalar(std::span<const Ref> arguments, Arena& arena);

/// _codecs.encode(text, "latin1"): how Python 3 writes bytes in protocol 2.
Ref encode_latin1(std::span<const Ref> arguments, Arena& arena);

}  // namespace lossatlas::pickle
