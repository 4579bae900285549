// Products of Kronecker-sparse matrices with a batch, and their gradients: many small matrix products at strides.
//
// There are `groups` x d products, numbered by i and l: C[i, l] = A[i mod a, l] B[i, l], where A[i, l] has shape
// (m, depth), B[i, l] shape (depth, n), and an entry of an operand lies at i s_i + row s_row + column s_col + l s_l.
// The values, a batch and its product are all of this form, in either layout, and so are both gradients; only strides
// differ. The depth may be cut into parts of `part`, whose sums are written one behind the other.
//
// A block owns GROUPS neighbouring products, 2^run_bits of them along l and the others along i, of which it makes tiles
// of BM x BN entries. It goes through the depth BK at a time: while it multiplies one chunk in shared memory it reads
// the next one into registers. Every thread keeps TM x TN sums. Each entry of C is one sum, taken in the order of the
// depth, so that its bits depend neither on the tile nor on the rest of the batch, and it is written once.
//
// Little is done for a chunk but to multiply: each thread has pointers that move on by one step, and places in shared
// memory that stay. The last chunk, which no other follows, is multiplied behind the loop. There are no guards. A depth
// that is no multiple of BK begins with places that are set to zero; and in place of rows, columns and products that
// are not there others of the tile are read, whose sums are not written.
//
// Reads and writes go through shared memory, so that neighbouring threads take neighbouring places of the operand,
// whatever its layout, and A_WIDTH, B_WIDTH or c_width of them at once. How the threads lie along an operand is a word
// of four bytes: by which shift to the right the number of an element gives l, i, row and column, from the lowest byte
// up.
//
// Macros: VALUE, of the operands A and B, TOTAL, of the sums, OUT, of C; HALF, if one of them is __half; GROUPS, BM,
// BN, BK, TM, TN, A_WIDTH, B_WIDTH, powers of two; RESIDENT, the blocks that a multiprocessor shall hold at least.

#include "halves.cuh"

// Keeps a number in a register: otherwise it is computed again for every chunk.
#define KEEP(number) asm volatile("" : "+r"(number))
#define KEEP_LONG(number) asm volatile("" : "+l"(number))

#define VEC (16 / (int)sizeof(TOTAL))  // sums that are read or written at once
#define ROWS (BM / TM)                 // of threads
#define COLUMNS (BN / TN)
#define THREADS (GROUPS * ROWS * COLUMNS)
#define A_LINE (BM + VEC)  // the padding spreads the lines over the banks
#define B_LINE (BN + VEC)
#define A_STEP (GROUPS * A_LINE)  // from one place of the depth to the next
#define B_STEP (GROUPS * B_LINE)
#define A_ALL (GROUPS * BM * BK)
#define B_ALL (GROUPS * BN * BK)
#define A_TURNS (A_ALL / (THREADS * A_WIDTH))
#define B_TURNS (B_ALL / (THREADS * B_WIDTH))
#define CHUNK (BK * (A_STEP + B_STEP))
#define TAIL (BK < 4 ? BK : 4)  // places of the last chunk that are multiplied in one turn
#define SIZE ((int)sizeof(TOTAL))
#define WHOLE (GROUPS * BM * B_LINE * (int)sizeof(TOTAL) <= 40 * 1024)
#define TOGETHER (WHOLE ? TM / VEC : 1)
#define SLICE (ROWS * VEC * TOGETHER)  // rows of C that are written together
#define STAGE (GROUPS * SLICE * B_LINE)
#define MEMORY (2 * CHUNK > STAGE ? 2 * CHUNK : STAGE)

static_assert(A_ALL % (THREADS * A_WIDTH) == 0 && B_ALL % (THREADS * B_WIDTH) == 0,
              "the threads of a block have to share a chunk evenly");

// Numbers that are read or written at once.
template <typename T, int WIDTH>
struct __align__(WIDTH * sizeof(T)) Pack {
    T at[WIDTH];
};

typedef Pack<TOTAL, VEC> Vector;

// Puts what a thread holds of a chunk where it belongs: pack t `to[t]` bytes behind `base`, its elements `step` bytes
// apart. They may be put at once if `is_line`; it takes four of them to be worth a branch.
template <int TURNS, int WIDTH>
__device__ __forceinline__ void spread(
    char* base, const int (&to)[TURNS], int step, bool is_line, const Pack<VALUE, WIDTH> (&held)[TURNS])
{
    if (WIDTH >= 4 && is_line) {
#pragma unroll
        for (int t = 0; t < TURNS; ++t) {
            Pack<TOTAL, WIDTH> line;
#pragma unroll
            for (int u = 0; u < WIDTH; ++u)
                line.at[u] = widened(held[t].at[u]);
            *(Pack<TOTAL, WIDTH>*)(base + to[t]) = line;
        }
    } else {
#pragma unroll
        for (int t = 0; t < TURNS; ++t)
#pragma unroll
            for (int u = 0; u < WIDTH; ++u)
                *(TOTAL*)(base + to[t] + u * step) = widened(held[t].at[u]);
    }
}

// One coordinate of element e of an operand, which has `places` places in a tile.
__device__ __forceinline__ int coordinate(int e, int lanes, int which, int places)
{
    return e >> (lanes >> 8 * which & 255) & (places - 1);
}

// rest becomes rest / count; the remainder is returned. A division of 64 bits is slow.
__device__ __forceinline__ long long split(long long& rest, long long count)
{
    const long long before = rest;
    rest = (before | count) >> 32 ? before / count : (long long)((unsigned)before / (unsigned)count);
    return before - rest * count;
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) ks_product(
    long long a, long long groups, long long d, long long m, long long n, long long depth, long long part,
    int run_bits, int is_batch_outer, const VALUE* __restrict__ A, long long a_i, long long a_row, long long a_col,
    long long a_l, int a_lanes, const VALUE* __restrict__ B, long long b_i, long long b_row, long long b_col,
    long long b_l, int b_lanes, OUT* __restrict__ C, long long c_i, long long c_row, long long c_col, long long c_l,
    int c_lanes, int c_width, long long c_part)
{
    __shared__ __align__(16) TOTAL memory[MEMORY];
    char *chunks_a = (char*)memory, *chunks_b = (char*)(memory + BK * A_STEP);
    const int thread = threadIdx.x;
    const int tx = thread % COLUMNS, ty = thread / COLUMNS % ROWS, group = thread / (COLUMNS * ROWS);
    int own_a = (group * A_LINE + ty * VEC) * SIZE, own_b = (group * B_LINE + tx * VEC) * SIZE;
    KEEP(own_a);
    KEEP(own_b);
    const int run_l = 1 << run_bits, run_i = GROUPS >> run_bits;

    // the elements of a pack are as far apart as elements 0 and 1
    const int beside_a = coordinate(1, a_lanes, 1, run_i) * run_l + coordinate(1, a_lanes, 0, run_l);
    int step_a = (coordinate(1, a_lanes, 3, BK) * A_STEP + beside_a * A_LINE + coordinate(1, a_lanes, 2, BM)) * SIZE;
    const int beside_b = coordinate(1, b_lanes, 1, run_i) * run_l + coordinate(1, b_lanes, 0, run_l);
    int step_b = (coordinate(1, b_lanes, 2, BK) * B_STEP + beside_b * B_LINE + coordinate(1, b_lanes, 3, BN)) * SIZE;
    KEEP(step_a);
    KEEP(step_b);
    const int beside_c = coordinate(1, c_lanes, 1, run_i) * run_l + coordinate(1, c_lanes, 0, run_l);
    const int step_c = (beside_c * SLICE + coordinate(1, c_lanes, 2, SLICE)) * B_LINE + coordinate(1, c_lanes, 3, BN);
    const bool is_line_a = !(a_lanes & 255 << 16), is_line_b = !(b_lanes & 255 << 24);
    long long turn_a = BK * a_col * (int)sizeof(VALUE), turn_b = BK * b_row * (int)sizeof(VALUE);
    KEEP_LONG(turn_a);
    KEEP_LONG(turn_b);
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

        const long long chunks = (length + BK - 1) / BK;
        const int missing = (int)(chunks * BK - length);  // places of the first chunk

        // where the packs of this thread come from, and where they go
        const VALUE* first_a = A + (a_i0 * a_i + l0 * a_l + m0 * a_row + (low - missing) * a_col);
        const VALUE* first_b = B + (i0 * b_i + l0 * b_l + n0 * b_col + (low - missing) * b_row);
        const char *next_a[A_TURNS], *next_b[B_TURNS];
        Pack<VALUE, A_WIDTH> held_a[A_TURNS];
        Pack<VALUE, B_WIDTH> held_b[B_TURNS];
        int to_a[A_TURNS], to_b[B_TURNS];
#pragma unroll
        for (int t = 0; t < A_TURNS; ++t) {
            const int e = (thread + t * THREADS) * A_WIDTH;
            const int l = coordinate(e, a_lanes, 0, run_l), i = coordinate(e, a_lanes, 1, run_i);
            const int row = coordinate(e, a_lanes, 2, BM), k = coordinate(e, a_lanes, 3, BK);
            next_a[t] = (const char*)(first_a + (i0 + i < groups ? i : 0) * a_i + (l0 + l < d ? l : 0) * a_l
                                      + (m0 + row < m ? row : 0) * a_row + k * a_col);
            to_a[t] = (k * A_STEP + (i * run_l + l) * A_LINE + row) * SIZE;
            KEEP(to_a[t]);
            held_a[t] = Pack<VALUE, A_WIDTH>();
            if (k >= missing)
                held_a[t] = *(const Pack<VALUE, A_WIDTH>*)next_a[t];
            next_a[t] += turn_a;
        }
#pragma unroll
        for (int t = 0; t < B_TURNS; ++t) {
            const int e = (thread + t * THREADS) * B_WIDTH;
            const int l = coordinate(e, b_lanes, 0, run_l), i = coordinate(e, b_lanes, 1, run_i);
            const int k = coordinate(e, b_lanes, 2, BK), column = coordinate(e, b_lanes, 3, BN);
            next_b[t] = (const char*)(first_b + (i0 + i < groups ? i : 0) * b_i + (l0 + l < d ? l : 0) * b_l
                                      + (n0 + column < n ? column : 0) * b_col + k * b_row);
            to_b[t] = (k * B_STEP + (i * run_l + l) * B_LINE + column) * SIZE;
            KEEP(to_b[t]);
            held_b[t] = Pack<VALUE, B_WIDTH>();
            if (k >= missing)
                held_b[t] = *(const Pack<VALUE, B_WIDTH>*)next_b[t];
            next_b[t] += turn_b;
        }
        const char* end_a = next_a[0] + (chunks - 1) * turn_a;
        spread(chunks_a, to_a, step_a, is_line_a, held_a);
        spread(chunks_b, to_b, step_b, is_line_b, held_b);
        __syncthreads();

        TOTAL sum[TM][TN];
#pragma unroll
        for (int y = 0; y < TM; ++y)
#pragma unroll
            for (int x = 0; x < TN; ++x)
                sum[y][x] = 0;

        // multiplies one place of the depth, in the chunk that is `buffer` bytes behind the first one
        auto multiply = [&](int buffer, int k) {
            const TOTAL* from_a = (const TOTAL*)(chunks_a + own_a + buffer);
            const TOTAL* from_b = (const TOTAL*)(chunks_b + own_b + buffer);
            Vector left[TM / VEC], right[TN / VEC];
#pragma unroll
            for (int y = 0; y < TM / VEC; ++y)
                left[y] = *(const Vector*)(from_a + k * A_STEP + y * ROWS * VEC);
#pragma unroll
            for (int x = 0; x < TN / VEC; ++x)
                right[x] = *(const Vector*)(from_b + k * B_STEP + x * COLUMNS * VEC);
#pragma unroll
            for (int y = 0; y < TM; ++y)
#pragma unroll
                for (int x = 0; x < TN; ++x)
                    sum[y][x] += left[y / VEC].at[y % VEC] * right[x / VEC].at[x % VEC];
        };
        // multiplies the chunk in one of two buffers, and puts the next one into the other
        auto turn = [&](int buffer) {
#pragma unroll
            for (int t = 0; t < A_TURNS; ++t)
                held_a[t] = *(const Pack<VALUE, A_WIDTH>*)next_a[t];
#pragma unroll
            for (int t = 0; t < B_TURNS; ++t)
                held_b[t] = *(const Pack<VALUE, B_WIDTH>*)next_b[t];
#pragma unroll
            for (int t = 0; t < A_TURNS; ++t)
                next_a[t] += turn_a;
#pragma unroll
            for (int t = 0; t < B_TURNS; ++t)
                next_b[t] += turn_b;
#pragma unroll
            for (int k = 0; k < BK; ++k)
                multiply(buffer * CHUNK * SIZE, k);
            spread(chunks_a + (1 - buffer) * CHUNK * SIZE, to_a, step_a, is_line_a, held_a);
            spread(chunks_b + (1 - buffer) * CHUNK * SIZE, to_b, step_b, is_line_b, held_b);
            __syncthreads();
        };
        int last = 0;
#pragma unroll 1
        while (next_a[0] < end_a) {
            turn(0);
            last = CHUNK * SIZE;
            if (!(next_a[0] < end_a))
                break;
            turn(1);
            last = 0;
        }
#pragma unroll TAIL
        for (int k = 0; k < BK; ++k)
            multiply(last, k);

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
            for (int e = thread * c_width; e < GROUPS * SLICE * BN; e += THREADS * c_width) {
                const int l = coordinate(e, c_lanes, 0, run_l), i = coordinate(e, c_lanes, 1, run_i);
                const int row = coordinate(e, c_lanes, 2, SLICE), column = coordinate(e, c_lanes, 3, BN);
                const long long in_m = m0 + y * SLICE + row;
                if (l0 + l < d && i0 + i < groups && in_m < m && n0 + column < n) {
                    const TOTAL* from = memory + ((i * run_l + l) * SLICE + row) * B_LINE + column;
                    OUT* to =
                        C + rest * c_part + (i0 + i) * c_i + (l0 + l) * c_l + in_m * c_row + (n0 + column) * c_col;
                    Pack<OUT, VEC> line;
#pragma unroll
                    for (int u = 0; u < VEC; ++u)
                        if (u < c_width)
                            put(line.at + u, from[u * step_c]);
                    if (c_width == VEC)
                        *(Pack<OUT, VEC>*)to = line;
                    else
                        *to = line.at[0];
                }
            }
        }
        __syncthreads();
    }
}
