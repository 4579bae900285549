// Sums over the paths of a graph of neurons from each neuron on, and through each entry.
//
// Graphs, buffers and launches are those of path_sums.cu.
//
// Macros: those of path_numbers.cuh, and INDEX, the type of neurons and entries.

#include "path_numbers.cuh"

// Backward, from the highest level down. Threads along x take neurons and sides, threads along y the edges out of them,
// in slices that are added in a fixed order. The edges out of u lead to target[i] by entry[i], where
// out_start[u] <= i < out_start[u + 1]; if fan[u] >= 0 they lead to the neurons from it on, each of which reads a run.
extern "C" __global__ void path_backward(
    long long first, long long last, const long long* __restrict__ ends, const long long* __restrict__ out_start,
    const INDEX* __restrict__ target, const INDEX* __restrict__ entry, const INDEX* __restrict__ fan,
    const long long* __restrict__ start, const INDEX* __restrict__ run, const VALUE* __restrict__ w, Number* y,
    long long sides, SUM q, int* __restrict__ status)
{
    __shared__ Number slice[8][32];
    int found = 0;
    for (long long level = last - 1; level >= first; --level) {
        const long long columns = (ends[level + 1] - ends[level]) * sides;
        for (long long base = (long long)blockIdx.x * 32; base < columns; base += (long long)gridDim.x * 32) {
            const long long column = base + threadIdx.x;
            const bool is_mine = column < columns;
            const long long u = ends[level] + column / sides, side = column % sides;
            Number total = zero();
            if (is_mine) {
                const long long lo = out_start[u], hi = out_start[u + 1], consecutive = fan[u];
                if (consecutive >= 0) {
#pragma unroll 4
                    for (long long i = lo + threadIdx.y; i < hi; i += 8) {
                        const long long v = consecutive + i - lo;
                        total = add(total, term(w[start[v] + u - run[v]], y[(v + 1) * sides + side], q, found));
                    }
                } else {
#pragma unroll 4
                    for (long long i = lo + threadIdx.y; i < hi; i += 8)
                        total = add(total, term(w[entry[i]], y[((long long)target[i] + 1) * sides + side], q, found));
                }
            }
            slice[threadIdx.y][threadIdx.x] = total;
            __syncthreads();
            if (is_mine && threadIdx.y == 0) {
                for (int k = 1; k < 8; ++k)
                    total = add(total, slice[k][threadIdx.x]);
                total = add(total, y[(u + 1) * sides + side]);
                found |= ends_of_range(total);
                y[(u + 1) * sides + side] = total;
            }
            __syncthreads();
        }
    }
    if (found)
        atomicOr(status, found);
}

// The sum over the paths through each entry, from the buffers of both sweeps, of one side. It goes to place[entry] if
// there are places (nowhere if that is -1), else to where the entry stands. `lanes` threads of a warp share a neuron.
extern "C" __global__ void path_masses(
    long long n, const long long* __restrict__ start, const INDEX* __restrict__ antecedent,
    const INDEX* __restrict__ run, const INDEX* __restrict__ bias, const VALUE* __restrict__ w,
    const Number* __restrict__ x, const Number* __restrict__ y, int has_places, const INDEX* __restrict__ place,
    Number* __restrict__ mass, int lanes, SUM q, int* __restrict__ status)
{
    const int member = threadIdx.x & (lanes - 1);
    const long long groups = (long long)gridDim.x * blockDim.x / lanes;
    int found = 0;
    for (long long v = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / lanes; v < n; v += groups) {
        const long long lo = start[v], hi = start[v + 1], consecutive = run[v], own = bias[v];
        const Number out = y[v + 1];
        for (long long e = lo + member; e < hi + (own >= 0); e += lanes) {
            const bool is_edge = e < hi;
            const long long k = is_edge ? e : own;
            const long long u = is_edge ? 1 + (consecutive >= 0 ? consecutive + e - lo : (long long)antecedent[e]) : 0;
            const Number in = x[u], sent = term(w[k], out, q, found);
#if SCALED
            const Number through = multiply(sent, in);
#else
            const Number through = multiply(sent, in, found);
#endif
            found |= ends_of_range(through);
            const long long at = has_places ? (long long)place[k] : k;
            if (at >= 0)
                mass[at] = through;
        }
    }
    if (found)
        atomicOr(status, found);
}

// Sums of numbers by owner: those of owner p stand at member[start[p]:start[p + 1]], and are added in this order.
extern "C" __global__ void path_group(
    long long n, const long long* __restrict__ start, const INDEX* __restrict__ member,
    const Number* __restrict__ numbers, Number* __restrict__ out, int* __restrict__ status)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    int found = 0;
    for (long long p = (long long)blockIdx.x * blockDim.x + threadIdx.x; p < n; p += step) {
        Number total = zero();
        for (long long i = start[p]; i < start[p + 1]; ++i)
            total = add(total, numbers[member[i]]);
        found |= ends_of_range(total);
        out[p] = total;
    }
    if (found)
        atomicOr(status, found);
}

// Numbers as floats: scaled ones are subnormal or zero below their range.
extern "C" __global__ void path_narrow(
    long long n, const Number* __restrict__ numbers, double* __restrict__ out, int* __restrict__ status)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    int found = 0;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        const double number = narrow(numbers[i]);
        if (!(number - number == 0))
            found |= TOO_LARGE;
        out[i] = number;
    }
    if (found)
        atomicOr(status, found);
}
