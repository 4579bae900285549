// The vocabulary of CUDA that the kernels use, for a C++ compiler. Every thread of a block is a fiber (runtime.cpp).

#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__ __attribute__((noinline))
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define CUDA_UNWATCHED __attribute__((no_sanitize("thread")))
#define __shared__ static __attribute__((section("cuda_shared")))

using std::exp2;
using std::fabs;
using std::floor;
using std::fma;
using std::frexp;
using std::ldexp;
using std::log;
using std::log2;
using std::pow;
using std::sqrt;

struct uint3 {
    unsigned x, y, z;
};

extern "C" {
extern uint3 cuda_thread, cuda_block, cuda_block_size, cuda_grid_size;
void cuda_barrier(int line);
// Every lane of the mask gives `size` bytes and gets those of another lane.
void cuda_exchange(unsigned mask, int lane, const void* given, void* got, int size, int line);
int cuda_lane();
void cuda_atomic(void* address, int size);
}

#define threadIdx cuda_thread
#define blockIdx cuda_block
#define blockDim cuda_block_size
#define gridDim cuda_grid_size
#define __syncthreads() cuda_barrier(__LINE__)

template <typename T>
CUDA_UNWATCHED inline T cuda_shuffled(unsigned mask, T value, int lane, int line)
{
    T got;
    cuda_exchange(mask, lane, &value, &got, sizeof(T), line);
    return got;
}

#define __shfl_xor_sync(mask, value, offset) cuda_shuffled(mask, value, cuda_lane() ^ (offset), __LINE__)

template <typename T>
CUDA_UNWATCHED inline T atomicOr(T* address, T value)
{
    cuda_atomic(address, sizeof(T));
    const T before = *address;
    *address |= value;
    return before;
}

// -- how a kernel is called: by the addresses of its arguments, whose types are written down --------------------------

template <typename T>
inline void cuda_write_type(char*& out)
{
    if constexpr (std::is_pointer_v<T>) {
        using Target = std::remove_pointer_t<T>;
        *out++ = std::is_const_v<Target> ? 'r' : 'w';
        cuda_write_type<std::remove_const_t<Target>>(out);
    } else {
        if (std::is_floating_point_v<T> || std::is_same_v<T, _Float16>)
            *out++ = 'f';
        else
            *out++ = !std::is_integral_v<T> ? 'S' : std::is_signed_v<T> ? 'i' : 'u';
        if (sizeof(T) >= 10)
            *out++ = char('0' + sizeof(T) / 10);
        *out++ = char('0' + sizeof(T) % 10);
        *out++ = ' ';
    }
}

template <typename... A>
inline void cuda_write_types(void (*)(A...), char* out)
{
    (cuda_write_type<A>(out), ...);
    *out = 0;
}

template <typename... A, std::size_t... I>
CUDA_UNWATCHED inline void cuda_apply(void (*kernel)(A...), void** args, std::index_sequence<I...>)
{
    kernel(*static_cast<A*>(args[I])...);
}

template <typename... A>
CUDA_UNWATCHED inline void cuda_call(void (*kernel)(A...), void** args)
{
    cuda_apply(kernel, args, std::index_sequence_for<A...>());
}
