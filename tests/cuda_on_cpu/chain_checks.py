"""Checks of the kernel of chains, for the kernel as it is shipped and for wrong versions."""

import numpy as np

import pathgraph as pg
from pathgraph_gpu import chains, products
from tests.cuda_on_cpu.product_checks import same, small_integers
from tests.cuda_on_cpu.runtime import sparse


def dyadic(patterns, dtype=np.float32):
    return pg.KSChain([pg.KSMatrix(small_integers(pattern, dtype, s)) for s, pattern in enumerate(patterns)])


CHAINS = {
    "butterfly": dyadic([(1, 2, 2, 8), (2, 2, 2, 4), (4, 2, 2, 2), (8, 2, 2, 1)]),
    "parts side by side": dyadic([(1, 2, 3, 20), (3, 2, 2, 10)]),
    "few parts": dyadic([(2, 1, 5, 5), (2, 5, 2, 5)]),
    "not square": dyadic([(3, 5, 2, 2), (6, 2, 7, 1)]),
    "long parts": dyadic([(1, 2, 8, 5), (8, 5, 4, 1), (4, 8, 6, 1)]),
}


def of_complex(chain, dtype):
    """The same factors, each times a complex number of its own."""
    return pg.KSChain([f.astype(dtype) * (1 + 2 * 1j**s) for s, f in enumerate(chain.factors)])


def chain_agrees(device, chain, outer, inner):
    x = small_integers((outer, chain.shape[1], inner), chain.dtype, 7)
    if x.dtype.kind == "c":
        x *= 2 - 1j
    there = chain.to_device(device)
    assert same(there.apply(device.to_device(x), 1), chain.apply(x, 1)), (chain.patterns, outer, inner)
    assert same(there.apply(device.to_device(x), 1), chain.apply(x, 1))  # by what was kept


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


def probe(device, make, monkeypatch):
    """Everything that a wrong version of the kernel may break, in little time."""
    for along in ("batch", "i", "l"):
        far_chain(make, along=along)
    chain_agrees(device, of_complex(CHAINS["not square"], np.complex64), 2, 3)
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
