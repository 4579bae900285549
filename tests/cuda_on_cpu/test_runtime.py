"""What runs the kernels: right kernels run, in every order, and each kind of mistake is caught."""

import numpy as np
import pytest

from tests.cuda_on_cpu.runtime import MODES, ORDERS, CpuKernel, KernelError, needs_compiler, sparse

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
