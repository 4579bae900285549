// Products of chains of small Kronecker-sparse factors: a batch goes through all of them in shared memory.
//
// Factor s has pattern (a a_s, b_s, c_s, d_s d), so that the vectors fall into parts (i, l), i < a and l < d, that no
// factor mixes: entry q of a part is entry (i length + q) d + l of a vector. A block owns GROUPS parts, neighbours
// along l, of BN vectors: it reads them, applies the factors from the last to the first, and writes what comes out.
// Each entry is one sum, k = 0, 1, ..., as in products.cu; of complex numbers, four such sums of real products.
//
// Macros: REAL, float or double; COMPLEX, whether numbers are pairs of them; WIDTH, the longest part; GROUPS, BN.

#define STRIP 4  // rows of a thread, which share what it reads
#define LINE (BN + 1)
#define THREADS 256

#if COMPLEX
struct __align__(2 * sizeof(REAL)) Value {
    REAL real, imag;
};

// Its four sums meet at the end only, as those of real matrices do that multiply the parts of a vector.
struct Sum {
    REAL both_real, both_imag, imag_of_x, imag_of_w;
};

__device__ __forceinline__ void add(Sum& sum, Value w, Value x)
{
    sum.both_real += w.real * x.real;
    sum.both_imag += w.imag * x.imag;
    sum.imag_of_x += w.real * x.imag;
    sum.imag_of_w += w.imag * x.real;
}

__device__ __forceinline__ Value total(const Sum& sum)
{
    return Value{sum.both_real - sum.both_imag, sum.imag_of_x + sum.imag_of_w};
}
#else
typedef REAL Value, Sum;

__device__ __forceinline__ void add(Sum& sum, Value w, Value x)
{
    sum += w * x;
}

__device__ __forceinline__ Value total(Sum sum)
{
    return sum;
}
#endif

// For each factor five numbers: a_s, b_s, c_s, d_s, and where its values begin.
extern "C" __global__ void __launch_bounds__(THREADS) ks_chain(
    long long a, long long groups, long long d, long long n, int factors, const long long* __restrict__ table,
    const Value* __restrict__ values, int is_batch_outer, const Value* __restrict__ X, int columns, long long x_i,
    long long x_q, long long x_l, long long x_n, Value* __restrict__ Y, int rows, long long y_i, long long y_q,
    long long y_l, long long y_n)
{
    __shared__ Value memory[2][WIDTH * GROUPS * LINE];
    const int thread = threadIdx.x;
    const long long n_tiles = (n + BN - 1) / BN, l_runs = (d + GROUPS - 1) / GROUPS;

    for (long long tile = blockIdx.x; tile < n_tiles * l_runs * groups; tile += gridDim.x) {
        const long long n0 = tile % n_tiles * BN, l0 = tile / n_tiles % l_runs * GROUPS, i = tile / (n_tiles * l_runs);

        for (int e = thread; e < columns * GROUPS * BN; e += THREADS) {
            const int column = is_batch_outer ? e / (GROUPS * columns) : e % BN;
            const int group = is_batch_outer ? e % GROUPS : e / BN % GROUPS;
            const int q = is_batch_outer ? e / GROUPS % columns : e / (BN * GROUPS);
            const bool is_there = n0 + column < n && l0 + group < d;
            memory[0][(q * GROUPS + group) * LINE + column] =
                is_there ? X[i * x_i + q * x_q + (l0 + group) * x_l + (n0 + column) * x_n] : Value();
        }
        __syncthreads();

        int current = 0;
        for (int s = factors - 1; s >= 0; --s) {
            const long long* factor = table + 5 * s;
            const int a_s = (int)factor[0], b_s = (int)factor[1], c_s = (int)factor[2], d_s = (int)factor[3];
            const int strips = (b_s + STRIP - 1) / STRIP;
            const long long step = d_s * d, line = c_s * step;  // from k to k + 1, and from j to j + 1
            const Value* own = values + factor[4] + i % a * a_s * b_s * line + l0;
            const Value* in = memory[current];
            Value* out = memory[current ^ 1];
            for (int e = thread; e < a_s * strips * d_s * GROUPS * BN; e += THREADS) {
                const int column = e % BN, group = e / BN % GROUPS, l = e / (BN * GROUPS) % d_s;
                const int strip = e / (BN * GROUPS * d_s) % strips, part = e / (BN * GROUPS * d_s * strips);
                const int j0 = strip * STRIP, height = b_s - j0 < STRIP ? b_s - j0 : STRIP;
                Sum sum[STRIP];
#pragma unroll
                for (int j = 0; j < STRIP; ++j)
                    sum[j] = Sum();
                if (l0 + group < d) {
                    const Value* w = own + (part * b_s + j0) * line + l * d + group;
                    for (int k = 0; k < c_s; ++k, w += step) {
                        const Value x = in[(((part * c_s + k) * d_s + l) * GROUPS + group) * LINE + column];
#pragma unroll
                        for (int j = 0; j < STRIP; ++j)
                            if (j < height)
                                add(sum[j], w[j * line], x);
                    }
                }
#pragma unroll
                for (int j = 0; j < STRIP; ++j)
                    if (j < height)
                        out[(((part * b_s + j0 + j) * d_s + l) * GROUPS + group) * LINE + column] = total(sum[j]);
            }
            current ^= 1;
            __syncthreads();
        }

        for (int e = thread; e < rows * GROUPS * BN; e += THREADS) {
            const int column = is_batch_outer ? e / (GROUPS * rows) : e % BN;
            const int group = is_batch_outer ? e % GROUPS : e / BN % GROUPS;
            const int q = is_batch_outer ? e / GROUPS % rows : e / (BN * GROUPS);
            if (n0 + column < n && l0 + group < d)
                Y[i * y_i + q * y_q + (l0 + group) * y_l + (n0 + column) * y_n] =
                    memory[current][(q * GROUPS + group) * LINE + column];
        }
        __syncthreads();
    }
}
