// The gradient of the values of Kronecker-sparse matrices is computed in parts of the batch: their sum.
//
// Macros: VALUE, of the result; TOTAL, of the parts; HALF, if one of them is __half.

#include "halves.cuh"

// The parts of some sums, added in their order: out[e] = partial[e] + partial[count + e] + ...
extern "C" __global__ void ks_add_parts(
    long long count, long long parts, const TOTAL* __restrict__ partial, VALUE* __restrict__ out)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x; e < count; e += step) {
        TOTAL total = partial[e];
        for (long long p = 1; p < parts; ++p)
            total += partial[p * count + e];
        put(out + e, total);
    }
}
