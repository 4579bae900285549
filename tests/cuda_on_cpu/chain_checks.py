"""Checks of the kernel of chains, for the kernel as it is shipped and for wrong versions."""

import numpy as np

import pathgraph as pg
from pathgraph_gpu import chains, products
from tests.cuda_on_cpu.path_mutants import Mutant
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
        ("imaginary parts whose product is not subtracted", "both_real - sum.both_imag", "both_real + sum.both_imag"),
        ("an imaginary part that is half there", "sum.imag_of_x + sum.imag_of_w", "sum.imag_of_x"),
        ("imaginary parts of values with those of vectors", "w.imag * x.real", "w.imag * x.imag"),
        ("values that are taken for their conjugates", "both_imag += w.imag", "both_imag -= w.imag"),
    ]
]
