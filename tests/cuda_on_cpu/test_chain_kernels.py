"""Chains of small factors in one launch, run on the CPU from the shipped text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import ks_chains
from pathgraph_gpu import chains
from tests.cuda_on_cpu.chain_checks import CHAINS, chain_agrees, far_chain
from tests.cuda_on_cpu.product_checks import maker, same
from tests.cuda_on_cpu.runtime import MODES, ORDERS, cpu_device, needs_compiler

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


def test_fusing_changes_no_bit():
    rng = np.random.default_rng(1)
    patterns = pg.hadamard(32).patterns
    chain = pg.KSChain([pg.KSMatrix(rng.normal(size=p.values_shape).astype(np.float32)) for p in patterns])
    x = CHECKED.to_device(rng.normal(size=(32, 5)).astype(np.float32))
    there = chain.to_device(CHECKED)
    apart = x
    for factor in reversed(there.factors):
        apart = factor.apply(apart)
    assert np.asarray(there.apply(x)).tobytes() == np.asarray(apart).tobytes()


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
