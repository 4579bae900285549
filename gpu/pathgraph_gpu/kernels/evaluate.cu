// Evaluation of ReLU and k-max-pool networks on a batch.
//
// The values of all neurons on some samples have shape (N, batch), so that neighbouring threads take neighbouring
// samples; neuron v is row v + 1. The neurons of a level come in groups that read one run of antecedents with weights
// side by side: at most 4, or 1 for a pool and for what reads no run. Every value is one sum, antecedent by antecedent
// and then the bias, whatever the size of the batch.
//
// A block owns some samples: the levels first:last may be several if gridDim.y is 1, and a barrier separates them.
//
// Macros: VALUE, float or double; INDEX, the type of neurons and entries.

#define INVALID 2    // an input is not finite
#define TOO_LARGE 4  // a value is not finite
#define SAMPLES 4    // of one thread, 32 apart

#define INPUT 0
#define RELU 2
#define POOL 3

__device__ __forceinline__ bool is_finite(VALUE a)
{
    return a - a == 0;
}

// Add the bias, look whether the value is finite, clip it, write it.
__device__ __forceinline__ void finish(
    long long v, VALUE total, long long sample, long long batch, const INDEX* __restrict__ bias,
    const signed char* __restrict__ activation, const VALUE* __restrict__ w, VALUE* x, int& found)
{
    if (sample >= batch)
        return;
    if (bias[v] >= 0)
        total += w[bias[v]];
    if (!is_finite(total))
        found |= TOO_LARGE;
    if (activation[v] == RELU && total < 0)
        total = 0;
    x[(v + 1) * batch + sample] = total;
}

// The sums into COUNT neurons from v on. Samples behind the last one repeat it, and are not written.
template <int COUNT>
__device__ __forceinline__ void sums(
    long long v, const long long (&at)[SAMPLES], const long long* __restrict__ start,
    const INDEX* __restrict__ antecedent, const INDEX* __restrict__ run, const VALUE* __restrict__ w, const VALUE* x,
    long long batch, VALUE (&total)[4][SAMPLES])
{
    const long long lo = start[v], degree = start[v + 1] - lo, consecutive = run[v];
#pragma unroll
    for (int t = 0; t < COUNT; ++t)
#pragma unroll
        for (int i = 0; i < SAMPLES; ++i)
            total[t][i] = 0;
    for (long long k = 0; k < degree; ++k) {
        const long long u = consecutive >= 0 ? consecutive + k : (long long)antecedent[lo + k];
        const VALUE* row = x + (u + 1) * batch;
        VALUE in[SAMPLES];
#pragma unroll
        for (int i = 0; i < SAMPLES; ++i)
            in[i] = row[at[i]];
#pragma unroll
        for (int t = 0; t < COUNT; ++t) {
            const VALUE weight = w[lo + t * degree + k];
#pragma unroll
            for (int i = 0; i < SAMPLES; ++i)
                total[t][i] += weight * in[i];
        }
    }
}

// The candidate of a rank: candidates in descending order, the first antecedent first among equal ones. They are taken
// one after the other from the nearer end.
__device__ VALUE selected(
    long long lo, long long hi, long long rank, const INDEX* __restrict__ antecedent, const VALUE* __restrict__ w,
    const VALUE* x, long long batch, long long sample)
{
    const long long degree = hi - lo;
    const bool is_upper = rank <= degree - rank + 1;
    const long long turns = is_upper ? rank : degree - rank + 1;
    VALUE bound = 0;
    long long last = -1;
    for (long long turn = 0; turn < turns; ++turn) {
        VALUE best = 0;
        long long place = -1;
        for (long long e = lo; e < hi; ++e) {
            const VALUE c = w[e] * x[((long long)antecedent[e] + 1) * batch + sample];
            const bool is_left = turn == 0 || (is_upper ? c < bound || (c == bound && e > last)
                                                        : c > bound || (c == bound && e < last));
            if (is_left && (place < 0 || (is_upper ? c > best : c <= best))) {
                best = c;
                place = e;
            }
        }
        bound = best;
        last = place;
    }
    return bound;
}

extern "C" __global__ void evaluate_levels(
    long long first, long long last, const long long* __restrict__ group_ends, const INDEX* __restrict__ group,
    const long long* __restrict__ start, const INDEX* __restrict__ antecedent, const INDEX* __restrict__ run,
    const INDEX* __restrict__ bias, const signed char* __restrict__ activation, const INDEX* __restrict__ rank,
    const VALUE* __restrict__ w, VALUE* x, long long batch, int* __restrict__ status)
{
    long long sample[SAMPLES], at[SAMPLES];
#pragma unroll
    for (int i = 0; i < SAMPLES; ++i) {
        sample[i] = ((long long)blockIdx.x * SAMPLES + i) * 32 + threadIdx.x;
        at[i] = sample[i] < batch ? sample[i] : batch - 1;
    }
    int found = 0;
    for (long long level = first; level < last; ++level) {
        const long long stop = group_ends[level + 1], step = (long long)gridDim.y * blockDim.y;
        for (long long g = group_ends[level] + (long long)blockIdx.y * blockDim.y + threadIdx.y; g < stop; g += step) {
            const long long v = group[g];
            VALUE total[4][SAMPLES];
            if (activation[v] == INPUT)
                continue;
            if (group[g + 1] - v == 4) {
                sums<4>(v, at, start, antecedent, run, w, x, batch, total);
#pragma unroll
                for (int t = 0; t < 4; ++t)
#pragma unroll
                    for (int i = 0; i < SAMPLES; ++i)
                        finish(v + t, total[t][i], sample[i], batch, bias, activation, w, x, found);
                continue;
            }
            if (activation[v] == POOL) {
#pragma unroll
                for (int i = 0; i < SAMPLES; ++i)
                    total[0][i] = selected(start[v], start[v + 1], rank[v], antecedent, w, x, batch, at[i]);
            } else
                sums<1>(v, at, start, antecedent, run, w, x, batch, total);
#pragma unroll
            for (int i = 0; i < SAMPLES; ++i)
                finish(v, total[0][i], sample[i], batch, bias, activation, w, x, found);
        }
        if (level + 1 < last)
            __syncthreads();
    }
    if (found)
        atomicOr(status, found);
}

// Rows of samples into the rows of the inputs: rows[s, i] becomes x[positions[i], s]. Tiles of 32 x 32 are turned in
// shared memory, in blocks of 32 x 8 threads, so that both sides are read and written in runs.
extern "C" __global__ void evaluate_load(
    long long batch, long long n, const VALUE* __restrict__ rows, const INDEX* __restrict__ positions,
    VALUE* __restrict__ x, int* __restrict__ status)
{
    __shared__ VALUE tile[32][33];
    const long long samples = (long long)blockIdx.x * 32;
    int found = 0;
    for (long long columns = (long long)blockIdx.y * 32; columns < n; columns += (long long)gridDim.y * 32) {
        for (int k = threadIdx.y; k < 32; k += 8)
            if (samples + k < batch && columns + threadIdx.x < n) {
                const VALUE value = rows[(samples + k) * n + columns + threadIdx.x];
                if (!is_finite(value))
                    found |= INVALID;
                tile[k][threadIdx.x] = value;
            }
        __syncthreads();
        for (int k = threadIdx.y; k < 32; k += 8)
            if (columns + k < n && samples + threadIdx.x < batch)
                x[((long long)positions[columns + k]) * batch + samples + threadIdx.x] = tile[threadIdx.x][k];
        __syncthreads();
    }
    if (found)
        atomicOr(status, found);
}

// The transpose of it: x[positions[i], s] becomes rows[s, i].
extern "C" __global__ void evaluate_store(
    long long batch, long long n, const VALUE* __restrict__ x, const INDEX* __restrict__ positions,
    VALUE* __restrict__ rows)
{
    __shared__ VALUE tile[32][33];
    const long long samples = (long long)blockIdx.x * 32;
    for (long long columns = (long long)blockIdx.y * 32; columns < n; columns += (long long)gridDim.y * 32) {
        for (int k = threadIdx.y; k < 32; k += 8)
            if (columns + k < n && samples + threadIdx.x < batch)
                tile[k][threadIdx.x] = x[((long long)positions[columns + k]) * batch + samples + threadIdx.x];
        __syncthreads();
        for (int k = threadIdx.y; k < 32; k += 8)
            if (samples + k < batch && columns + threadIdx.x < n)
                rows[(samples + k) * n + columns + threadIdx.x] = tile[threadIdx.x][k];
        __syncthreads();
    }
}
