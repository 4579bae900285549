"""Quantized rank-one matrices and chains: optimal against brute force, better than rounding to nearest."""

import itertools
import pickle
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.kronecker.quantized import candidates
from pathgraph.kronecker.rounding import round_significand
from tests.tolerances import gamma

exactly = np.frompyfunc(Fraction, 1, 1)


def grid(bits, low, high):
    """All positive numbers m 2**(e - bits + 1) with 2**(bits - 1) <= m < 2**bits and low <= e <= high, and 0."""
    mantissas = range(2 ** (bits - 1), 2**bits)
    return np.array([0.0, *(m * 2.0 ** (e - bits + 1) for e in range(low, high + 1) for m in mantissas)])


def brute_force(x, y, bits, g=None, h=None):
    """The least squared error over all pairs; integers and dyadic numbers, so that float64 is exact.

    The largest entry of the first vector is in [1, 2), which powers of two allow. Entries below 2**-6 of it, or entries
    of the second vector outside of 2**-9, ..., 2**8, are not needed for integers below 16.
    """
    g, h = (np.ones(len(v)) if w is None else np.asarray(w, float) for v, w in ((x, g), (y, h)))
    sizes = grid(bits, -6, 0)
    first = np.array([v for v in itertools.product(sizes, repeat=len(x)) if max(v) >= 1]) * np.where(x < 0, -1.0, 1.0)
    half = grid(bits, -9, 8)
    entries = np.concatenate([-half[:0:-1], half])
    total = np.zeros(len(first))
    for value, weight in zip(y, h, strict=True):
        apart = x * value - first[:, None, :] * entries[:, None]
        total += ((g * weight * apart) ** 2).sum(axis=-1).min(axis=1)
    return total.min()


# -- rounding ----------------------------------------------------------------------------------------------------------


def test_rounding_is_that_of_the_machine():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(1000)
    assert (round_significand(x, 24) == x.astype(np.float32)).all()
    assert (round_significand(x, 11) == x.astype(np.float16)).all()
    z = x[:500] + 1j * x[500:]
    assert (round_significand(z, 24) == z.astype(np.complex64)).all()


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_rounding_of_fractions_is_that_of_floats(bits):
    x = np.concatenate([np.arange(-70, 71) / 8, 2.0 ** np.arange(-20, 20), np.arange(1, 40) * 3.0**-5])
    assert [float(v) for v in round_significand(exactly(x), bits)] == round_significand(x, bits).tolist()
    assert round_significand(exactly(x), bits).dtype == object


def test_ties_go_to_even():
    assert round_significand([2.5, 3.5, 5.0, 7.0, -5.0], 2).tolist() == [2.0, 4.0, 4.0, 8.0, -4.0]
    assert round_significand([Fraction(5, 2), Fraction(7, 2)], 2).tolist() == [2, 4]


# -- pairs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(48))
def test_pairs_are_optimal(seed):
    rng = np.random.default_rng(seed)
    bits = 1 + seed % 3
    x, y = (rng.integers(-15, 16, int(rng.integers(1, 4 if bits < 3 else 3))).astype(float) for _ in range(2))
    x[0] = x[0] or 1.0
    weights = [rng.integers(1, 5, len(v)).astype(float) if seed % 2 else None for v in (x, y)]
    best = brute_force(x, y, bits, *weights)
    exact = [None if w is None else exactly(w) for w in weights]
    pair = pg.quantize_pair(exactly(x), exactly(y), bits, row_weights=exact[0], column_weights=exact[1])
    assert pair.squared_error == best
    assert pair.exact
    g, h = (np.ones(len(v)) if w is None else w for v, w in zip((x, y), weights, strict=True))
    for found in (pair, pg.quantize_pair(x, y, bits, row_weights=weights[0], column_weights=weights[1])):
        xq, yq = found.x.astype(float), found.y.astype(float)
        assert (round_significand(xq, bits) == xq).all()
        assert (round_significand(yq, bits) == yq).all()
        error = ((np.outer(g, h) * (np.outer(x, y) - np.outer(xq, yq))) ** 2).sum()
        assert error == best  # few bits everywhere: nothing is rounded


def test_nearest_can_be_far_worse():
    x, y = np.array([5.0, 5.0]), np.array([5.0])
    nearest = np.outer(x, y) - np.outer(round_significand(x, 2), round_significand(y, 2))
    assert pg.quantize_pair(x, y, 2).error * 2 < np.linalg.norm(nearest)


@pytest.mark.parametrize("seed", range(8))
def test_candidates_are_all_values_of_the_rounded_vector(seed):
    """Against a fine grid of scalings, of odd denominators so that no tie is met."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-31, 32, (1, 3)).astype(float)
    found, scales, complete = candidates(x, 3, np.ones((1, 3)))
    assert complete
    seen = {tuple(v / max(abs(v))) for v in found[0] if v.any()}
    for lam in 1 + np.arange(1, 4999) / 4999:
        v = round_significand(lam * x[0], 3)
        assert not v.any() or tuple(v / max(abs(v))) in seen
    for v, mu in zip(found[0], scales[0], strict=True):
        # two inner products of three terms, a quotient; products of sizes at most the sum of squares
        assert abs((x[0] - mu * v) @ v) <= float(gamma(12)) * (x[0] @ x[0] + v @ v)


def test_complex_pairs():
    """A rotation by a multiple of 1 + i is exact in one bit, and rounding to nearest is not."""
    x, y = np.array([3 + 4j, -4 + 3j]), np.array([5 - 12j])
    pair = pg.quantize_pair(x, y, 4)
    assert not pair.exact
    nearest = np.outer(x, y) - np.outer(round_significand(x, 4), round_significand(y, 4))
    slack = float(gamma(40))  # of the norm of two complex numbers that are products of complex numbers, twice
    assert pair.error <= np.linalg.norm(nearest) * (1 + slack)
    again = np.linalg.norm(np.outer(x, y) - np.outer(pair.x, pair.y))
    assert abs(again - pair.error) <= slack * np.linalg.norm(np.outer(x, y))
    turned = pg.quantize_pair(x * np.exp(0.3j), y * np.exp(0.4j), 4)
    assert turned.error <= 0.05 * np.linalg.norm(np.outer(x, y))
    rotated = pg.quantize_pair(np.array([1, -1]) * np.exp(1j), [1.0], 1)
    assert rotated.error <= 0.6


def test_complex_pairs_against_brute_force():
    """One bit: no pair found is better than the best of all, and few are much worse."""
    rng = np.random.default_rng(0)
    lines = [np.concatenate([-half[:0:-1], half]) for half in (grid(1, -5, 1), grid(1, -12, 12))]
    plane = (lines[0][:, None] + 1j * lines[0]).ravel()
    first = np.array(list(itertools.product(plane, repeat=2)))
    first = first[(abs(first).max(axis=1) < 3) & (abs(first).max(axis=1) >= 1)]
    mass = (abs(first) ** 2).sum(axis=1)
    ratios = []
    for _ in range(8):
        x, y = (rng.standard_normal(2) + 1j * rng.standard_normal(2) for _ in range(2))
        inner = first.conj() @ x / mass
        total = (abs(x - inner[:, None] * first) ** 2).sum(axis=1) * (abs(y) ** 2).sum()
        for value in y:
            for part in ((inner * value).real, (inner * value).imag):
                total += mass * ((part[:, None] - lines[1]) ** 2).min(axis=1)
        best = np.sqrt(total.min())
        found = pg.quantize_pair(x, y, 1).error
        assert found >= best * (1 - float(gamma(80)))  # sums of a dozen squares of products of complex numbers, twice
        ratios.append(found / best)
    assert np.median(ratios) <= 1.05


def test_few_candidates_and_degenerate_pairs():
    x, y = np.array([1.2, 3.4, 5.6]), np.array([7.8, 9.1, 2.3])
    few = pg.quantize_pair(x, y, 20, max_candidates=100)
    assert not few.exact
    # Entries rounded to 20 bits are off by at most one part in 2**20, in either vector.
    assert few.error <= 2.0**-19 * np.linalg.norm(np.outer(x, y))
    for first, second in (([0.0, 0.0], [1.0]), ([1.3], [0.0]), ([], [1.0]), ([1.0], [])):
        assert pg.quantize_pair(first, second, 3).error == 0
    zeros = pg.quantize_pair([Fraction(0)], [Fraction(1)], 2)
    assert zeros.squared_error == 0


def test_pair_results():
    pair = pg.quantize_pair([5.0, 3.0], [3.0], 2)
    assert pickle.loads(pickle.dumps(pair)) == pair
    assert pair != pg.quantize_pair([5.0, 3.0], [3.0], 3)
    assert pair != 1
    assert repr(pair).startswith("QuantizedPair(2 x 1, 2 bits, squared error ")


# -- chains ------------------------------------------------------------------------------------------------------------


def scaled(chain, rng):
    """The chain with random diagonal matrices on the two sides of each factor."""
    scaled = []
    for factor in chain.factors:
        a, b, c, d = factor.pattern
        values = factor.values * rng.uniform(1, 2, (a, b, 1, d)) * rng.uniform(1, 2, (a, 1, c, d))
        scaled.append(pg.KSMatrix(values))
    return pg.KSChain(scaled)


def test_two_factors_are_optimal():
    """A 4 x 4 chain of two dyadic factors: its four inner indices are pairs with disjoint supports."""
    rng = np.random.default_rng(0)
    for bits in (2, 3):
        left, right = (rng.integers(1, 16, p).astype(float) for p in ((1, 2, 2, 2), (2, 2, 2, 1)))
        found = pg.quantize_chain([pg.KSMatrix(left), pg.KSMatrix(right)], bits)
        pairs = [(left[0, :, k, el], right[k, el, :, 0]) for k in range(2) for el in range(2)]
        best = sum(brute_force(x, y, bits) for x, y in pairs)
        assert found.error**2 == pytest.approx(best, rel=float(gamma(32)), abs=0)
        assert all((round_significand(f.values, bits) == f.values).all() for f in found.factors)


@pytest.mark.parametrize("family", [pg.hadamard, pg.dft])
def test_a_quarter_of_the_bits_is_saved(family):
    rng = np.random.default_rng(1)
    chain = scaled(family(32), rng)
    for fewer, bits in ((3, 4), (6, 8), (9, 12)):
        nearest = pg.quantize_chain(chain, bits, "nearest")
        aware = pg.quantize_chain(chain, fewer)
        assert aware.error <= nearest.error
        dense = chain.toarray()
        for found in (nearest, aware):
            # An entry is one product of five complex numbers, in both, made in two ways; then 1024 squares are added.
            after = found.chain.toarray()
            rounding = 2 * float(gamma(4 * 5)) * (np.linalg.norm(dense) + np.linalg.norm(after))
            rounding += 2 * float(gamma(1024 + 8)) * found.error
            assert abs(found.error - np.linalg.norm(dense - after)) <= rounding
            # 1024 squares of entries, each the product of five complex numbers
            assert found.norm == pytest.approx(np.linalg.norm(dense), rel=2 * float(gamma(1024 + 30)), abs=0)


def test_hadamard_stays_exact_under_rescaling():
    """Rescaled inner indices change the factors, not the product, and are found again."""
    rng = np.random.default_rng(0)
    chain = pg.hadamard(16)
    factors, before = [], np.ones(16)
    for factor in chain.factors:
        a, b, c, d = factor.pattern
        after = rng.uniform(1, 2, 16) if factor is not chain.factors[-1] else np.ones(16)
        factors.append(pg.KSMatrix(factor.values / before.reshape(a, b, 1, d) * after.reshape(a, 1, c, d)))
        before = after
    assert pg.quantize_chain(factors, 2, "nearest").relative_error > 0.05
    assert pg.quantize_chain(factors, 2).relative_error <= float(
        gamma(32)
    )  # an entry is a product of four quotients and products


@pytest.mark.parametrize("family", [pg.hadamard, pg.dft])
def test_alternating_never_increases_the_error(family):
    chain = scaled(family(16), np.random.default_rng(2))
    errors = [pg.quantize_chain(chain, 4).error]
    errors += [pg.quantize_chain(chain, 4, "alternate", sweeps=sweeps).error for sweeps in (0, 1, 2, 3)]
    assert errors[0] == errors[1]
    # What decides are computed squares, at five cuts a sweep, of sums of 16 complex products at either side of a cut;
    # an error is that of 256 entries, each a product of four numbers.
    norm = np.linalg.norm(chain.toarray())
    decided, listed = 2 * 5 * float(gamma(4 * (2 * 16 + 8))), 2 * float(gamma(4 * 4)) * 2 * norm
    for earlier, later in itertools.pairwise(errors):
        assert later <= np.hypot(earlier, np.sqrt(decided) * norm) + 2 * (listed + float(gamma(256 + 8)) * later)
    assert errors[-1] < errors[0]


def test_alternating_on_general_patterns():
    """Monarch-like patterns, with more than two entries per column, and zero columns."""
    rng = np.random.default_rng(0)
    left, right = rng.uniform(1, 2, (1, 3, 4, 5)), rng.uniform(1, 2, (4, 5, 3, 1))
    left[0, :, 1, 2] = 0
    aware, improved = (
        pg.quantize_chain([pg.KSMatrix(left), pg.KSMatrix(right)], 3, m) for m in ("scaling-aware", "alternate")
    )
    nearest = pg.quantize_chain([pg.KSMatrix(left), pg.KSMatrix(right)], 3, "nearest")
    assert improved.error <= aware.error <= nearest.error
    assert improved.sweeps >= 1


def test_chains_of_higher_rank_and_of_one_factor():
    one = pg.quantize_chain([pg.KSMatrix(np.full((1, 2, 2, 1), 5.0))], 2)
    assert (one.factors[0].values == 4).all()
    wide = [pg.KSMatrix(np.ones((1, 2, 2, 1))), pg.KSMatrix(np.ones((1, 2, 2, 1)))]
    assert pg.quantize_chain(wide, 2, "nearest").error == 0
    with pytest.raises(pg.ParameterError, match="needed cuts of rank 1, got rank 2 at cut 1"):
        pg.quantize_chain(wide, 2)


def test_chain_results():
    chain = scaled(pg.hadamard(8), np.random.default_rng(0))
    found = pg.quantize_chain(chain, 3)
    assert pickle.loads(pickle.dumps(found)) == found
    assert found != pg.quantize_chain(chain, 4)
    assert found != "QuantizedChain"
    assert repr(found).startswith("QuantizedChain(3 factors, 3 bits, scaling-aware, relative error 0.0")
    assert found.patterns == chain.patterns
    zero = pg.quantize_chain([pg.KSMatrix(np.zeros((1, 2, 1, 1))), pg.KSMatrix(np.zeros((1, 1, 2, 1)))], 3, "alternate")
    assert (zero.error, zero.relative_error) == (0, 0)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "bits", "options", "message"),
    [
        ([1.0], [1.0], 0, {}, "bits: needed an integer >= 1, got 0"),
        ([1.0], [1.0], 53, {}, "bits: needed at most 52"),
        ([1.0], [1.0], 2.5, {}, "bits: needed an integer"),
        ([[1.0]], [1.0], 2, {}, r"x: needed a vector, got shape \(1, 1\)"),
        ([np.inf], [1.0], 2, {}, "x: needed finite numbers"),
        ([1.0], ["a"], 2, {}, "y: needed floats, complex numbers or Fractions"),
        ([1.0], [[1], [1, 2]], 2, {}, "y: needed an array of numbers"),
        ([1.0], np.array([object()]), 2, {}, "y: needed floats, complex numbers or Fractions"),
        ([Fraction(1)], [1.0], 2, {}, "x, y: needed floats or Fractions for both"),
        ([1.0], [1.0], 2, {"row_weights": [-1.0]}, "row_weights: needed 1 real numbers >= 0"),
        ([1.0], [1.0], 2, {"column_weights": [1.0, 1.0]}, "column_weights: needed 1 real numbers"),
        ([Fraction(1)], [Fraction(1)], 2, {"row_weights": [1.0]}, "row_weights: needed floats beside floats"),
        ([1.0], [1.0], 2, {"max_candidates": 0}, "max_candidates: needed an integer >= 1"),
    ],
)
def test_bad_pairs(x, y, bits, options, message):
    with pytest.raises(pg.ParameterError, match=message):
        pg.quantize_pair(x, y, bits, **options)


def test_bad_chains():
    good = pg.hadamard(4)
    with pytest.raises(pg.ParameterError, match="method: needed one of 'nearest'"):
        pg.quantize_chain(good, 2, "best")
    with pytest.raises(pg.ParameterError, match="chain: needed a KSChain"):
        pg.quantize_chain(np.eye(4), 2)
    with pytest.raises(pg.ParameterError, match="sweeps: needed an integer"):
        pg.quantize_chain(good, 2, "alternate", sweeps=-1)
    with pytest.raises(pg.ParameterError, match="factor 1: needed floats, got exact numbers"):
        pg.quantize_chain([pg.KSMatrix(np.full((1, 1, 1, 1), Fraction(1), dtype=object))], 2)
    with pytest.raises(pg.ParameterError, match="patterns 1 and 2"):
        pg.quantize_chain(good.factors[::-1], 2)
    with pytest.raises(pg.ParameterError, match="patterns: needed at least one"):
        pg.quantize_chain([], 2)


@pytest.mark.parametrize(("x", "y"), [([5e-324], [1e308]), ([1e308, 1.5e308], [1e308, 3.0])])
def test_errors_beyond_floats_are_refused(x, y):
    with pytest.raises(pg.RangeError, match="squared error leaves the range"):
        pg.quantize_pair(x, y, 3)
