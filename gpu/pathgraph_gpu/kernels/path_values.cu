// The entries of a network: made from its parameters, its parameters from them, and checked.
//
// Macros: VALUE, float or double; INDEX, the type of entries.

#define INVALID 2
#define UNEQUAL 8

// out[i] = numbers[place[i]]; where the place is -1, what stood there stays.
extern "C" __global__ void path_take(
    long long n, const INDEX* __restrict__ place, const VALUE* __restrict__ numbers, VALUE* __restrict__ out)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        if (place[i] >= 0)
            out[i] = numbers[place[i]];
}

// Whether all are finite, and, if there are ties, equal to the first entry of their parameter.
extern "C" __global__ void path_check(
    long long n, const VALUE* __restrict__ values, int has_ties, const INDEX* __restrict__ first,
    int* __restrict__ status)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    int found = 0;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        const VALUE value = values[i];
        if (!(value - value == 0))
            found |= INVALID;
        if (has_ties && value != values[first[i]])
            found |= UNEQUAL;
    }
    if (found)
        atomicOr(status, found);
}
