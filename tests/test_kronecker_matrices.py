"""Kronecker-sparse matrices against dense ones made value by value: exactly over Fractions, else with bounds."""

import copy
import pickle
from fractions import Fraction
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg, gmres, svds

import pathgraph as pg
from pathgraph.testing import ks_chains, ks_matrices, ks_patterns
from tests.kronecker import by_leibniz, decomposed, determinant_slack, eliminated, kron, placed, same, times
from tests.oracles import logarithm
from tests.tolerances import gamma, unit

SMALL = ks_matrices(ks_patterns(max_size=3))
SQUARE = ks_matrices(ks_patterns(max_size=3, square=True))
PATTERNS = [(1, 1, 1, 1), (1, 3, 2, 1), (2, 2, 3, 1), (1, 2, 3, 2), (3, 5, 1, 2), (2, 1, 4, 3), (2, 3, 4, 5)]


def random(pattern, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(pattern)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(pattern)
    return pg.KSMatrix(values.astype(dtype))


# -- structure ----------------------------------------------------------------------------------------------------


@given(SMALL)
def test_values_lie_at_their_places(matrix):
    dense = placed(matrix.values)
    assert matrix.shape == dense.shape
    assert same(matrix.toarray(), dense)
    assert pg.KSMatrix.from_dense(dense, matrix.pattern) == matrix
    blocks = matrix.blocks
    for i, l in np.ndindex(blocks.shape[:2]):  # noqa: E741
        assert same(blocks[i, l], matrix.values[i, :, :, l])


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32, np.float64, np.complex64, complex])
def test_dense_and_sparse_and_back(pattern, dtype):
    values = np.random.default_rng(1).integers(-1, 4, pattern).astype(dtype)  # with zeros
    matrix = pg.KSMatrix(values)
    dense = matrix.toarray()
    assert dense.dtype == matrix.dtype == dtype
    assert same(dense, placed(values))
    assert pg.KSMatrix.from_dense(dense, matrix.pattern) == matrix
    for format in ("csr", "coo", "csc", "bsr"):
        found = matrix.tosparse(format)
        assert found.format == format
        assert found.dtype == (np.float32 if dtype == np.float16 else dtype)
        assert same(found.toarray(), dense)
        assert found.nnz == matrix.nnz  # zeros included
        assert pg.KSMatrix.from_dense(found, matrix.pattern) == matrix
    csr = matrix.tosparse()
    assert csr.has_canonical_format
    assert csr.indices.dtype == np.int32
    assert (np.diff(csr.indices.reshape(csr.shape[0], -1), axis=1) > 0).all()


@given(ks_patterns(), st.data())
def test_projection_is_orthogonal(pattern, data):
    rows, columns = pattern.shape
    numbers = data.draw(st.lists(st.integers(-3, 3), min_size=1, max_size=20))
    dense = np.resize(np.array(numbers, dtype=object), (rows, columns))
    found = pg.KSMatrix.project(dense, pattern)
    inside = placed(np.ones(pattern.values_shape, dtype=int)) == 1
    assert same(found.toarray(), np.where(inside, dense, 0))
    assert pg.KSMatrix.project(found.toarray(), pattern) == found
    assert ((dense - found.toarray()) * found.toarray()).sum() == 0
    assert pg.KSMatrix.project(sparse.coo_array(dense.astype(int)), pattern) == found
    if (dense[~inside] != 0).any():
        for given_as in (dense, sparse.csc_array(dense.astype(int))):
            with pytest.raises(pg.ParameterError, match=r"outside of the support.*project"):
                pg.KSMatrix.from_dense(given_as, pattern)


def test_sparse_input_with_duplicates():
    doubled = sparse.coo_array(([1, 2, 5], ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    assert pg.KSMatrix.project(doubled, pg.KSPattern(2, 1, 1, 1)).values.ravel().tolist() == [3, 5]


def test_diagonals_have_two_patterns():
    last, first = (pg.KSMatrix.from_diagonal([1, 2, 3], along=along) for along in "da")
    assert tuple(last.pattern) == (1, 1, 1, 3)
    assert tuple(first.pattern) == (3, 1, 1, 1)
    assert same(last.toarray(), np.diag([1, 2, 3]))
    assert same(first.toarray(), np.diag([1, 2, 3]))
    assert last != first


@given(st.lists(ks_matrices(ks_patterns(max_size=2)), min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 3))
def test_identities_and_blocks(matrices, left, right):
    matrix = matrices[0]
    dense = matrix.toarray()
    eye = [np.array([[int(i == j) for j in range(n)] for i in range(n)], dtype=object) for n in (left, right)]
    assert same(matrix.kron_eye(left=left).toarray(), kron(eye[0], dense))
    assert same(matrix.kron_eye(right=right).toarray(), kron(dense, eye[1]))
    assert matrix.kron_eye(left=left, right=right).pattern == matrix.pattern.kron_eye(left=left, right=right)
    alike = [m for m in matrices if m.pattern.values_shape[1:] == matrix.pattern.values_shape[1:]]
    wanted = np.zeros((sum(m.shape[0] for m in alike), sum(m.shape[1] for m in alike)), dtype=object)
    row = column = 0
    for m in alike:
        wanted[row : row + m.shape[0], column : column + m.shape[1]] = m.toarray()
        row, column = row + m.shape[0], column + m.shape[1]
    assert same(pg.KSMatrix.block_diagonal(alike).toarray(), wanted)


# -- algebra, over Fractions --------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(SMALL, st.integers(-3, 3))
def test_linear_algebra_of_one_matrix(matrix, number):
    dense = matrix.toarray()
    rows, columns = dense.shape
    x = np.arange(columns * 2).reshape(columns, 2) - number
    assert same(matrix @ x, times(dense, x))
    assert same(matrix @ x[:, 0], times(dense, x)[:, 0])
    y = np.arange(rows * 2).reshape(2, rows) + number
    assert same(y @ matrix, times(y, dense))
    assert same(matrix.T.toarray(), dense.T)
    assert matrix == matrix.T.T
    assert matrix.H == matrix.T  # of real numbers
    assert same((matrix * number).toarray(), dense * number)
    assert number * matrix == matrix * number
    assert (matrix / 2) * 2 == matrix
    assert -matrix == matrix * -1
    assert matrix + matrix == 2 * matrix
    assert same((matrix - 3 * matrix).toarray(), -2 * dense)
    assert same(matrix.multiply(matrix).toarray(), dense * dense)
    identity = np.array([[int(i == j) for j in range(columns)] for i in range(columns)], dtype=object)
    assert same(matrix @ identity, dense)
    # the adjoint identity
    assert (y[0] * (matrix @ x[:, 0])).sum() == ((matrix.H @ y[0]) * x[:, 0]).sum()
    scaled = matrix.scale(rows=y[0], columns=x[:, 0])
    assert same(scaled.toarray(), y[0][:, None] * dense * x[:, 0])
    assert scaled.pattern == matrix.pattern


@settings(max_examples=60)
@given(ks_chains(min_factors=2, max_factors=2))
def test_products_of_chainable_matrices(chain):
    left, right = chain.factors
    dense = times(left.toarray(), right.toarray())
    product = left.product(right)
    assert product.pattern == left.pattern * right.pattern
    assert same(product.toarray(), dense)
    for either in (left @ right, left * right):
        assert same(either.toarray(), dense)
        is_smaller = product.nnz <= left.nnz + right.nnz
        assert isinstance(either, pg.KSMatrix if is_smaller else pg.KSChain)
    x = np.arange(right.shape[1])
    assert same(left @ (right @ x), (left @ right) @ x)


@settings(max_examples=40)
@given(ks_chains(min_factors=2, max_factors=2), st.integers(-2, 2))
def test_products_do_not_depend_on_the_gauge(chain, upper):
    """An invertible r x r block for each group of inner indices, multiplied in on the left and out on the right."""
    left, right = chain.factors
    r = left.pattern.rank(right.pattern)
    a1, b1, _, d1 = left.pattern
    a2, _, c2, d2 = right.pattern
    s, t = a2 // a1, d1 // d2
    gauge = np.zeros((a1, s, t, d2, r, r), dtype=object)
    for place in np.ndindex(*gauge.shape[:4]):
        for i in range(r):
            gauge[(*place, i, i)] = Fraction(1 + sum(place), 2)
            for j in range(i + 1, r):
                gauge[(*place, i, j)] = upper
    inverse = np.empty_like(gauge)
    for place in np.ndindex(*gauge.shape[:4]):
        inverse[place] = pg.KSMatrix(gauge[place][None, :, :, None]).inv().values[0, :, :, 0]
    moved = left.values.reshape(a1, b1, s, r, t, d2).transpose(0, 2, 4, 5, 1, 3) @ gauge
    other = inverse @ right.values.reshape(a1, s, r, t, c2, d2).transpose(0, 1, 3, 5, 2, 4)
    new_left = pg.KSMatrix(moved.transpose(0, 4, 1, 5, 2, 3).reshape(left.pattern.values_shape))
    new_right = pg.KSMatrix(other.transpose(0, 1, 4, 2, 5, 3).reshape(right.pattern.values_shape))
    assert new_left.product(new_right) == left.product(right)


def test_products_that_are_not_chainable_are_chains_or_refused():
    left, right = random((2, 2, 3, 1)), random((3, 2, 2, 1))
    assert isinstance(left @ right, pg.KSChain)
    with pytest.raises(pg.ParameterError, match="a1 = 2 does not divide a2 = 3"):
        left.product(right)
    with pytest.raises(pg.ParameterError, match=r"shapes \(4, 6\) and \(4, 6\)"):
        left @ left
    row, column = random((1, 1, 1, 2**16)), random((2**16, 1, 1, 1))
    assert isinstance(row @ column, pg.KSChain)  # their product pattern is dense


@settings(max_examples=50)
@given(SQUARE)
def test_inverses_and_determinants(matrix):
    dense = matrix.toarray()
    determinant = _determinant(dense)
    assert matrix.det() == determinant
    if determinant == 0:
        for refused in (matrix.inv, lambda: matrix.solve(np.ones(matrix.shape[0], dtype=int))):
            with pytest.raises(pg.ParameterError, match=r"block \(i, l\) = \(\d, \d\) is singular"):
                refused()
        return
    inverse = matrix.inv()
    n = matrix.shape[0]
    identity = np.array([[int(i == j) for j in range(n)] for i in range(n)], dtype=object)
    assert same(times(inverse.toarray(), dense), identity)
    assert inverse.pattern == matrix.pattern
    right = np.arange(2 * n).reshape(n, 2)
    assert same(times(dense, matrix.solve(right)), right)
    assert same(matrix.solve(right.T, axis=-1), matrix.solve(right).T)
    assert same(matrix.solve(right[:, 1]), matrix.solve(right)[:, 1])
    sign, log = matrix.slogdet()
    assert sign == (1 if determinant > 0 else -1)
    assert abs(Fraction(log) - Fraction(logarithm(abs(determinant)))) <= Fraction(determinant_slack(matrix))


def _determinant(matrix):
    """By elimination of a copy, as in every textbook."""
    rows, determinant = [list(map(Fraction, row)) for row in matrix], Fraction(1)
    while rows:
        pivot = next((i for i, row in enumerate(rows) if row[0]), None)
        if pivot is None:
            return 0
        first = rows.pop(pivot)
        determinant *= first[0] * (-1) ** pivot
        rows = [[v - row[0] / first[0] * u for v, u in zip(row[1:], first[1:], strict=True)] for row in rows]
    return determinant


@given(SMALL)
def test_norms_of_exact_matrices(matrix):
    sizes = np.abs(placed(matrix.values))
    assert matrix.norm(1) == sizes.sum(axis=0).max()
    assert matrix.norm(inf) == sizes.sum(axis=1).max()
    assert isinstance(matrix.norm(1), (int, Fraction))
    squares = sum(v * v for v in matrix.values.flat)
    assert abs(Fraction(matrix.norm()) ** 2 - squares) <= gamma(matrix.nnz + 6) * squares


# -- algebra, in floats -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_norms_and_pseudo_inverses(pattern, dtype):
    matrix = random(pattern, dtype)
    dense = matrix.toarray().astype(np.complex128)
    for ord in (1, inf, "fro"):  # an absolute value rounds four times, squares and roots less; all is done twice
        share = 2 * float(gamma(4 + (dense.size if ord == "fro" else max(dense.shape))))
        assert matrix.norm(ord) == pytest.approx(np.linalg.norm(dense, ord), rel=share, abs=0)
    assert abs(matrix.norm(2) - np.linalg.norm(dense, 2)) <= 2 * decomposed(dense)
    inverse = matrix.pinv()
    assert inverse.pattern == matrix.pattern.T
    wanted = np.linalg.pinv(dense)
    condition = np.linalg.norm(dense, 2) * np.linalg.norm(wanted, 2)
    # A matrix of full rank moved by E has a pseudo-inverse moved by at most 2 norm(pinv)**2 norm(E) (Wedin); and the
    # product of what was decomposed has columns of at most condition * norm(pinv), whose entries round n times.
    moved = decomposed(dense) * float(unit(dtype) / unit())
    rounds = float(gamma(8 * max(dense.shape), dtype)) * condition * np.linalg.norm(wanted, 2)
    assert np.abs(inverse.toarray() - wanted).max() <= 2 * (2 * np.linalg.norm(wanted, 2) ** 2 * moved + rounds)


def test_norms_of_extreme_values():
    for scale in (1e-300, 1e300):
        assert pg.KSMatrix(np.full((2, 2, 1, 1), scale)).norm() == pytest.approx(2 * scale, rel=float(gamma(8)), abs=0)
    assert pg.KSMatrix(np.zeros((1, 2, 2, 1))).norm() == 0
    assert pg.KSMatrix([[[[-128]]]]).astype(np.int8).norm(1) == 128
    assert np.isnan(pg.KSMatrix([[[[np.nan, 1.0]]]]).norm())
    assert pg.KSMatrix([[[[inf, 1.0]]]]).norm() == inf
    with pytest.raises(pg.ParameterError, match="ord: needed 1, 2, inf or 'fro', got 'nuc'"):
        random((1, 1, 1, 1)).norm("nuc")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_inverses_in_floats(dtype):
    matrix = random((2, 3, 3, 2), dtype, seed=3)
    dense = matrix.toarray()
    backward = 2 * eliminated(matrix.blocks).max()  # twice: the products below round, but less
    inverse = matrix.inv()
    assert inverse.dtype == dtype
    assert (abs(dense @ inverse.toarray() - np.eye(12)) <= backward * abs(inverse.toarray()).sum(axis=0)).all()
    blocks, spread = by_leibniz(matrix.blocks)
    exact, spread = blocks.prod(), float((spread / abs(blocks)).sum())
    double = matrix.astype(complex if np.dtype(dtype).kind == "c" else float)  # in which logarithms are taken
    sign, log = matrix.slogdet()
    for found, of in ((matrix.det(), matrix), (sign * np.exp(log), double)):
        # Besides: products of 12 pivots, or of their signs, and an exponential.
        slack = determinant_slack(of) + spread + float(gamma(8 * 13, of.dtype))
        assert abs(found / exact - 1) <= np.expm1(slack)
    right = np.arange(24.0).reshape(3, 4, 2).transpose(1, 0, 2).reshape(12, 2).astype(dtype)
    found = matrix.solve(right)
    assert (abs(dense @ found - right) <= backward * abs(found).sum(axis=0)).all()
    assert matrix.solve(right[:, :0]).shape == (12, 0)
    large = pg.KSMatrix(np.full((400, 1, 1, 1), 1e3))
    assert large.det() == inf
    assert large.slogdet() == (1.0, pytest.approx(400 * np.log(1e3), rel=float(gamma(410)), abs=0))  # a sum of 400


def test_what_needs_square_blocks_says_so():
    matrix = random((1, 2, 3, 1))
    for refused in (matrix.inv, matrix.det, matrix.slogdet, lambda: matrix.solve([1.0, 2.0])):
        with pytest.raises(pg.ParameterError, match="needed square blocks"):
            refused()
    with pytest.raises(pg.ParameterError, match=r"singular.*pinv"):
        pg.KSMatrix(np.ones((1, 2, 2, 1))).inv()
    with pytest.raises(pg.ParameterError, match=r"right: needed 2 entries along axis 0.*got shape \(3,\)"):
        random((1, 2, 2, 1)).solve([1.0, 2.0, 3.0])
    with pytest.raises(pg.UnsupportedOperatorError, match=r"pinv.*astype\(float\)"):
        pg.KSMatrix([[[[Fraction(1)]]]]).pinv()


def test_adjoints_of_complex_matrices():
    matrix = random((2, 3, 2, 2), np.complex128)
    dense = matrix.toarray()
    assert same(matrix.H.toarray(), dense.conj().T)
    assert same(matrix.T.toarray(), dense.T)
    assert same(matrix.conj().toarray(), dense.conj())
    x, y = random((1, 8, 1, 1), complex).values.ravel(), random((1, 12, 1, 1), complex, 1).values.ravel()
    error = abs(np.vdot(y, matrix @ x) - np.vdot(matrix.H @ y, x))
    slack = 2 * gamma(4 * 12 + 8) * Fraction(float(np.abs(y) @ np.abs(dense) @ np.abs(x)))
    assert error <= slack
    real = random((1, 2, 2, 1))
    assert real.conj() is real
    exact = pg.KSMatrix(np.array([[[[Fraction(1, 2)]], [[Fraction(2)]]]], dtype=object))
    assert exact == exact.H.H


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("axis", [0, -1, 1])
def test_gradients(dtype, axis):
    """The adjoint identities, and they are linear in what they differentiate: differences are exact up to rounding."""
    rng = np.random.default_rng(5)
    matrix = random((2, 3, 2, 2), dtype)
    shape = [3, 2, 4]
    shape[axis] = matrix.shape[1]
    x = rng.integers(-3, 4, shape).astype(dtype)
    shape[axis] = matrix.shape[0]
    gradient = rng.integers(-3, 4, shape).astype(dtype)
    if dtype == np.complex128:
        x, gradient = x * (1 + 2j), gradient * (2 - 1j)
    of_x, of_values = matrix.vjp(x, gradient, axis)
    assert of_x.shape == x.shape
    assert of_values.shape == matrix.values.shape
    value = np.vdot(gradient, matrix.apply(x, axis)).real
    sizes = pg.KSMatrix(np.abs(matrix.values)).apply(np.abs(x), axis)
    slack = float(gamma(4 * (x.size + gradient.size))) * np.vdot(np.abs(gradient), sizes)  # complex: 4 roundings each
    assert abs(np.vdot(of_x, x).real - value) <= slack
    assert abs(np.vdot(of_values, matrix.values).real - value) <= slack
    for place in [(0, 0, 0, 0), (1, 2, 1, 1), (1, 0, 1, 0)]:
        step = np.zeros(matrix.values.shape, dtype=dtype)
        step[place] = 1
        moved = np.vdot(gradient, pg.KSMatrix(step).apply(x, axis)).real
        assert of_values[place].real == moved  # sums of small integers
    empty = np.empty((matrix.shape[1], 0))
    of_x, of_values = matrix.vjp(empty, np.empty((matrix.shape[0], 0)))
    assert of_x.shape == empty.shape
    assert not of_values.any()


def test_gradients_are_exact_over_fractions():
    matrix = pg.KSMatrix(np.array([[[[Fraction(1, 3)], [Fraction(2)]]]], dtype=object))
    of_x, of_values = matrix.vjp([[1, 2], [3, 4]], [[5, 6]])
    assert same(of_x, [[Fraction(5, 3), 2], [10, 12]])
    assert of_values.ravel().tolist() == [1 * 5 + 2 * 6, 3 * 5 + 4 * 6]
    with pytest.raises(pg.ParameterError, match=r"gradient: needed shape \(1, 2\)"):
        matrix.vjp([[1, 2], [3, 4]], [[5, 6], [7, 8]])


# -- the protocols ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_as_a_linear_operator(dtype):
    matrix, dense = random((2, 3, 2, 2), dtype), random((2, 3, 2, 2), dtype).toarray()
    assert isinstance(matrix, LinearOperator)
    assert aslinearoperator(matrix) is matrix
    x, y = np.arange(8.0).astype(dtype), np.arange(12.0).astype(dtype)
    several = np.arange(16.0).reshape(8, 2).astype(dtype)
    back = np.arange(24.0).reshape(12, 2).astype(dtype)
    # Either side: at most two sums of 12 products and an addition, and a product of complex numbers rounds four times;
    # relative to the same sums of absolute values, as x and y are.
    share = 2 * float(gamma(4 * (2 * 12 + 1), np.zeros(1, dtype).real.dtype))
    for found, product in [
        (matrix.matvec(x), lambda d: d @ x),
        (matrix.matvec(x[:, None]), lambda d: d @ x[:, None]),
        (matrix.rmatvec(y), lambda d: d.conj().T @ y),
        (matrix.matmat(several), lambda d: d @ several),
        (matrix.rmatmat(back), lambda d: d.conj().T @ back),
        (matrix(x), lambda d: d @ x),
        (matrix.dot(x), lambda d: d @ x),
        (matrix * x, lambda d: d @ x),
        (y * matrix, lambda d: y @ d),
        (matrix @ list(x), lambda d: d @ x),
        (y @ matrix, lambda d: y @ d),
        (back.T @ matrix, lambda d: back.T @ d),
        ((matrix @ matrix.H).matvec(y), lambda d: d @ d.conj().T @ y),
        ((matrix + aslinearoperator(dense)).matvec(x), lambda d: 2 * d @ x),
        ((matrix @ aslinearoperator(dense.T)).matvec(y), lambda d: d @ d.T @ y),
        ((aslinearoperator(dense.T) @ matrix).matvec(x), lambda d: d.T @ d @ x),
    ]:
        wanted, size = product(dense), product(abs(dense)).real
        assert found.shape == wanted.shape
        assert found.dtype == wanted.dtype == dtype
        assert (abs(found - wanted) <= share * size).all()
    square = random((2, 3, 3, 2), dtype)
    found, dense = (square**2).matvec(y), square.toarray()
    assert found.dtype == dtype
    assert (abs(found - dense @ dense @ y) <= share * (abs(dense) @ abs(dense) @ y).real).all()


def test_products_with_arrays_of_many_axes():
    matrix = pg.KSMatrix(np.arange(-6, 6).reshape(1, 3, 2, 2))
    dense = matrix.toarray()
    rng = np.random.default_rng(0)
    x = rng.integers(-5, 5, (2, 3, 4, 5))
    assert same(matrix @ x, dense @ x)
    y = rng.integers(-5, 5, (2, 5, 3, 6))
    assert same(y @ matrix, y @ dense)
    for axis in range(-4, 4):
        moved = np.moveaxis(x, 2, axis)
        wanted = np.moveaxis(np.tensordot(dense, x, (1, 2)), 0, axis)
        assert same(matrix.apply(moved, axis), wanted)


def test_products_with_sparse_arrays():
    matrix = pg.KSMatrix(np.arange(1, 13).reshape(1, 3, 2, 2))
    dense = matrix.toarray()
    for kind in (sparse.csr_array, sparse.coo_array, sparse.csr_matrix):
        other = kind(np.arange(8).reshape(4, 2))
        assert sparse.issparse(matrix @ other)
        assert same((matrix @ other).toarray(), dense @ other.toarray())
        other = kind(np.arange(12).reshape(2, 6))
        assert sparse.issparse(other @ matrix)
        assert same((other @ matrix).toarray(), other.toarray() @ dense)
    for refused in (lambda: matrix @ sparse.eye_array(3), lambda: sparse.eye_array(3) @ matrix):
        with pytest.raises(ValueError, match="3"):
            refused()


def test_iterative_solvers():
    rng = np.random.default_rng(2)
    root = pg.KSMatrix(rng.standard_normal((3, 4, 4, 2)))
    positive = root.T @ root + pg.KSMatrix.project(np.eye(24), root.pattern)
    assert isinstance(positive, pg.KSMatrix)
    right = rng.standard_normal(24)
    for solver in (cg, gmres):  # that stop at this residual, which they update, with a round-off that is far below it
        found, failure = solver(positive, right, rtol=1e-10)
        assert failure == 0
        assert np.linalg.norm(positive.toarray() @ found - right) <= 2e-10 * np.linalg.norm(right)
    wide = pg.KSMatrix(rng.standard_normal((3, 4, 7, 2)))
    largest = svds(wide, k=2, return_singular_vectors=False, rng=0)
    # Two decompositions, one of which multiplies by rows of 7 and columns of 4 entries.
    slack = 2 * decomposed(wide.toarray()) + float(gamma(7 + 4)) * np.linalg.norm(wide.toarray())
    assert abs(largest.max() - wide.norm(2)) <= slack


@pytest.mark.parametrize(
    "make", [np.asarray, np.array, lambda K: np.dot(np.ones(2), K), lambda K: np.asarray(K, float)]
)
def test_nothing_becomes_dense_silently(make):
    with pytest.raises(TypeError, match=r"toarray"):
        make(random((1, 2, 2, 1)))
    with pytest.raises(TypeError):
        np.sum(random((1, 2, 2, 1))) + np.ones(2)
    with pytest.raises(TypeError):
        random((1, 2, 2, 1)) + np.ones((2, 2))


def test_scalars_on_either_side():
    matrix = random((1, 2, 2, 1))
    for number in (2, 2.5, np.float64(3), np.array(4.0), Fraction(1, 2)):
        assert same((number * matrix).toarray(), (matrix * number).toarray())
        assert same((matrix * number).values, matrix.values * float(number))
    assert (np.float32(2) * random((1, 2, 2, 1), np.float32)).dtype == np.float32
    assert (2.0 * random((1, 2, 2, 1), np.float32)).dtype == np.float32
    for refused in (lambda: matrix @ 2, lambda: 2 @ matrix):
        with pytest.raises(pg.ParameterError, match=r"use \*"):
            refused()
    exact = pg.KSMatrix(np.array([[[[1, Fraction(2, 3)]]]], dtype=object))
    assert (exact / 2).values.ravel().tolist() == [Fraction(1, 2), Fraction(1, 3)]
    assert (exact / np.int64(2)) == exact / 2
    assert (pg.KSMatrix([[[[1, 2]]]]) * Fraction(1, 2)).values.ravel().tolist() == [Fraction(1, 2), 1]
    with pytest.raises(ZeroDivisionError):
        exact / 0
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")
    symbolic = pg.KSMatrix(np.array([[[[x, 1]]]], dtype=object))
    assert same((symbolic @ [x, 2]), [x**2, 2])


def test_matrices_are_values():
    values = np.arange(4.0).reshape(1, 2, 2, 1)
    matrix = pg.KSMatrix(values)
    values[:] = 7
    assert matrix.values.ravel().tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        matrix.values[:] = 0
    kept = pg.KSMatrix(values, copy=False)
    assert np.shares_memory(kept.values, values)
    assert values.flags.writeable
    assert matrix == pickle.loads(pickle.dumps(matrix)) == copy.deepcopy(matrix)
    assert not pickle.loads(pickle.dumps(matrix)).values.flags.writeable
    assert matrix == matrix.astype(np.float32)
    assert matrix != pg.KSMatrix(values)
    assert matrix != matrix.toarray().tolist()
    assert matrix != pg.KSMatrix(matrix.values.reshape(1, 1, 2, 2))
    with pytest.raises(TypeError, match="hash"):
        hash(matrix)
    assert repr(matrix) == "KSMatrix(2 x 2, pattern (1, 2, 2, 1), float64)"
    assert pg.KSMatrix(values.astype(">f8")).values.dtype.isnative
    exact = pg.KSMatrix(np.array([[[[Fraction(1, 3)]]]], dtype=object))
    assert pickle.loads(pickle.dumps(exact)) == exact


def test_bad_values_are_refused():
    for values, message in [
        (np.ones((2, 2)), r"needed shape \(a, b, c, d\), got \(2, 2\)"),
        (np.ones((1, 0, 1, 1)), "b: needed an integer >= 1, got 0"),
        ([[[["a"]]]], "needed an array of numbers"),
        ([[[[1], [1, 2]]]], "rows of different lengths"),
        (np.ma.masked_array(np.ones((1, 1, 1, 1)), True), "mask"),
        (np.zeros((1, 1, 1, 1), "datetime64[s]"), "needed an array of numbers"),
    ]:
        with pytest.raises(pg.ParameterError, match=message):
            pg.KSMatrix(values)


def test_bad_arguments_are_refused():
    matrix = random((1, 2, 2, 2))
    for refused, message in [
        (lambda: pg.KSMatrix.from_dense(np.ones((3, 4)), matrix.pattern), r"needed shape \(4, 4\).*got \(3, 4\)"),
        (lambda: pg.KSMatrix.from_dense(np.ones((4, 4)), (1, 2, 2)), "needed a KSPattern"),
        (lambda: pg.KSMatrix.from_diagonal([[1]]), "needed a vector"),
        (lambda: pg.KSMatrix.from_diagonal([1], along="x"), "along: needed 'a' or 'd'"),
        (lambda: pg.KSMatrix.block_diagonal([]), "at least one"),
        (lambda: pg.KSMatrix.block_diagonal([matrix, 3]), r"matrices\[1\]: needed a KSMatrix"),
        (lambda: pg.KSMatrix.block_diagonal([pg.hadamard(2)]), r"matrices\[0\]: needed a KSMatrix, got KSChain"),
        (
            lambda: pg.KSMatrix.block_diagonal([matrix, matrix.kron_eye(right=2)]),
            r"matrices\[1\]: needed the b, c and d",
        ),
        (lambda: matrix.scale(rows=[1, 2]), r"rows: needed shape \(4,\)"),
        (lambda: matrix.scale(columns=[1, 2]), r"columns: needed shape \(4,\)"),
        (lambda: matrix.multiply(random((1, 4, 4, 1))), "needed the pattern"),
        (lambda: matrix.multiply(2), "needed a KSMatrix, got int"),
        (lambda: matrix.product(2), "needed a KSMatrix, got int"),
        (lambda: matrix + random((1, 2, 2, 1)), r"shapes \(4, 4\) and \(2, 2\)"),
        (lambda: matrix.kron_eye(left=0), "left: needed an integer >= 1"),
        (lambda: matrix.tosparse("dense"), "format"),
        (lambda: matrix.toarray(max_bytes=127), "128 bytes, more than max_bytes=127"),
        (lambda: matrix.tosparse(max_bytes=10), "more than max_bytes=10"),
        (lambda: matrix.explain(-1), "batch"),
        (lambda: matrix.explain(1, axis=2), "axis"),
    ]:
        with pytest.raises(pg.ParameterError, match=message):
            refused()
    assert same(matrix.toarray(max_bytes=128), placed(matrix.values))
    with pytest.raises(pg.UnsupportedOperatorError, match="objects"):
        pg.KSMatrix([[[[Fraction(1)]]]]).tosparse()


def test_sizes_beyond_two_to_the_31():
    """Values of stride 0: 2**33 rows in the memory of one number."""
    huge = pg.KSMatrix(np.broadcast_to(np.float32(2), (2**20, 2, 3, 2**12)), copy=False)
    assert huge.shape == (2**33, 3 * 2**32)
    assert huge.nnz == 3 * 2**33
    for refused in (huge.toarray, huge.tosparse):
        with pytest.raises(pg.ParameterError, match="more than max_bytes"):
            refused()
    assert huge.T.pattern == huge.pattern.T
    with pytest.raises(pg.ParameterError, match=f"needed {3 * 2**32} entries"):
        huge @ np.ones(3)
    tall = pg.KSMatrix(np.broadcast_to(np.int8(1), (1, 2**32, 1, 1)), copy=False)
    assert tall.shape == (2**32, 1)
    assert tall.apply(np.empty((1, 0)), 0).shape == (2**32, 0)


def test_blocks_cannot_be_written_to_and_outputs_must_not_overlap_themselves():
    matrix = pg.KSMatrix(np.ones((1, 2, 2, 2)))
    with pytest.raises(ValueError, match="read-only"):
        matrix.blocks[...] = 7
    out = np.lib.stride_tricks.as_strided(np.zeros(8), (4, 2), (8, 8))
    with pytest.raises(pg.ParameterError, match="strides that may overlap"):
        matrix.apply(np.ones((4, 2)), out=out)
    turned = np.zeros((2, 4, 3)).transpose(1, 2, 0)[:, ::-1]
    assert (matrix.apply(np.ones((4, 3, 2)), out=turned) == 2).all()
