"""Butterfly factorisation: exact targets come back, noisy ones stay inside certificates that an oracle confirms."""

import itertools
import math
import pickle
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import hadamard
from scipy.sparse.linalg import aslinearoperator

import pathgraph as pg
from pathgraph.kronecker.cuts import Cut, product_of, span
from pathgraph.kronecker.sequences import chainable_sequence, cut_order, error_bound, lifted, reduced
from pathgraph.kronecker.targets import NORM_ERROR
from tests.bench.butterfly import cases, figures

UNIT = 2.0**-53


def random_sequence(rng, length, largest=3):
    """A chainable sequence: from its ranks and from the ratios of consecutive a and of consecutive d."""
    draw = lambda: [int(x) for x in rng.integers(1, largest, length - 1)]  # noqa: E731
    ratios, steps, ranks = draw(), draw(), draw()
    a, d = [int(rng.integers(1, 3))], [int(rng.integers(1, 3))]
    for ratio in ratios:
        a.append(a[-1] * ratio)
    for step in reversed(steps):
        d.insert(0, d[0] * step)
    b = [int(rng.integers(1, 4)), *(rank * step for rank, step in zip(ranks, steps, strict=True))]
    c = [*(rank * ratio for rank, ratio in zip(ranks, ratios, strict=True)), int(rng.integers(1, 4))]
    return tuple(pg.KSPattern(*p) for p in zip(a, b, c, d, strict=True))


def to_dense(values):
    return pg.KSMatrix(values).toarray()


def support(pattern):
    return np.kron(np.eye(pattern.a), np.kron(np.ones((pattern.b, pattern.c)), np.eye(pattern.d)))


def blocks_of(patterns, cut):
    """The oracle of a cut: rows, columns and rank of each block, from products of supports."""
    left, right = np.eye(patterns[0].shape[0]), np.eye(patterns[-1].shape[1])
    for pattern in patterns[:cut]:
        left = (left @ support(pattern) > 0).astype(float)
    for pattern in reversed(patterns[cut:]):
        right = (support(pattern) @ right > 0).astype(float)
    groups = {}
    for inner in range(left.shape[1]):
        key = (tuple(np.flatnonzero(left[:, inner])), tuple(np.flatnonzero(right[inner])))
        groups[key] = groups.get(key, 0) + 1
    return groups


def split_error(A, patterns, cut):
    """E_s by its definition: what is outside of all blocks, and the smallest singular values of each."""
    rest, total = np.array(A), 0.0
    for (rows, columns), rank in blocks_of(patterns, cut).items():
        block = A[np.ix_(rows, columns)]
        total += (np.linalg.svd(block, compute_uv=False)[rank:] ** 2).sum()
        rest[np.ix_(rows, columns)] = 0
    return math.sqrt(total + np.linalg.norm(rest) ** 2)


def numbers(rng, shape, is_complex):
    real = rng.standard_normal(shape)
    return real + 1j * rng.standard_normal(shape) if is_complex else real


def decompositions(patterns, norm):
    """Round-off of the decompositions: each of at most 2 (L - 1) QR and L - 1 SVD is backward stable.

    The constant of a Householder QR of a block with b rows and r columns is gamma of a small multiple of b r.
    """
    sides = [max(b, c) * max(b, c) for _, b, c, _ in patterns]
    return 30 * sum(sides) * UNIT * norm


def backward(result):
    return decompositions(result.patterns, result.norm)


def slack_of(result):
    """How far each of its errors and bounds is from what exact arithmetic gives."""
    return result.roundoff + backward(result)


def dense_product(result):
    product = np.eye(result.patterns[0].shape[0])
    for factor in result.factors:
        product = product @ to_dense(factor.values)
    return product


# -- cuts, against dense products in integers --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_cuts_multiply_and_partition(seed):
    rng = np.random.default_rng(seed)
    patterns = random_sequence(rng, 3)
    factors = [rng.integers(-3, 4, tuple(p)) for p in patterns]
    values = product_of(patterns, factors)
    dense = to_dense(factors[0]) @ to_dense(factors[1]) @ to_dense(factors[2])
    assert (to_dense(values) == dense).all()
    assert (pg.KSMatrix.from_dense(dense, span(patterns)).values == values).all()
    pair = Cut(*patterns[:2])
    assert (pair.left_values(pair.columns(factors[0])) == factors[0]).all()
    assert (pair.right_values(pair.rows(factors[1])) == factors[1]).all()
    groups = blocks_of(patterns, 2)
    cut = Cut(span(patterns[:2]), patterns[2])
    assert set(groups.values()) == {cut.rank}
    assert len(groups) == math.prod(cut.groups)
    assert {(len(rows), len(columns)) for rows, columns in groups} == {cut.block_shape}


@pytest.mark.parametrize("seed", range(20))
def test_lifting_is_exact(seed):
    rng = np.random.default_rng(seed)
    patterns = random_sequence(rng, 4)
    ranks = [p.rank(q) for p, q in itertools.pairwise(patterns)]
    spans = reduced(patterns, ranks)
    for left, right in itertools.pairwise(spans):
        assert left.pattern.rank(right.pattern) < min(left.pattern.b, right.pattern.c)
    for part in spans:
        values = np.frompyfunc(Fraction, 1, 1)(rng.integers(-3, 4, tuple(part.pattern)))
        factors = lifted(part, values)
        inside = patterns[part.last - len(factors) : part.last]
        assert [factor.shape for factor in factors] == [tuple(p) for p in inside]
        assert (product_of(inside, factors) == values).all()


# -- the certificate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("is_complex", [False, True])
def test_certificate_and_exact_recovery(seed, is_complex):
    rng = np.random.default_rng(seed)
    patterns = random_sequence(rng, 1 + seed % 4)
    exact = to_dense(product_of(patterns, [numbers(rng, tuple(p), is_complex) for p in patterns]))
    inside = to_dense(numbers(rng, tuple(span(patterns)), is_complex))
    for A in (exact, exact + 0.1 * inside, exact + numbers(rng, exact.shape, is_complex)):
        errors = [split_error(A, patterns, cut) for cut in range(1, len(patterns))]
        for order in itertools.permutations(range(1, len(patterns))):
            result = pg.butterfly_factorize(A, patterns, order=order)
            assert result.patterns == patterns
            assert {factor.values.dtype.kind for factor in result.factors} == {"c" if is_complex else "f"}
            slack = slack_of(result)
            assert abs(np.linalg.norm(A - dense_product(result)) - result.error) <= slack
            assert result.lower <= result.error + result.roundoff
            assert result.error <= result.upper + slack
            assert result.lower <= max(errors, default=result.lower) + slack
            assert np.allclose(result.cut_errors, errors, rtol=0, atol=slack)
            outside = np.linalg.norm(A - pg.KSMatrix.project(A, span(patterns)).toarray())
            assert result.upper <= math.hypot(outside, sum(errors)) + slack
            if A is exact:
                assert result.error <= slack
            if len(patterns) == 2:  # two factors: truncation is optimal
                assert result.error <= result.lower + slack


@pytest.mark.parametrize("order", ["left-to-right", "right-to-left", (1, 3, 2), (3, 1, 2)])
def test_orders_that_peel_have_the_root_of_the_squares(order):
    A = np.random.default_rng(5).standard_normal((16, 16))
    result = pg.butterfly_factorize(A, pg.square_dyadic(16), order=order)
    root = math.sqrt(sum(error**2 for error in result.cut_errors))
    assert result.error <= result.upper
    assert abs(result.upper - root) <= slack_of(result)
    assert abs(result.lower - max(result.cut_errors)) <= slack_of(result)


MIDDLE_FIRST = [[12, 10, -1, 6, 10, -16], [2, 0, -1, 2, 0, -5], [6, 6, -12, 3, -5, 20]]
MIDDLE_FIRST += [[6, 9, 3, -15, -3, 6], [2, -1, 3, 3, 3, -8], [9, 7, 9, -13, 0, -5]]
SIX = [(1, 2, 1, 3), (1, 3, 2, 1), (1, 2, 3, 1), (3, 1, 2, 1)]


def test_middle_first_exceeds_the_root_of_the_squares():
    result = pg.butterfly_factorize(MIDDLE_FIRST, SIX, order="balanced")
    assert result.order == (2, 1, 3)
    assert result.error > math.sqrt(sum(error**2 for error in result.cut_errors)) * 1.005
    assert result.error <= result.upper


def test_without_orthonormalisation_the_bound_fails():
    """Square roots of masses are compared then: 3 < 2 + 2, but 9 > 4 + 4."""
    A = np.zeros((8, 3))
    A[0, 0], A[1, 1], A[2, 2], A[3, 2] = 4, 3, 2, 2
    patterns = [(1, 2, 1, 4), (1, 4, 2, 1), (1, 2, 3, 1)]
    with_it = pg.butterfly_factorize(A, patterns)
    without = pg.butterfly_factorize(A, patterns, orthonormalize=False)
    assert abs(with_it.error - math.sqrt(8)) <= slack_of(with_it)
    assert abs(with_it.upper - math.sqrt(8)) <= slack_of(with_it)
    assert abs(without.error - 3) <= slack_of(without)
    assert without.upper == math.inf
    assert without.lower == with_it.lower


def test_error_bound_is_the_best_partition_into_runs():
    """Against all partitions into runs, each of whose cuts lies on one side of the later ones of its run."""
    rng = np.random.default_rng(0)

    def is_run(cuts):
        return all(
            all(cut < later for later in cuts[i + 1 :]) or all(cut > later for later in cuts[i + 1 :])
            for i, cut in enumerate(cuts)
        )

    for order in itertools.permutations(range(1, 6)):
        squares = {cut: float(rng.integers(0, 50)) for cut in order}
        best = math.inf
        for ends in itertools.product([False, True], repeat=4):
            edges = [0, *(n for n, end in enumerate(ends, 1) if end), 5]
            runs = [order[i:j] for i, j in itertools.pairwise(edges)]
            if all(map(is_run, runs)):
                best = min(best, sum(math.sqrt(sum(squares[cut] for cut in run)) for run in runs))
        steps = 2 * len(order) + 2  # of each side; and twice as many units for rounding upwards
        assert best <= error_bound(order, squares) <= best * (1 + 4 * steps * UNIT)


def test_orders():
    assert cut_order("balanced", 7) == (4, 2, 1, 3, 6, 5, 7)
    assert cut_order("right-to-left", 3) == (3, 2, 1)
    assert cut_order("balanced", 0) == ()


# -- famous matrices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 8, 64])
@pytest.mark.parametrize("order", ["left-to-right", "right-to-left", "balanced"])
def test_hadamard_and_dft_are_recovered(n, order):
    reversal = [int(f"{i:0{n.bit_length() - 1}b}"[::-1], 2) for i in range(n)]
    fourier = np.fft.fft(np.eye(n))[:, reversal]
    for A in (hadamard(n).astype(float), fourier):
        result = pg.butterfly_factorize(A, pg.square_dyadic(n), order=order)
        assert result.error <= slack_of(result)
        assert result.lower <= result.error + result.roundoff
        assert pg.is_factorizable(A, pg.square_dyadic(n))
    if n > 4:
        check = pg.is_factorizable(np.fft.fft(np.eye(n)), pg.square_dyadic(n))
        assert not check
        assert check.failing_cuts


def test_hadamard_ranks_are_exact():
    A = hadamard(8).astype(object)
    check = pg.is_factorizable(A, pg.square_dyadic(8))
    assert (bool(check), check.is_exact, check.ranks, check.allowed) == (True, True, (1, 1), (1, 1))
    A[3, 4] += Fraction(1, 10**30)
    check = pg.is_factorizable(A, pg.square_dyadic(8))
    assert (bool(check), check.excess, check.ranks) == (False, (1, 1), (2, 2))


def test_monarch_with_rank_32():
    patterns = [(1, 768, 192, 2), (6, 64, 64, 1)]
    rng = np.random.default_rng(0)
    chain = chainable_sequence(patterns)
    A = to_dense(product_of(chain, [rng.standard_normal(p) for p in patterns]))
    assert chain[0].rank(chain[1]) == 32
    result = pg.butterfly_factorize(A, patterns)
    assert result.error <= slack_of(result)
    smaller = pg.butterfly_factorize(A, patterns, rank=8)
    assert [factor.pattern for factor in smaller.factors] == list(chain)
    assert smaller.lower <= smaller.error <= smaller.upper + slack_of(smaller)
    assert smaller.error <= smaller.lower + slack_of(smaller)  # two factors: truncation is optimal


def test_rank_limits_are_kept():
    A = np.random.default_rng(3).standard_normal((12, 12))
    patterns = [(1, 4, 3, 3), (1, 9, 4, 1), (1, 4, 12, 1)]
    result = pg.butterfly_factorize(A, patterns, rank=[2, 3])
    ranks = [pg.is_factorizable(dense_product(result), patterns, slack_of(result) / result.norm).ranks]
    assert ranks == [(2, 3)]
    assert result.lower <= result.error <= result.upper


# -- properties --------------------------------------------------------------------------------------------------------


def test_transposition_gives_the_same_error():
    """The transposed chain, in reverse, is chainable after a reversal of the bits of all indices."""
    A = np.random.default_rng(1).standard_normal((16, 16))
    patterns = pg.square_dyadic(16)
    with pytest.raises(pg.ParameterError, match="not chainable"):
        pg.butterfly_factorize(A.T, [p.T for p in reversed(patterns)])
    reversal = pg.bit_reversal(16)
    turned = [pg.KSPattern(p.d, p.c, p.b, p.a) for p in reversed(patterns)]
    result = pg.butterfly_factorize(A, patterns)
    other = pg.butterfly_factorize(A.T[np.ix_(reversal, reversal)], turned, order="right-to-left")
    assert abs(other.error - result.error) <= slack_of(other) + slack_of(result)
    assert abs(other.lower - result.lower) <= slack_of(other) + slack_of(result)


@pytest.mark.parametrize("exponent", [300, -300, 1000, -1000])
def test_large_and_small_numbers(exponent):
    A = np.random.default_rng(1).integers(-9, 10, (8, 8)).astype(float)
    ordinary = pg.butterfly_factorize(A, pg.square_dyadic(8))
    result = pg.butterfly_factorize(np.ldexp(A, exponent), pg.square_dyadic(8))
    assert abs(result.relative_error - ordinary.relative_error) <= 2 * slack_of(ordinary) / ordinary.norm
    assert result.lower <= result.error <= result.upper
    assert all(np.isfinite(factor.values).all() for factor in result.factors)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64, np.int8, bool])
def test_types(dtype):
    A = hadamard(8).astype(dtype)
    result = pg.butterfly_factorize(A, pg.square_dyadic(8))
    kind = {"f": np.float32, "c": np.complex64}.get(np.dtype(dtype).kind, np.float64)
    assert {factor.values.dtype for factor in result.factors} == {np.dtype(kind)}
    assert result.error <= slack_of(result)


def test_zero_and_rank_deficient():
    zero = pg.butterfly_factorize(np.zeros((8, 8)), pg.square_dyadic(8))
    assert (zero.error, zero.lower, zero.norm, zero.relative_error, zero.gap) == (0, 0, 0, 0, 1)
    ones = pg.butterfly_factorize(np.ones((8, 8)), pg.square_dyadic(8), order="balanced")
    assert ones.error <= ones.roundoff + backward(ones)
    single = pg.butterfly_factorize([[1.0, 2.0], [3.0, 4.0]], [(1, 1, 1, 2)])
    assert abs(single.error - math.sqrt(13)) <= slack_of(single)
    assert single.lower <= single.error <= single.upper
    assert single.cut_errors == single.order == ()
    assert pg.butterfly_factorize([[3.0]], [(1, 1, 1, 1)] * 3).error <= 3 * UNIT


def test_what_may_be_factorised():
    rng = np.random.default_rng(0)
    patterns = chainable_sequence([(1, 2, 2, 4), (2, 4, 2, 1)])
    K = pg.KSMatrix(rng.standard_normal(tuple(span(patterns))))
    result = pg.butterfly_factorize(K, patterns)
    for A in (K.toarray(), K.tosparse(), aslinearoperator(K.toarray()), K.toarray().tolist(), pg.KSChain([K])):
        assert pg.butterfly_factorize(A, patterns) == result
    assert pg.butterfly_factorize(K, result.chain) == result
    assert pg.butterfly_factorize(sparse.coo_array(K.toarray()), patterns) == result
    assert abs(np.linalg.norm(K.toarray() - result.chain.toarray()) - result.error) <= slack_of(result)


def test_result():
    A = np.random.default_rng(0).standard_normal((8, 8))
    result = pg.butterfly_factorize(A, pg.square_dyadic(8))
    assert pickle.loads(pickle.dumps(result)) == result
    assert result != pg.butterfly_factorize(A, pg.square_dyadic(8), order="right-to-left")
    assert result != 3
    assert result.gap >= 1
    assert repr(result).startswith("ButterflyFactorization(3 factors, relative error 0.")
    assert pg.butterfly_factorize(A, pg.square_dyadic(8)) == result


# -- single cuts, and the test of complementary low rank ---------------------------------------------------------------


def test_optimal_split_error_encloses_exact_values():
    """On diagonal blocks the singular values are known."""
    patterns = [(1, 2, 1, 2), (1, 2, 2, 1)]
    A = np.zeros((4, 2))
    A[0, 0], A[2, 1] = 3.0, 4.0  # one block, rows 0 and 2: singular values 4 and 3
    A[1, 0], A[3, 1] = 5.0, 12.0
    bound = pg.optimal_split_error(A, patterns, 1)
    assert bound.rigorous
    assert Fraction(bound.lower) ** 2 <= 34 <= Fraction(bound.upper) ** 2
    assert bound.upper - bound.lower <= 2 * decompositions(patterns, np.linalg.norm(A))


def test_optimal_split_error_encloses_roots_of_polynomials():
    """Of a 2 x 2 matrix with squared norm t and determinant D, E**2 is the smaller root of z**2 - t z + D**2."""
    rng, patterns = np.random.default_rng(0), [(1, 2, 1, 1), (1, 1, 2, 1)]
    for _ in range(200):
        A = rng.integers(-99, 100, (2, 2))
        t, square = int((A**2).sum()), int(A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0]) ** 2
        bound = pg.optimal_split_error(A, patterns, 1)
        low, high = Fraction(bound.lower) ** 2, Fraction(bound.upper) ** 2
        assert 2 * low <= t
        assert low**2 - t * low + square >= 0
        assert 2 * high >= t or high**2 - t * high + square <= 0
        assert bound.upper - bound.lower <= 2 * decompositions(patterns, math.sqrt(t))


@pytest.mark.parametrize("seed", range(10))
def test_optimal_split_error_against_the_oracle(seed):
    rng = np.random.default_rng(seed)
    patterns = random_sequence(rng, 3)
    A = rng.standard_normal(span(patterns).shape)
    for cut in (1, 2):
        bound = pg.optimal_split_error(A, patterns, cut)
        oracle = split_error(A, patterns, cut)
        slack = decompositions(patterns, np.linalg.norm(A))  # of the oracle
        assert bound.lower - slack <= oracle <= bound.upper + slack
        assert bound.upper - bound.lower <= 2 * slack


def test_outside_of_the_support():
    A = np.diag([1, 2]) + np.array([[0, Fraction(1, 3)], [0, 0]], dtype=object)
    check = pg.is_factorizable(A, [(2, 1, 1, 1)])
    assert (bool(check), check.outside) == (False, 1)
    assert repr(check) == "ButterflyCheck(no: 1 entries outside of the support)"
    loose = pg.is_factorizable(A.astype(float), [(2, 1, 1, 1)], 0.5)
    assert loose
    assert loose != check
    assert repr(loose) == "ButterflyCheck(yes: ranks free at 0 cuts)"


@pytest.mark.parametrize("seed", range(8))
def test_products_are_factorizable_and_others_not(seed):
    rng = np.random.default_rng(seed)
    patterns = random_sequence(rng, 3)
    A = to_dense(product_of(patterns, [rng.integers(-3, 4, tuple(p)).astype(object) for p in patterns]))
    assert pg.is_factorizable(A, patterns)
    assert pg.is_factorizable(A.astype(float), patterns)
    other = to_dense(rng.integers(-9, 10, tuple(span(patterns))).astype(object))
    result = pg.butterfly_factorize(other.astype(float), patterns)
    assert bool(pg.is_factorizable(other, patterns)) == (result.error <= slack_of(result))


# -- bad input ---------------------------------------------------------------------------------------------------------

GOOD = [(1, 2, 2, 2), (2, 2, 2, 1)]


@pytest.mark.parametrize(
    ("A", "patterns", "options", "message"),
    [
        (np.eye(3), GOOD, {}, r"A: needed the shape \(4, 4\) .* got \(3, 3\)"),
        (np.ones(4), GOOD, {}, r"A: needed the shape \(4, 4\)"),
        ([[np.nan]], [(1, 1, 1, 1)], {}, "A: needed finite numbers"),
        ([[1], [1, 2]], [(1, 1, 1, 1)], {}, "A: needed a matrix of numbers"),
        ([["a"]], [(1, 1, 1, 1)], {}, "A: needed real or complex floats"),
        ([[Fraction(1)]], [(1, 1, 1, 1)], {}, "convert with A.astype"),
        (np.eye(4), [], {}, "patterns: needed at least one"),
        (np.eye(4), 3, {}, "patterns: needed a sequence"),
        (np.eye(4), pg.KSPattern(1, 4, 4, 1), {}, "patterns: needed a sequence"),
        (np.eye(4), [(1, 2, 2)], {}, "patterns: needed KSPatterns"),
        (np.eye(4), [(1, 2, 2, 0)], {}, "d: needed an integer >= 1"),
        (np.eye(4), GOOD[::-1], {}, "patterns 1 and 2, .* are not chainable: a1 = 2 does not divide a2 = 1"),
        (np.eye(4), GOOD, {"order": "middle"}, "order: needed 'left-to-right'"),
        (np.eye(4), GOOD, {"order": [1, 2]}, "order: needed each of the cuts 1, ..., 1 once"),
        (np.eye(4), GOOD, {"order": 1}, "order: needed each of the cuts"),
        (np.eye(4), GOOD, {"rank": 0}, "rank: needed an integer >= 1, got 0"),
        (np.eye(4), GOOD, {"rank": [1, 1]}, "rank: needed one integer per cut, 1 of them, got 2"),
        (np.eye(4), GOOD, {"rank": 1.5}, "rank: needed None, an integer"),
    ],
)
def test_bad_input(A, patterns, options, message):
    with pytest.raises(pg.ParameterError, match=message):
        pg.butterfly_factorize(A, patterns, **options)


def test_bad_input_of_checks():
    with pytest.raises(pg.ParameterError, match="tol: exact numbers need no tolerance"):
        pg.is_factorizable(np.eye(4).astype(int).astype(object), GOOD, 0.1)
    with pytest.raises(pg.ParameterError, match=r"tol: needed a number in \[0, 1\]"):
        pg.is_factorizable(np.eye(4), GOOD, -1)
    with pytest.raises(pg.ParameterError, match="exact numbers such as Fractions"):
        pg.is_factorizable(np.array([["a"]], dtype=object), [(1, 1, 1, 1)])
    with pytest.raises(pg.ParameterError, match="cut: needed an integer from 1 to 1, for 2 patterns, got 2"):
        pg.optimal_split_error(np.eye(4), GOOD, 2)
    with pytest.raises(pg.ParameterError, match="rank: needed an integer >= 1"):
        pg.optimal_split_error(np.eye(4), GOOD, 1, rank=0)


@pytest.mark.parametrize("size", [3.0, 0.1, 7.3e-5])
def test_the_lower_end_is_rounded_down(size):
    """The optimal error of a diagonal matrix of rank two is the smaller entry, which floats carry exactly."""
    found = pg.butterfly_factorize(np.diag([size, 4.0]), [(1, 2, 1, 1), (1, 1, 2, 1)])
    assert found.lower <= size <= found.upper + found.roundoff
    slack = 2 * found.roundoff + 2 * NORM_ERROR * size  # two norms, and what it allows for them
    assert size - found.lower <= slack, "and by no more than the round-off it allows for"


def test_the_table_of_the_guide_is_what_its_program_prints():
    page = (Path(__file__).parents[1] / "docs" / "guide" / "butterfly.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\|[^|]*\| (\w[^|]*) \| ((?:\d\.\d{4} \| ?)+)$", page, re.MULTILINE)
    assert [name for name, _ in shown] == [name for _, name, _ in cases()]
    for (name, row), (family, _, target) in zip(shown, cases(), strict=True):
        printed, found = [float(number) for number in re.findall(r"[\d.]+", row)], figures(family, target)
        if name.startswith("cosine"):  # equal singular values: which of their vectors are kept is LAPACK's choice
            printed, found = [printed[0], printed[-1]], [found[0], found[-1]]
        # half a unit of the last digit, and round-off of 64 x 64 decompositions
        assert np.allclose(printed, found, rtol=0, atol=0.5e-4 + 64**2 * UNIT)
        if name.startswith("exact"):
            assert found[1] <= 1.2 * found[0]  # the claim below the table
