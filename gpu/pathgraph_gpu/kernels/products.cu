// Products of Kronecker-sparse matrices with a batch, and their gradients: many small matrix products at strides.
//
// There are `groups` x d products, numbered by i and l: C[i, l] = A[i mod a, l] B[i, l], where A[i, l] has shape
// (m, depth), B[i, l] shape (depth, n), and an entry of an operand lies at i s_i + row s_row + column s_col + l s_l.
// The values, a batch and its product are all of this form, in either layout, and so are both gradients; only strides
// differ. The depth may be cut into parts of `part`, whose sums are written one behind the other.
//
// A block owns GROUPS neighbouring products, 2^run_bits of them along l and the others along i, of which it makes tiles
// of BM x BN entries. It goes through the depth BK at a time: while it multiplies one chunk in shared memory it reads the
// next one into registers. Every thread keeps TM x TN sums. Each entry of C is one sum, taken in the order of the
// depth, so that its bits depend neither on the tile nor on the rest of the batch, and it is written once.
//
// Reads and writes go through shared memory, so that neighbouring threads take neighbouring places of the operand,
// whatever its layout. How the threads lie along an operand is a word of four bytes: by which shift to the right the
// number of an element gives l, i, row and column, from the lowest byte up.
//
// Macros: VALUE, of the operands A and B, TOTAL, of the sums, OUT, of C; HALF, if one of them is __half; GROUPS, BM, BN,
// BK, TM, TN, powers of two.

#if HALF
#include <cuda_fp16.h>

__device__ __forceinline__ float widened(__half a)
{
    return __half2float(a);
}

__device__ __forceinline__ void put(__half* at, float a)
{
    *at = __float2half_rn(a);
}
#endif

__device__ __forceinline__ TOTAL widened(TOTAL a)
{
    return a;
}

__device__ __forceinline__ void put(TOTAL* at, TOTAL a)
{
    *at = a;
}

#define VEC (16 / (int)sizeof(TOTAL))  // sums that are read or written in one instruction
#define ROWS (BM / TM)                 // of threads
#define COLUMNS (BN / TN)
#define THREADS (GROUPS * ROWS * COLUMNS)
#define A_LINE (BM + VEC)  // the padding spreads the lines over the banks
#define B_LINE (BN + VEC)
#define A_STEP (GROUPS * A_LINE)  // from one place of the depth to the next
#define B_STEP (GROUPS * B_LINE)
#define A_ALL (GROUPS * BM * BK)
#define B_ALL (GROUPS * BN * BK)
#define A_TURNS (A_ALL / THREADS)
#define B_TURNS (B_ALL / THREADS)
#define CHUNK (BK * (A_STEP + B_STEP))
#define WHOLE (GROUPS * BM * B_LINE * (int)sizeof(TOTAL) <= 40 * 1024)
#define TOGETHER (WHOLE ? TM / VEC : 1)
#define SLICE (ROWS * VEC * TOGETHER)  // rows of C that are written together
#define STAGE (GROUPS * SLICE * B_LINE)
#define MEMORY (2 * CHUNK > STAGE ? 2 * CHUNK : STAGE)

static_assert(A_ALL % THREADS == 0 && B_ALL % THREADS == 0, "the threads of a block have to share a chunk evenly");

struct __align__(16) Vector {
    TOTAL at[VEC];
};

// rest becomes rest / count; the remainder is returned. A division of 64 bits is slow.
__device__ __forceinline__ long long split(long long& rest, long long count)
{
    const long long before = rest;
    rest = (before | count) >> 32 ? before / count : (long long)((unsigned)before / (unsigned)count);
    return before - rest * count;
}

extern "C" __global__ void __launch_bounds__(THREADS) ks_product(
    long long a, long long groups, long long d, long long m, long long n, long long depth, long long part,
    int run_bits, int is_batch_outer, const VALUE* __restrict__ A, long long a_i, long long a_row, long long a_col,
    long long a_l, int a_lanes, const VALUE* __restrict__ B, long long b_i, long long b_row, long long b_col,
    long long b_l, int b_lanes, OUT* __restrict__ C, long long c_i, long long c_row, long long c_col, long long c_l,
    int c_lanes, long long c_part)
{
    __shared__ __align__(16) TOTAL memory[MEMORY];
    const int thread = threadIdx.x;
    const int tx = thread % COLUMNS, ty = thread / COLUMNS % ROWS, group = thread / (COLUMNS * ROWS);
    int own_a = group * A_LINE + ty * VEC, own_b = BK * A_STEP + group * B_LINE + tx * VEC;
    asm("" : "+r"(own_a), "+r"(own_b));  // kept in registers, not computed again for every chunk
    const int run_l = 1 << run_bits, run_i = GROUPS >> run_bits;
    const long long m_tiles = (m + BM - 1) / BM, n_tiles = (n + BN - 1) / BN, parts = (depth + part - 1) / part;
    const long long l_runs = (d + run_l - 1) >> run_bits, i_runs = (groups + run_i - 1) / run_i;
    const long long tiles = m_tiles * n_tiles * l_runs * i_runs * parts;

    for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        long long rest = tile, n0 = 0;
        const long long m0 = split(rest, m_tiles) * BM;
        if (!is_batch_outer)
            n0 = split(rest, n_tiles) * BN;
        const long long l0 = split(rest, l_runs) << run_bits, i0 = split(rest, i_runs) * run_i;
        if (is_batch_outer)
            n0 = split(rest, n_tiles) * BN;
        const long long low = rest * part, length = depth - low < part ? depth - low : part;
        long long unused = i0;
        const long long a_i0 = split(unused, a);

        // where the elements of this thread come from, or -1, and where they go
        const VALUE *next_a = A + low * a_col, *next_b = B + low * b_row;
        long long from_a[A_TURNS], from_b[B_TURNS];
        int to_a[A_TURNS], to_b[B_TURNS];
#pragma unroll
        for (int t = 0; t < A_TURNS; ++t) {
            const int e = thread + t * THREADS;
            const int l = e >> (a_lanes & 255) & (run_l - 1), i = e >> (a_lanes >> 8 & 255) & (run_i - 1);
            const int row = e >> (a_lanes >> 16 & 255) & (BM - 1), k = e >> (a_lanes >> 24 & 255) & (BK - 1);
            to_a[t] = k * A_STEP + (i * run_l + l) * A_LINE + row;
            from_a[t] = l0 + l < d && i0 + i < groups && m0 + row < m
                ? (a_i0 + i) * a_i + (l0 + l) * a_l + (m0 + row) * a_row + k * a_col
                : -1;
        }
#pragma unroll
        for (int t = 0; t < B_TURNS; ++t) {
            const int e = thread + t * THREADS;
            const int l = e >> (b_lanes & 255) & (run_l - 1), i = e >> (b_lanes >> 8 & 255) & (run_i - 1);
            const int k = e >> (b_lanes >> 16 & 255) & (BK - 1), column = e >> (b_lanes >> 24 & 255) & (BN - 1);
            to_b[t] = k * B_STEP + (i * run_l + l) * B_LINE + column;
            from_b[t] = l0 + l < d && i0 + i < groups && n0 + column < n
                ? (i0 + i) * b_i + (l0 + l) * b_l + (n0 + column) * b_col + k * b_row
                : -1;
        }

        TOTAL sum[TM][TN];
#pragma unroll
        for (int y = 0; y < TM; ++y)
#pragma unroll
            for (int x = 0; x < TN; ++x)
                sum[y][x] = 0;

        TOTAL held_a[A_TURNS], held_b[B_TURNS];
        int current = 0;
        for (long long k0 = -BK; k0 < length; k0 += BK) {
            const bool has_next = k0 + BK < length;
            if (has_next) {
                const long long behind = length - (k0 + BK);
                const int count = behind < BK ? (int)behind : BK;
#pragma unroll
                for (int t = 0; t < A_TURNS; ++t)
                    held_a[t] = from_a[t] >= 0 && to_a[t] < count * A_STEP ? widened(next_a[from_a[t]]) : TOTAL(0);
#pragma unroll
                for (int t = 0; t < B_TURNS; ++t)
                    held_b[t] = from_b[t] >= 0 && to_b[t] < count * B_STEP ? widened(next_b[from_b[t]]) : TOTAL(0);
                next_a += BK * a_col;
                next_b += BK * b_row;
            }
            if (k0 >= 0) {
                const TOTAL *from_left = memory + (own_a + current), *from_right = memory + (own_b + current);
#pragma unroll
                for (int k = 0; k < BK; ++k) {
                    Vector left[TM / VEC], right[TN / VEC];
#pragma unroll
                    for (int y = 0; y < TM / VEC; ++y)
                        left[y] = *(const Vector*)(from_left + k * A_STEP + y * ROWS * VEC);
#pragma unroll
                    for (int x = 0; x < TN / VEC; ++x)
                        right[x] = *(const Vector*)(from_right + k * B_STEP + x * COLUMNS * VEC);
#pragma unroll
                    for (int y = 0; y < TM; ++y)
#pragma unroll
                        for (int x = 0; x < TN; ++x)
                            sum[y][x] += left[y / VEC].at[y % VEC] * right[x / VEC].at[x % VEC];
                }
                current = CHUNK - current;
            }
            if (has_next) {
                TOTAL* to = memory + current;
#pragma unroll
                for (int t = 0; t < A_TURNS; ++t)
                    to[to_a[t]] = held_a[t];
#pragma unroll
                for (int t = 0; t < B_TURNS; ++t)
                    to[BK * A_STEP + to_b[t]] = held_b[t];
                __syncthreads();
            }
        }

        // C, all rows or some at a time
#pragma unroll
        for (int y = 0; y < TM / VEC / TOGETHER; ++y) {
            __syncthreads();
#pragma unroll
            for (int v = 0; v < VEC * TOGETHER; ++v)
#pragma unroll
                for (int x = 0; x < TN / VEC; ++x) {
                    const int row = (v / VEC * ROWS + ty) * VEC + v % VEC;
                    Vector line;
#pragma unroll
                    for (int u = 0; u < VEC; ++u)
                        line.at[u] = sum[y * VEC * TOGETHER + v][x * VEC + u];
                    *(Vector*)(memory + (group * SLICE + row) * B_LINE + (x * COLUMNS + tx) * VEC) = line;
                }
            __syncthreads();
            for (int e = thread; e < GROUPS * SLICE * BN; e += THREADS) {
                const int l = e >> (c_lanes & 255) & (run_l - 1), i = e >> (c_lanes >> 8 & 255) & (run_i - 1);
                const int row = e >> (c_lanes >> 16 & 255) & (SLICE - 1), column = e >> (c_lanes >> 24 & 255) & (BN - 1);
                const long long in_m = m0 + y * SLICE + row;
                if (l0 + l < d && i0 + i < groups && in_m < m && n0 + column < n)
                    put(C + rest * c_part + (i0 + i) * c_i + (l0 + l) * c_l + in_m * c_row + (n0 + column) * c_col,
                        memory[((i * run_l + l) * SLICE + row) * B_LINE + column]);
            }
        }
        __syncthreads();
    }
}

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
