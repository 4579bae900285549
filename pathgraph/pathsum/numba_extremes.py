"""The compiled search for the extremes of an array of floats.

This file holds every function that it compiles: a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

from numba import njit
from numba.extending import intrinsic


@intrinsic
def with_bits(typing, like, bits):
    """The float, of the type of another one, that has these bits."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[1], context.get_value_type(signature.return_type))

    return like(like, bits), generate


@njit(cache=True, nogil=True)
def extreme_sizes(bits, mask, like):
    """The smallest and the largest absolute value of some floats but zeros, from their bits as integers.

    Without the sign, patterns of bits are ordered as absolute values are, NaN above infinity. Where all are zero, the
    smallest is NaN. `like` is a float of the type.
    """
    kind = bits.dtype.type  # without it, 32 bits would be widened to 64
    least, most = kind(mask - 1), kind(0)
    for k in range(len(bits)):
        size = kind(bits[k] & mask)
        most = max(most, size)
        least = min(least, kind((size - 1) & mask))  # zero goes to the top
    return with_bits(like, kind(least + 1)), with_bits(like, most)
