"""Kronecker-sparsity patterns against their definition, and products of patterns against products of supports."""

import math
import pickle
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import ks_chains, ks_patterns
from tests.tolerances import gamma

SMALL = [pg.KSPattern(*sizes) for sizes in product((1, 2, 3), repeat=4)]


def support(pattern):
    """The support by its definition, as a product of Kronecker products."""
    a, b, c, d = pattern
    return np.kron(np.eye(a, dtype=int), np.kron(np.ones((b, c), dtype=int), np.eye(d, dtype=int)))


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_support_is_the_kronecker_product(format):
    for pattern in SMALL:
        found = pattern.support(format)
        assert found.format == format
        assert found.dtype == bool
        assert (found.toarray() == support(pattern)).all()


@given(ks_patterns(max_size=7))
def test_counts(pattern):
    dense = support(pattern)
    assert pattern.shape == dense.shape
    assert pattern.nnz == dense.sum() == math.prod(pattern)
    assert pattern.density == pytest.approx(dense.mean(), rel=float(gamma(4)), abs=0)
    assert (dense.sum(axis=1) == pattern.c).all()
    assert (dense.sum(axis=0) == pattern.b).all()
    assert (support(pattern.T) == dense.T).all()
    assert pattern == pattern.T.T
    assert pattern.is_dense == bool(dense.all())
    csr = pattern.support()
    assert csr.has_sorted_indices
    assert csr.nnz == pattern.nnz
    assert (csr.indices.reshape(-1, pattern.c) == pattern.columns()).all()
    rows = list(range(0, pattern.shape[0], 2))
    assert (pattern.columns(rows) == pattern.columns()[rows]).all()


@given(ks_patterns(), st.integers(1, 4), st.integers(1, 4))
def test_kronecker_products_with_identities(pattern, left, right):
    found = pattern.kron_eye(left=left, right=right)
    wanted = np.kron(np.eye(left, dtype=int), np.kron(support(pattern), np.eye(right, dtype=int)))
    assert (support(found) == wanted).all()


def test_chainability_is_what_products_of_supports_say():
    """Chainable pairs of same inner size: the product of the supports is the pattern, every entry r times, and no
    other pair has a product of the supports that is a pattern with all entries equal and right divisibility."""
    seen = {True: 0, False: 0}
    for left, right in product(SMALL, repeat=2):
        if left.shape[1] != right.shape[0]:
            assert "columns of the first" in left.obstacle(right)
            continue
        chainable = right.a % left.a == 0 and left.d % right.d == 0 and left.a * left.c % right.a == 0
        assert left.is_chainable(right) == chainable
        seen[chainable] += 1
        counts = support(left) @ support(right)
        if chainable:
            r = left.rank(right)
            assert r == Fraction(left.a * left.c, right.a) == Fraction(right.b * right.d, left.d)
            assert (counts == r * support(left * right)).all()
            assert left.is_redundant(right) == (r >= min(left.b, right.c))
        else:
            with pytest.raises(pg.ParameterError, match="not chainable"):
                left * right
    assert min(seen.values()) > 50


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        ((1, 2, 2, 1), (1, 3, 2, 1), "the 2 columns of the first are not the 3 rows of the second"),
        ((2, 2, 3, 1), (3, 2, 2, 1), "a1 = 2 does not divide a2 = 3"),
        ((1, 2, 2, 3), (1, 3, 2, 2), "d2 = 2 does not divide d1 = 3"),
        ((1, 2, 2, 3), (3, 2, 2, 1), "a2 = 3 does not divide a1 c1 = 2"),
    ],
)
def test_obstacle_is_named(left, right, reason):
    left, right = pg.KSPattern(*left), pg.KSPattern(*right)
    with pytest.raises(pg.ParameterError) as caught:
        left * right
    assert str(caught.value) == f"{left} and {right} are not chainable: {reason}"
    for refused in (left.rank, left.is_redundant):
        with pytest.raises(pg.ParameterError, match="not chainable"):
            refused(right)


@given(ks_chains(min_factors=3, max_factors=4))
def test_products_of_patterns_are_associative(chain):
    p, q, r = chain.patterns[:3]
    assert (p * q) * r == p * (q * r)
    assert chain.pattern.shape == chain.shape


def test_transposes_of_chainable_pairs_need_not_be_chainable():
    """The smallest pair; so it is for every square dyadic one."""
    left, right = pg.KSPattern(1, 1, 2, 1), pg.KSPattern(2, 1, 1, 1)
    assert left * right == left
    assert right.T.obstacle(left.T) == "a1 = 2 does not divide a2 = 1"
    for left, right in pairwise(pg.square_dyadic(16)):
        assert left.is_chainable(right)
        assert not right.T.is_chainable(left.T)


def test_intensity_depends_on_b_and_c_only():
    pattern = pg.KSPattern(3, 64, 64, 5)
    assert pattern.intensity(4) == 16 == pg.KSPattern(1, 64, 64, 1).intensity(4)
    rows, columns = pattern.shape
    of_values = pattern.nnz / ((rows + columns) * 10**9)  # what moving the values adds, at this many columns
    assert pattern.intensity(4, batch=10**9) == pytest.approx(16 / (1 + of_values), rel=float(gamma(12)), abs=0)
    assert pattern.intensity(8, batch=7) == 2 * pattern.nnz * 7 / (8 * ((rows + columns) * 7 + pattern.nnz))
    for batch in (0, -1, 1.5):
        with pytest.raises(pg.ParameterError, match="batch"):
            pattern.intensity(4, batch=batch)
    with pytest.raises(pg.ParameterError, match="itemsize"):
        pattern.intensity(0)


@pytest.mark.parametrize("bad", [0, -1, 1.0, True, "2", None])
@pytest.mark.parametrize("place", range(4))
def test_sizes_are_integers_of_at_least_one(bad, place):
    sizes = [1, 1, 1, 1]
    sizes[place] = bad
    with pytest.raises(pg.ParameterError, match=f"{'abcd'[place]}: needed an integer >= 1"):
        pg.KSPattern(*sizes)


def test_sizes_are_below_two_to_the_63():
    assert pg.KSPattern(2**20, 2**20, 2**20, 4).nnz == 2**62
    for sizes, what in [
        ((2**32, 2**31, 1, 1), "rows"),
        ((2**32, 1, 2**31, 1), "columns"),
        ((1, 2**32, 2**31, 1), "values"),
    ]:
        with pytest.raises(pg.ParameterError, match=f"fewer than 2\\*\\*63 {what}"):
            pg.KSPattern(*sizes)


def test_large_supports_are_refused_and_parts_of_them_are_not():
    pattern = pg.KSPattern(2**20, 2**10, 2, 2**10)
    with pytest.raises(pg.ParameterError, match="more than max_bytes"):
        pattern.support()
    row = 2**40 - 1  # the last one: i = 2**20 - 1, j = 2**10 - 1, l = 2**10 - 1
    assert pattern.columns([row]).tolist() == [[2**31 - 1 - 2**10, 2**31 - 1]]
    assert pg.KSPattern(1, 1, 1, 3).support(max_bytes=27).nnz == 3
    with pytest.raises(pg.ParameterError, match="format"):
        pattern.T.kron_eye().__class__(1, 1, 1, 1).support("nothing")


def test_patterns_are_values():
    pattern = pg.KSPattern(1, 2, 3, 4)
    assert pattern == pg.KSPattern(np.int64(1), 2, 3, 4) == pickle.loads(pickle.dumps(pattern))
    assert len({pattern, pg.KSPattern(*pattern)}) == 1
    assert pattern != (1, 2, 3, 4)
    assert eval(repr(pattern), {"KSPattern": pg.KSPattern}) == pattern
    with pytest.raises(AttributeError):
        pattern.a = 2
    with pytest.raises(TypeError):
        pattern * 2
    with pytest.raises(pg.ParameterError, match="needed a KSPattern"):
        pattern.obstacle((1, 2, 3, 4))
