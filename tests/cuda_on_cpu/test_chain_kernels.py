"""Chains of small factors in one launch, run on the CPU from the shipped text; and wrong versions of the kernel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import ks_chains
from pathgraph_gpu import chains, products, sources
from pathgraph_gpu.device import Device
from tests.cuda_on_cpu.path_mutants import Mutant
from tests.cuda_on_cpu.product_checks import maker, same, small_integers
from tests.cuda_on_cpu.runtime import (
    MODES,
    ORDERS,
    XP,
    CpuKernel,
    KernelError,
    clock,
    cpu_device,
    needs_compiler,
    sparse,
)

pytestmark = needs_compiler

CHECKED = cpu_device("check", "forward")


def dyadic(patterns, dtype=np.float32):
    return pg.KSChain([pg.KSMatrix(small_integers(pattern, dtype, s)) for s, pattern in enumerate(patterns)])


CHAINS = {
    "butterfly": dyadic([(1, 2, 2, 8), (2, 2, 2, 4), (4, 2, 2, 2), (8, 2, 2, 1)]),
    "parts side by side": dyadic([(1, 2, 3, 20), (3, 2, 2, 10)]),
    "few parts": dyadic([(2, 1, 5, 5), (2, 5, 2, 5)]),
    "not square": dyadic([(3, 5, 2, 2), (6, 2, 7, 1)]),
    "long parts": dyadic([(1, 2, 8, 5), (8, 5, 4, 1), (4, 8, 6, 1)]),
}


def chain_agrees(device, chain, outer, inner):
    x = small_integers((outer, chain.shape[1], inner), chain.dtype, 7)
    there = chain.to_device(device)
    assert same(there.apply(device.to_device(x), 1), chain.apply(x, 1)), (chain.patterns, outer, inner)
    assert same(there.apply(device.to_device(x), 1), chain.apply(x, 1))  # by what was kept


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


# -- beyond 2**32, and wrong versions -----------------------------------------------------------------------------

FAR = 2**32 + 64


def far_chain(make, *, along):
    """Two factors of one number each, of which the last part of the last vector is taken."""
    a, d, n = {"batch": (1, 1, FAR), "i": (FAR, 1, 1), "l": (1, FAR, 1)}[along]
    run = chains.Run(0, 2, a, d, 1)
    x, y, values = sparse(a * d * n, np.float32), sparse(a * d * n, np.float32), sparse(2 * a * d, np.float32)
    x[-1], values[a * d - 1], values[-1] = 3, 5, 7
    table = np.array([1, 1, 1, 1, 0, 1, 1, 1, 1, a * d])
    made = make([FAR - 1 if along == "i" else -1])  # with turns of 2**31 - 1 blocks
    made.xp = type("xp", (), {"empty": staticmethod(lambda shape, dtype: y.reshape(shape))})
    pattern = pg.KSPattern(a, 1, 1, d)
    chains._multiply_run(made, [pattern, pattern], run, table, values, x.reshape(1, a * d, n))
    assert y[-1] == 105


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("along", ["batch", "i", "l"])
def test_indices_beyond_32_bits(along, mode):
    far_chain(maker(mode), along=along)


BARRIER = "        __syncthreads();\n"
READ, WRITE = (f"i * {v}_i + q * {v}_q + (l0 + group) * {v}_l + (n0 + column) * {v}_n" for v in "xy")
MUTANTS = [
    Mutant(name, "chains", old, new)
    for name, old, new in [
        ("a factor begins before all is read", f"{BARRIER}\n        int current", "\n        int current"),
        ("a factor begins before the last one ends", f"current ^= 1;\n    {BARRIER}", "current ^= 1;\n"),
        ("the next tile comes while results are read", f"        }}\n{BARRIER}    }}\n}}", "        }\n    }\n}"),
        ("one buffer", "out = memory[current ^ 1]", "out = memory[current]"),
        ("vectors that are not there are read", "is_there = n0 + column < n && ", "is_there = "),
        ("parts that are not there are read", "n && l0 + group < d;", "n;"),
        ("vectors that are not there are written", "if (n0 + column < n && l0", "if (l0"),
        ("parts that are not there are written", "if (n0 + column < n && l0 + group < d)", "if (n0 + column < n)"),
        ("values that are not there", "if (l0 + group < d) {", "{"),
        ("rows of a strip that are not there", "b_s - j0 < STRIP ? b_s - j0 : STRIP", "STRIP"),
        ("factors from the first to the last", "int s = factors - 1; s >= 0; --s", "int s = 0; s < factors; ++s"),
        ("values of the first part", "i % a * a_s * b_s * line + l0", "l0"),
        ("the values do not repeat", "i % a * a_s", "i * a_s"),
        ("neighbours in the wrong order", "l * d + group;", "l + group;"),
        ("one term too few", "k < c_s; ++k", "k < c_s - 1; ++k"),
        ("the values of the factor before", "values + factor[4]", "values"),
        ("entries before parts", "q = is_batch_outer ? e / GROUPS % rows", "q = is_batch_outer ? e % rows"),
        ("reads by 32 bits", READ, f"int({READ})"),
        ("writes by 32 bits", WRITE, f"unsigned({WRITE})"),
        ("values by 32 bits", "own = values + factor[4] +", "own = values + int(factor[4]) +"),
        ("one tile for a block", "tile += gridDim.x", "tile = n_tiles * l_runs * groups"),
    ]
]


def complaint(change, monkeypatch):
    """What the checks find if the text is changed: None for the text as it is."""

    def compiler(text, name, options):
        return CpuKernel(change(text) if "ks_chain" in text else text, name, options, mode="check", order="backward")

    device = Device("the CPU, with a mutant", XP, compiler, clock)
    try:
        for along in ("batch", "i", "l"):
            far_chain(maker("check", change), along=along)
        for blocks in (products.BLOCKS, 2):
            with monkeypatch.context() as patched:
                patched.setattr(products, "BLOCKS", blocks)
                for name, outer, inner in (
                    ("parts side by side", 5, 1),
                    ("not square", 2, 3),
                    ("parts side by side", 1, 2),
                    ("few parts", 33, 1),
                ):
                    chain = CHAINS[name]
                    x = small_integers((outer, chain.shape[1], inner), chain.dtype, 7)
                    factors = [(factor.pattern, device.to_device(factor.values), False) for factor in chain.factors]
                    found = chains.multiply_chain(device, factors, device.to_device(x), {})
                    assert same(found, chain.apply(x, 1))
    except (KernelError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def test_the_kernel_as_it_is_shipped_is_never_blamed(monkeypatch):
    assert complaint(lambda text: text, monkeypatch) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_wrong_kernels_are_caught(mutant, monkeypatch):
    assert sources.text(mutant.file).count(mutant.old) == 1
    assert complaint(lambda text: text.replace(mutant.old, mutant.new), monkeypatch) is not None
