"""What runs the kernels: right kernels run, in every order, and each kind of mistake is caught."""

import numpy as np
import pytest

from tests.cuda_on_cpu.runtime import (
    MODES,
    ORDERS,
    CpuKernel,
    KernelError,
    Traffic,
    aligned,
    needs_compiler,
    sparse,
)

pytestmark = needs_compiler

SUM = """
extern "C" __global__ void sums(long long n, const float* __restrict__ x, float* out, int* status)
{
    __shared__ float part[64];
    float total = 0;
    for (long long i = (long long)blockIdx.x * 64 + threadIdx.x; i < n; i += (long long)gridDim.x * 64)
        total += x[i];
    part[threadIdx.x] = total;
    __syncthreads();
    for (int width = 32; width > 16; width /= 2) {
        if (threadIdx.x < width)
            part[threadIdx.x] += part[threadIdx.x + width];
        __syncthreads();
    }
    if (threadIdx.x < 32) {
        total = part[threadIdx.x];
        for (int offset = 16; offset > 0; offset /= 2)
            total += __shfl_xor_sync(0xffffffffu, total, offset);
        if (threadIdx.x == 0)
            out[blockIdx.x] = total;
    }
    atomicOr(status, 1 << (threadIdx.x & 1));
}
"""


def run(text, name, args, *, grid=(1,), block=(64,), mode="check", order="forward", **options):
    CpuKernel(text, name, (), mode=mode, order=order)(grid, block, args, **options)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 300])
def test_a_right_kernel_is_run_and_never_blamed(n, mode, order):
    x, out, status = np.arange(n, dtype=np.float32), np.zeros(2, dtype=np.float32), np.zeros(1, dtype=np.int32)
    run(SUM, "sums", (np.int64(n), x, out, status), grid=(2,), mode=mode, order=order)
    assert out.sum() == n * (n - 1) / 2
    assert status[0] == 3


def test_chosen_blocks_on_an_array_larger_than_memory():
    n = 2**33
    x, out, status = sparse(n, np.float32), np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.int32)
    x[-1] = 5
    text = SUM.replace("(long long)gridDim.x * 64", "n").replace("out[blockIdx.x]", "out[0]")
    run(text, "sums", (np.int64(n), x, out, status), grid=(n // 64,), blocks=[(n // 64 - 1,)])
    assert out[0] == 5


def kernel(body, parameters="float* x, const float* c, int n"):
    return f'extern "C" __global__ void k({parameters})\n{{\n{body}\n}}\n'


MISTAKES = {
    "read of 4 bytes out of bounds": "x[threadIdx.x] = c[threadIdx.x + 1];",
    "write of 4 bytes out of bounds": "x[threadIdx.x * 2] = 1;",
    "write to a read-only array": "((float*)c)[threadIdx.x] = x[threadIdx.x];",
    "read of shared memory that was not set": "__shared__ float s[64]; if (threadIdx.x) s[threadIdx.x] = 1;"
    " __syncthreads(); x[threadIdx.x] = s[threadIdx.x];",
    "race on shared memory: written": "__shared__ float s[64]; s[threadIdx.x] = 1; __syncthreads();"
    " s[threadIdx.x / 2] = 2; __syncthreads(); x[threadIdx.x] = s[threadIdx.x];",
    "race on shared memory: read": "__shared__ float s[64]; s[threadIdx.x] = 1; __syncthreads();"
    " float t = s[(threadIdx.x + 1) % 64]; s[threadIdx.x] = 2; __syncthreads(); x[threadIdx.x] = t + s[threadIdx.x];",
    "race on global memory: written": "x[threadIdx.x / 2] = 1;",
    "race on global memory: read": "if (threadIdx.x == 1) x[1] = x[0]; if (threadIdx.x == 2) x[0] = 3;",
    "barrier divergence: 32 of 64": "if (threadIdx.x < 32) __syncthreads();",
    "barrier divergence: threads wait at two": "if (threadIdx.x < 32) __syncthreads(); else\n __syncthreads();",
    "shuffle: the mask leaves out": "x[threadIdx.x] = __shfl_xor_sync(0xfffffffeu, 1.0f, 1);",
    "shuffle: the mask names lane": "if (threadIdx.x % 32 < 9) x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);",
    "signed overflow: add": "x[threadIdx.x] = n + 2147483647;",
    "signed overflow: mul": "x[threadIdx.x] = n * 2147483647;",
    "read of 8 bytes that is not aligned": "x[threadIdx.x] = *(const double*)(c + 1 + 0 * threadIdx.x);",
    "write of 16 bytes that is not aligned": "struct __align__(16) V { float at[4]; }; __shared__ float s[80];"
    " V v; for (int i = 0; i < 4; ++i) v.at[i] = c[i]; if (threadIdx.x < 16) *(V*)(s + 5 * threadIdx.x) = v;"
    " __syncthreads(); x[threadIdx.x] = s[0];",
}


@pytest.mark.parametrize("message", MISTAKES)
def test_every_mistake_is_caught(message):
    x, c = np.zeros(64, dtype=np.float32), np.zeros(64, dtype=np.float32)
    with pytest.raises(KernelError, match=f"k: {message}.*block 0, 0, 0, thread"):
        run(kernel(MISTAKES[message]), "k", (x, c, np.int32(2)))


def test_two_blocks_must_not_meet():
    x, c = np.zeros(64, dtype=np.float32), np.zeros(64, dtype=np.float32)
    for body in ("x[threadIdx.x] = blockIdx.x;", "if (blockIdx.x) x[0] = 1; else c = x, n = x[0];"):
        text = kernel(f"if (threadIdx.x == 0) {{ {body} if (n == 77) x[1] = c[0]; }}")
        with pytest.raises(KernelError, match=r"race on global memory.*of block 0"):
            run(text, "k", (x, c, np.int32(2)), grid=(2,))


def test_launches_are_checked():
    x = np.zeros(64, dtype=np.float32)
    good = (x, x.copy(), np.int32(1))
    text = kernel("x[threadIdx.x] = c[threadIdx.x] * n;")
    run(text, "k", good)
    wrong = [
        ({"block": (1025,)}, good, "a block of 1025 threads"),
        ({"grid": (1, 65536)}, good, "a grid of"),
        ({"shared_mem": 49153}, good, "more than 48 KiB"),
        ({}, good[:2], "2 arguments for 3 parameters"),
        ({}, (x, x, 1), "argument 2: needed a NumPy scalar"),
        ({}, (x, x, 1.0), "argument 2: needed a NumPy scalar"),
        ({}, (x, x, np.int64(1)), "argument 2: a parameter i4 got i8"),
        ({}, (x.astype(np.float64), x, np.int32(1)), "argument 0: a pointer to f4 got f8"),
        ({}, ([0.0] * 64, x, np.int32(1)), "argument 0: needed an array"),
        ({}, (np.zeros(128, np.float32)[::2], x, np.int32(1)), "argument 0: an array that is not contiguous"),
    ]
    for options, args, message in wrong:
        with pytest.raises(KernelError, match=message):
            run(text, "k", args, **options)
    body = "__shared__ double s[6145]; s[threadIdx.x] = n; __syncthreads(); x[threadIdx.x] = s[63 - threadIdx.x];"
    with pytest.raises(KernelError, match="more than 48 KiB"):
        run(kernel(body), "k", good)
    with pytest.raises(KernelError, match=r"g\+\+ says"):
        run(kernel("this is no kernel;"), "k", good)


def test_half_precision():
    """Conversions round to nearest, and neighbouring halves of one word belong to two threads."""
    text = """
#include <cuda_fp16.h>
extern "C" __global__ void __launch_bounds__(64) k(__half* x, const __half* __restrict__ c, float f)
{
    x[threadIdx.x] = __float2half_rn(f * __half2float(c[threadIdx.x]));
}
"""
    for mode in MODES:
        x, c = np.zeros(64, dtype=np.float16), np.linspace(0, 1000, 64).astype(np.float16)
        run(text, "k", (x, c, np.float32(0.37)), mode=mode)
        assert x.tobytes() == (np.float32(0.37) * c.astype(np.float32)).astype(np.float16).tobytes()
    with pytest.raises(KernelError, match="race on global memory"):
        run(text.replace("x[threadIdx.x]", "x[threadIdx.x / 2]"), "k", (x, c, np.float32(1)))
    with pytest.raises(KernelError, match="a pointer to f2 got f4"):
        run(text, "k", (x.astype(np.float32), c, np.float32(1)))


def test_traffic_is_counted_in_sectors():
    """By warps, and behind a cache: 32 bytes at a time, whether all of them are asked for or not."""
    x, c = (aligned(np.zeros(1024, dtype=np.float32)) for _ in range(2))

    def traffic(body, **options):
        kernel_ = CpuKernel(kernel(body), "k", (), mode="count")
        kernel_((2,), (64,), (x, c, np.int32(4)), **options)
        return kernel_.traffic

    at = "(blockIdx.x * 64 + threadIdx.x)"
    assert traffic(f"x[{at}] = c[{at}];") == [Traffic(0, 512, 0, 512), Traffic(512, 0, 512, 0)]
    assert traffic(f"x[{at}] = c[{at} * 2];")[1] == Traffic(1024, 0, 1024, 0)  # half of every sector
    assert traffic(f"x[{at}] = c[{at} * 8];")[1] == Traffic(4096, 0, 4096, 0)
    assert traffic(f"x[{at}] = c[{at} + 1];")[1].read == 640  # a warp that is not aligned
    assert traffic(f"x[{at}] = c[threadIdx.x];")[1] == Traffic(512, 0, 256, 0)  # the second block finds them
    assert traffic(f"x[{at}] = c[threadIdx.x];", cache=64)[1] == Traffic(512, 0, 512, 0)
    loop = f"float t = 0; for (int i = 0; i < n; ++i) t += c[i * 64 + threadIdx.x]; x[{at}] = t;"
    assert traffic(loop)[1] == Traffic(2048, 0, 1024, 0)
    assert traffic(f"x[{at} % 8 * 8] = 1; x[{at}] += 1;")[0].read == 512
