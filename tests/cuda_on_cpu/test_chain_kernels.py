"""Chains of small factors in one launch, run on the CPU from the shipped text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import ks_chains
from pathgraph_gpu import chains
from pathgraph_gpu.device import Device
from tests.cuda_on_cpu.chain_checks import CHAINS, chain_agrees, far_chain, of_complex
from tests.cuda_on_cpu.product_checks import maker, same
from tests.cuda_on_cpu.runtime import MODES, ORDERS, XP, CpuKernel, clock, cpu_device, needs_compiler
from tests.tolerances import gamma

pytestmark = needs_compiler

CHECKED = cpu_device("check", "forward")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ORDERS)
def test_fused_chains_are_equal_to_the_last_bit(order, mode):
    device = cpu_device(mode, order)
    for chain in CHAINS.values():
        for kind in (np.float32, np.float64):
            assert all(run.width for run in chains.runs_of(chain.patterns, batch_first=False))
            for outer, inner in ((3, 1), (1, 9), (2, 3)):
                chain_agrees(device, chain.astype(kind), outer, inner)
        chain_agrees(device, chain.T, 1, 5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128], ids=lambda dtype: dtype.__name__)
def test_fused_complex_chains_are_equal_to_the_last_bit(dtype, mode):
    device = cpu_device(mode, "shuffled")
    for chain in CHAINS.values():
        mixed = of_complex(chain, dtype)
        for outer, inner in ((3, 1), (1, 9), (2, 3)):
            chain_agrees(device, mixed, outer, inner)
        chain_agrees(device, mixed.H, 1, 5)


def test_every_boundary_of_a_batch():
    for outer, inner in ((1, 1), (0, 4), (3, 0)):
        chain_agrees(CHECKED, CHAINS["butterfly"], outer, inner)
    for chain, first, n in (("butterfly", False, 256), ("parts side by side", True, 32), ("long parts", False, 64)):
        for size in (n - 1, n, n + 1):
            chain_agrees(CHECKED, CHAINS[chain], *((size, 1) if first else (1, size)))


@given(chain=ks_chains(min_factors=2, max_factors=4, max_size=4), batch=st.tuples(st.integers(1, 3), st.integers(1, 5)))
@settings(max_examples=40, deadline=None)
def test_drawn_chains(chain, batch):
    chain_agrees(CHECKED, chain.astype(np.float64), *batch)


def test_half_precision_is_rounded_once():
    chain = pg.KSChain([factor.astype(np.float16) * 0.37 for factor in CHAINS["butterfly"].factors])
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float16)
    found = chain.astype(np.float16).to_device(CHECKED).apply(CHECKED.to_device(x))
    wide = chain.astype(np.float16).astype(np.float32).to_device(CHECKED)
    assert same(found, np.asarray(wide.apply(CHECKED.to_device(x.astype(np.float32)))).astype(np.float16))


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.complex128], ids=lambda dtype: dtype.__name__)
def test_fusing_changes_no_bit(dtype):
    rng = np.random.default_rng(1)

    def numbers(shape):
        parts = rng.normal(size=(2, *shape))
        return (parts[0] + 1j * parts[1] if np.dtype(dtype).kind == "c" else parts[0]).astype(dtype)

    chain = pg.KSChain([pg.KSMatrix(numbers(p.values_shape)) for p in pg.hadamard(32).patterns])
    there = chain.to_device(CHECKED)
    for axis, shape in ((0, (32, 5)), (-1, (5, 32)), (1, (2, 32, 3))):
        x = CHECKED.to_device(numbers(shape))
        apart = x
        for factor in reversed(there.factors):
            apart = factor.apply(apart, axis)
        assert np.asarray(there.apply(x, axis)).tobytes() == np.asarray(apart).tobytes()


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128], ids=lambda dtype: dtype.__name__)
def test_complex_numbers_may_begin_between_two_pairs(dtype):
    """A kernel reads and writes them whole, which a device refuses there: so it gets copies; the bits are the same."""
    addresses = []

    def compiler(text, name, options):
        run = CpuKernel(text, name, options, mode="check")

        def launch(grid, block, args):
            addresses.extend(a.ctypes.data % a.itemsize for a in args if isinstance(a, np.ndarray))
            return run(grid, block, args)

        return launch

    device = Device("watched", XP, compiler, clock)
    chain = pg.dft(16).astype(dtype)
    there, real = chain.to_device(device), np.dtype(dtype).type(0).real.dtype
    for axis, shape in ((0, (16, 3)), (-1, (3, 16)), (1, (2, 16, 3))):
        size = int(np.prod(shape))

        def between(size=size, shape=shape):
            memory = device.xp.zeros(2 * size + 3, dtype=real)
            start = 1 + (memory.ctypes.data // real.itemsize) % 2  # an odd number of reals behind a pair
            return memory[start : start + 2 * size].view(dtype).reshape(shape)

        x, out = between(), between()
        x[...] = np.arange(size).reshape(shape) % 7 - 3 + 1j
        assert x.ctypes.data % x.itemsize == out.ctypes.data % out.itemsize == real.itemsize
        wanted = np.asarray(there.apply(device.to_device(np.array(x)), axis))
        assert there.apply(x, axis, out=out) is out
        assert np.asarray(out).tobytes() == np.asarray(there.apply(x, axis)).tobytes() == wanted.tobytes()
    assert addresses
    assert not any(addresses)


def test_a_fourier_transform_of_256_points_is_one_launch():
    """A path through its 8 factors is rounded at most 5 times in each, as a product and a sum; NumPy's likewise."""
    launched = []

    def compiler(text, name, options):
        launched.append((name, *options[1:3]))
        return CpuKernel(text, name, options, mode="check")

    device = Device("watched", XP, compiler, clock)
    x = np.random.default_rng(0).normal(size=(256, 3)) + 0j
    found = np.asarray(pg.dft(256).to_device(device) @ device.to_device(x[pg.bit_reversal(256)]))
    bound = 2 * float(gamma(40, np.float64)) * np.abs(x).sum(axis=0)
    assert (np.abs(found - np.fft.fft(x, axis=0)) <= bound).all()
    assert launched == [("ks_chain", "-DREAL=double", "-DCOMPLEX=1")]


def test_the_fewest_launches():
    def lengths(patterns, first=False):
        runs = chains.runs_of([pg.KSPattern(*p) for p in patterns], batch_first=first)
        assert [run.start for run in runs] == [0, *(run.stop for run in runs[:-1])]
        assert runs[-1].stop == len(patterns)
        return [(run.stop - run.start, run.width) for run in runs]

    radix_2 = [(2**s, 2, 2, 2 ** (11 - s)) for s in range(12)]
    assert lengths(radix_2) == [(6, 64), (6, 64)]  # 4096 points: read and written twice
    assert lengths(radix_2, first=True) == [(6, 64), (6, 64)]
    assert lengths([(4**s, 4, 4, 4 ** (5 - s)) for s in range(6)]) == [(3, 64), (3, 64)]
    assert lengths([(1, 64, 64, 64), (64, 64, 64, 1)]) == [(1, 0), (1, 0)]
    assert lengths([(1, 16, 16, 4), (16, 2, 2, 2), (32, 2, 2, 1)]) == [(1, 0), (2, 4)]
    assert lengths([(1, 2, 2, 1)]) == [(1, 0)]


# -- beyond 2**32 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("along", ["batch", "i", "l"])
def test_indices_beyond_32_bits(along, mode):
    far_chain(maker(mode), along=along)
