// Sums over the paths of a graph of neurons up to each neuron.
//
// The neurons stand in topological order, level by level; neuron v has its number at position v + 1 of a buffer,
// position 0 is the constant that biases start from. Buffers have shape (N, sides): the right-hand sides of a neuron
// lie side by side. Entries are the weights of the edges by (target, antecedent), then the biases.
//
// A launch runs the levels first:last. If there are several it has one block, whose barrier separates them. Every sum
// is made by the same threads in the same order at every run, and nothing but the status is written by two threads.
//
// Macros: those of path_numbers.cuh, and INDEX, the type of neurons and entries.

#include "path_numbers.cuh"

// The buffer at its start: some positions, and the constant.
extern "C" __global__ void path_start(
    long long n, const INDEX* __restrict__ positions, const double* __restrict__ weights, Number* __restrict__ x,
    long long sides, int constant, SUM q, int* __restrict__ status)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    int found = 0;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n * sides; i += step) {
        const long long side = i / n, k = i - side * n;
        const double weight = weights[i];
        const Number start = value(weight, q);
        if (!(weight - weight == 0) || (POWER != 0 && weight < 0))
            found |= INVALID;
#if !SCALED
        if (weight != 0 && fabs(start) < TINY)
            found |= LOST;
#endif
        x[(long long)positions[k] * sides + side] = start;
    }
    if (constant && blockIdx.x == 0)
        for (long long side = threadIdx.x; side < sides; side += blockDim.x)
            x[side] = one();
    if (found)
        atomicOr(status, found);
}

// Forward. `lanes` threads of a warp share a neuron, `width` of them along the sides, the others along its edges.
extern "C" __global__ void path_forward(
    long long first, long long last, const long long* __restrict__ ends, const long long* __restrict__ start,
    const INDEX* __restrict__ antecedent, const INDEX* __restrict__ run, const INDEX* __restrict__ bias,
    const VALUE* __restrict__ w, Number* x, long long sides, int width, int lanes, SUM q, int* __restrict__ status)
{
    const int member = threadIdx.x & (lanes - 1);
    const int part = member / width, parts = lanes / width;
    const long long group = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / lanes;
    const long long groups = (long long)gridDim.x * blockDim.x / lanes;
    int found = 0;
    for (long long level = first; level < last; ++level) {
        const long long stop = ends[level + 1];
        for (long long base = ends[level]; base < stop; base += groups) {
            const long long v = base + group;
            for (long long from = 0; from < sides; from += width) {
                const long long side = from + (member & (width - 1));
                const bool is_mine = v < stop && side < sides;
                Number total = zero();
                if (is_mine) {
                    const long long lo = start[v], hi = start[v + 1], consecutive = run[v];
                    if (consecutive >= 0) {
#pragma unroll 4
                        for (long long e = lo + part; e < hi; e += parts)
                            total = add(total, term(w[e], x[(consecutive + 1 + e - lo) * sides + side], q, found));
                    } else {
#pragma unroll 4
                        for (long long e = lo + part; e < hi; e += parts)
                            total = add(total, term(w[e], x[((long long)antecedent[e] + 1) * sides + side], q, found));
                    }
                }
                for (int offset = lanes / 2; offset >= width; offset /= 2)
                    total = add(total, from_lane(total, offset));
                if (is_mine && part == 0) {
                    total = add(total, x[(v + 1) * sides + side]);
                    if (bias[v] >= 0)
                        total = add(total, term(w[bias[v]], x[side], q, found));
                    found |= ends_of_range(total);
                    x[(v + 1) * sides + side] = total;
                }
            }
        }
        if (level + 1 < last)
            __syncthreads();
    }
    if (found)
        atomicOr(status, found);
}

// The numbers at some positions, side by side: out[side * n + i]; the status follows, so that one copy brings both.
extern "C" __global__ void path_gather(
    long long n, const INDEX* __restrict__ positions, const Number* __restrict__ x, long long sides,
    Number* __restrict__ out, const int* __restrict__ status)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n * sides; i += step) {
        const long long side = i / n, k = i - side * n;
        out[i] = x[(long long)positions[k] * sides + side];
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
#if SCALED
        out[n * sides] = {double(status[0]), 0};
#else
        out[n * sides] = status[0];
#endif
    }
}
