"""Chains against products of dense matrices, the transforms against their definitions, other libraries' layouts."""

import pickle
from fractions import Fraction
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator, svds

import pathgraph as pg
from pathgraph.kronecker import execution, peers
from pathgraph.testing import ks_chains, ks_matrices, ks_patterns
from tests.kronecker import chained, decomposed, determinant_slack, placed, same, times
from tests.oracles import logarithm
from tests.tolerances import gamma

CHAINS = [
    lambda: pg.hadamard(16),
    lambda: pg.dft(8),
    lambda: pg.KSChain([pg.KSMatrix(np.random.default_rng(i).standard_normal(p)) for i, p in enumerate(MONARCH)]),
    lambda: pg.blast(*(np.random.default_rng(1).standard_normal(s) for s in [(2, 3, 2), (2, 4, 2), (4, 5, 2)])),
]
MONARCH = [pattern.values_shape for pattern in pg.monarch((12, 20), 4, 5, rank=2)]


# -- chains, over Fractions ---------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.booleans().flatmap(lambda chainable: ks_chains(chainable=chainable)))
def test_chains_are_products(chain):
    dense = chained([placed(factor.values) for factor in chain.factors])
    assert chain.shape == dense.shape
    assert same(chain.toarray(), dense)
    assert same(chain.T.toarray(), dense.T)
    assert same(chain.H.toarray(), dense.T)
    assert chain == chain.T.T
    rows, columns = chain.shape
    x = np.arange(2 * columns).reshape(columns, 2) - 3
    assert same(chain @ x, times(dense, x))
    assert same(chain.apply(x.T, axis=-1), times(dense, x).T)
    assert same(chain @ x[:, 0], times(dense, x)[:, 0])
    y = np.arange(rows) - 1
    assert same(y @ chain, times(y[None], dense)[0])
    assert same((Fraction(1, 2) * chain).toarray(), dense / 2)
    assert same((chain / 2).toarray(), dense / 2)
    assert same((-chain).toarray(), -dense)
    assert (chain @ chain.T).factors == (*chain.factors, *chain.T.factors)
    assert pickle.loads(pickle.dumps(chain)) == chain


@settings(max_examples=60)
@given(
    st.booleans().flatmap(lambda chainable: ks_chains(max_factors=4, max_size=2, chainable=chainable)),
    st.sampled_from([0, 1, 100]),
)
def test_shorter_chains_have_the_same_product(chain, balance):
    dense = chain.toarray()
    merged, reduced = chain.merge(balance), chain.reduce()
    assert same(merged.toarray(), dense)
    assert same(reduced.toarray(), dense)
    assert cost(merged, balance) <= cost(chain, balance)
    if balance == 0:
        assert merged.nnz <= chain.nnz
    for left, right in pairwise(reduced.patterns):
        assert not left.is_chainable(right) or not left.is_redundant(right)
    if chain.is_chainable:
        assert merged.pattern == reduced.pattern == chain.pattern
        mirrored = chain.T.merge(balance)
        assert same(mirrored.toarray(), dense.T)
        assert len(mirrored.factors) == len(merged.factors)


def cost(chain, balance):
    return sum(p.nnz + balance * sum(p.shape) for p in chain.patterns)


@settings(max_examples=50)
@given(ks_chains(min_factors=1, max_factors=5, max_size=2), st.sampled_from([0, 1, 4]))
def test_merging_finds_the_cheapest_partition(chain, balance):
    """Against all 2**(L - 1) partitions."""
    costs = []
    gaps = len(chain.factors) - 1
    for cuts in range(2**gaps):
        runs, run = [], chain.patterns[0]
        for i, pattern in enumerate(chain.patterns[1:]):
            if cuts >> i & 1:
                runs.append(run)
                run = pattern
            else:
                run = run * pattern
        runs.append(run)
        costs.append(sum(p.nnz + balance * sum(p.shape) for p in runs))
    assert cost(chain.merge(balance), balance) == min(costs)


def test_redundant_pairs_are_removed_to_the_end():
    """Merging the last pair makes the first one redundant."""
    factors = [np.ones(p) for p in [(1, 3, 2, 1), (1, 2, 3, 1), (1, 3, 1, 1)]]
    chain = pg.KSChain([pg.KSMatrix(values) for values in factors])
    assert not chain.patterns[0].is_redundant(chain.patterns[1])
    assert chain.patterns[1].is_redundant(chain.patterns[2])
    reduced = chain.reduce()
    assert [tuple(p) for p in reduced.patterns] == [(1, 3, 1, 1)]
    assert same(reduced.toarray(), chain.toarray())


@settings(max_examples=40)
@given(st.lists(ks_matrices(ks_patterns(max_size=2, square=True)), min_size=1, max_size=3))
def test_inverses_of_chains(matrices):
    square = [m for m in matrices if m.pattern.shape == matrices[0].pattern.shape and m.det() != 0]
    if not square:
        return
    chain = pg.KSChain(square)
    n = chain.shape[0]
    identity = np.array([[int(i == j) for j in range(n)] for i in range(n)], dtype=object)
    assert same(times(chain.inv().toarray(), chain.toarray()), identity)
    right = np.arange(2 * n).reshape(n, 2)
    assert same(chain @ chain.solve(right), right)
    assert same(chain.solve(right.T, axis=-1), chain.solve(right).T)
    sign, log = chain.slogdet()
    determinant = reduce(lambda product, factor: product * factor.det(), chain.factors, Fraction(1))
    assert sign == (1 if determinant > 0 else -1)
    exact = Fraction(logarithm(abs(determinant)))
    parts = [abs(factor.slogdet()[1]) for factor in chain.factors]
    slack = sum(map(determinant_slack, chain.factors)) + float(gamma(len(parts))) * sum(parts)
    assert abs(Fraction(log) - exact) <= Fraction(slack)


def test_gradients_of_chains():
    """The loss is linear in every factor: its value is the inner product of each gradient with what it is of."""
    chain = pg.KSChain([pg.KSMatrix(np.random.default_rng(i).integers(-3, 4, p)) for i, p in enumerate(MONARCH)])
    rng = np.random.default_rng(7)
    for axis in (0, -1):
        x = rng.integers(-3, 4, (20, 6) if axis == 0 else (6, 20))
        gradient = rng.integers(-3, 4, (12, 6) if axis == 0 else (6, 12))
        value = (gradient * chain.apply(x, axis)).sum()
        of_x, of_values = chain.vjp(x, gradient, axis)
        assert (of_x * x).sum() == value
        assert len(of_values) == 2
        for found, factor in zip(of_values, chain.factors, strict=True):
            assert found.shape == factor.values.shape
            assert (found * factor.values).sum() == value


# -- the protocols, in floats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", CHAINS)
def test_chains_as_linear_operators(make):
    chain = make()
    assert isinstance(chain, LinearOperator)
    dense = chain.toarray()
    reference = reduce(lambda product, factor: product @ factor.toarray(), chain.factors, np.eye(chain.shape[0]))
    # A product over a chain rounds once per term of each factor, and thrice per complex product; so do dense ones.
    terms = sum(2 * (max(factor.pattern.b, factor.pattern.c) + 2) for factor in chain.factors)
    size = reduce(lambda product, factor: product @ abs(factor.toarray()), chain.factors, np.eye(chain.shape[0]))
    slack = 2 * float(gamma(terms)) * size
    assert (abs(dense - reference) <= slack).all()
    assert (abs(chain.tosparse().toarray() - dense) <= slack).all()
    assert chain.tosparse("csc").format == "csc"
    assert (abs(chain.H.toarray() - dense.conj().T) <= slack.T).all()
    assert (abs(chain.conj().toarray() - dense.conj()) <= slack).all()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((chain.shape[1], 3)), rng.standard_normal((chain.shape[0], 3))
    share = 2 * float(gamma(terms + 2 * (max(chain.shape) + 4)))
    right, left = share * size @ abs(x), share * size.T @ abs(y)
    assert (abs(chain.matvec(x[:, 0]) - dense @ x[:, 0]) <= right[:, 0]).all()
    assert (abs(chain.matmat(x) - dense @ x) <= right).all()
    assert (abs(chain.rmatvec(y[:, 0]) - dense.conj().T @ y[:, 0]) <= left[:, 0]).all()
    assert (abs(chain.rmatmat(y) - dense.conj().T @ y) <= left).all()
    assert (abs(y.T @ chain - y.T @ dense) <= left.T).all()
    assert (abs((chain + aslinearoperator(dense)) @ x - 2 * dense @ x) <= 2 * right).all()
    assert (abs((chain + chain) @ x - 2 * dense @ x) <= 2 * right).all()
    assert (abs((chain @ sparse.csr_array(x)).toarray() - dense @ x) <= right).all()
    assert (abs((sparse.csr_array(y.T) @ chain).toarray() - y.T @ dense) <= left.T).all()
    largest = svds(chain, k=1, return_singular_vectors=False, rng=0)[0]
    # Two decompositions, one of which multiplies by the chain, and back: its square is off by twice the slack of one.
    assert abs(largest - np.linalg.norm(dense, 2)) <= 2 * decomposed(dense) + share * np.linalg.norm(size)
    with pytest.raises(TypeError, match="toarray"):
        np.asarray(chain)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_batches_run_tile_by_tile(axis, dtype, monkeypatch):
    chain = pg.hadamard(32, dtype=dtype)
    x = np.random.default_rng(0).integers(-8, 8, (32, 333)).astype(dtype)  # sums are exact
    wanted = chain.toarray() @ x
    for size in (2**10, 2**16, 2**20):
        monkeypatch.setattr(execution, "TILE_BYTES", size)
        for method in ("auto", "reference", "matmul"):
            found = chain.apply(x if axis == 0 else np.ascontiguousarray(x.T), axis, method=method)
            assert found.dtype == dtype
            assert same(found if axis == 0 else found.T, wanted)
            out = np.empty(found.shape, dtype)
            assert chain.apply(x if axis == 0 else x.T, axis, method=method, out=out) is out
            assert same(out, found)
    plan = chain.explain(333, axis=axis)
    assert plan.tiles * plan.tile >= 333 > (plan.tiles - 1) * plan.tile


def test_chains_of_mixed_types():
    integers, floats = pg.hadamard(4, dtype=np.int8), pg.hadamard(4, dtype=np.float32)
    assert (integers @ floats).dtype == np.float32
    assert ((integers @ floats) @ np.ones(4, np.float16)).dtype == np.float32
    assert (integers @ np.ones(4)).dtype == np.float64
    assert same((integers @ floats) @ np.ones(4), 4 * np.ones(4))
    exact = pg.hadamard(4, dtype=object)
    halves = [Fraction(n, 2) for n in (3, -1, -1, 3)]
    assert (exact @ [Fraction(1, 2), 0, 0, 1]).tolist() == halves
    assert exact.astype(float) == pg.hadamard(4)
    assert (integers @ np.ones((4, 0))).shape == (4, 0)


def test_bad_chains_are_refused():
    matrix, other = pg.KSMatrix(np.ones((1, 2, 3, 1))), pg.KSMatrix(np.ones((1, 2, 2, 2)))
    for refused, message in [
        (lambda: pg.KSChain([]), "at least one"),
        (lambda: pg.KSChain([matrix, 2]), r"factors\[1\]: needed a KSMatrix, got int"),
        (lambda: pg.KSChain(matrix), "needed a sequence of KSMatrix"),
        (lambda: pg.KSChain([matrix, other]), r"the 3 columns of factor 0.*are not the 4 rows of factor 1"),
        (lambda: pg.KSChain([matrix]) @ other, r"shapes \(2, 3\) and \(4, 4\)"),
        (lambda: pg.KSChain([matrix]) + pg.KSChain([other]), r"shapes \(2, 3\) and \(4, 4\)"),
        (lambda: pg.KSChain([matrix]).merge(-1), "balance"),
        (lambda: pg.KSChain([matrix]).inv(), "square blocks"),
        (lambda: pg.KSChain([other]).toarray(max_bytes=100), "128 bytes"),
        (lambda: pg.KSChain([other.T, pg.KSMatrix(np.ones((4, 1, 1, 1)))]).pattern, "not chainable"),
        (lambda: pg.KSChain([matrix]).apply(np.ones(2)), "needed 3 entries"),
    ]:
        with pytest.raises(pg.ParameterError, match=message):
            refused()
    with pytest.raises(pg.BackendError, match="abacus"):
        pg.KSChain([matrix]).apply(np.ones((3, 0)), method="abacus")
    assert repr(pg.KSChain([matrix])) == "KSChain(2 x 3, 1 factor, 6 values, float64)"
    assert pg.KSChain([matrix]) != matrix


# -- families -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 4, 8, 16, 64])
def test_square_dyadic_chains(n):
    patterns = pg.square_dyadic(n)
    assert sum(p.nnz for p in patterns) == 2 * n * len(patterns)
    assert 2 ** len(patterns) == n
    for left, right in pairwise(patterns):
        assert left.rank(right) == 1
        assert not left.is_redundant(right)
    assert reduce(lambda p, q: p * q, patterns) == pg.KSPattern(1, n, n, 1)


@pytest.mark.parametrize("n", [2, 4, 8, 64, 256])
def test_hadamard_matrices(n):
    signs = [[1 - 2 * ((i & j).bit_count() % 2) for j in range(n)] for i in range(n)]
    for dtype in (np.int8, np.float32, object):
        found = pg.hadamard(n, dtype=dtype)
        assert found.dtype == dtype
        assert same(found.toarray(), signs)
        assert found.patterns == pg.square_dyadic(n)
    x = np.random.default_rng(n).integers(-9, 9, (n, 2))
    chain = pg.hadamard(n, dtype=int)
    assert same(chain @ (chain @ x), n * x)


@pytest.mark.parametrize("n", [2, 4, 8, 64, 1024])
def test_fourier_transforms(n):
    order = pg.bit_reversal(n)
    assert order.tolist() == [int(f"{i:0{n.bit_length() - 1}b}"[::-1], 2) for i in range(n)]
    chain = pg.dft(n)
    assert chain.patterns == pg.square_dyadic(n)
    x = np.random.default_rng(0).standard_normal((n, 3)) + 1j
    wanted = np.fft.fft(x, axis=0)
    # log2(n) levels of a product and a sum, on vectors whose entries have abs(x) sums as bound
    slack = float(gamma(8 * len(chain.factors) + 8)) * np.abs(x).sum(axis=0).max()
    assert np.abs(chain @ x[order] - wanted).max() <= 2 * slack
    assert pg.dft(n, dtype=np.complex64).dtype == np.complex64


def test_small_fourier_transforms_are_exact():
    for n in (2, 4):
        found = pg.dft(n).toarray()[:, pg.bit_reversal(n)]
        powers = np.array([1, -1j, -1, 1j])
        assert same(found, [[powers[j * k * 4 // n % 4] for k in range(n)] for j in range(n)])
    eighth = pg.dft(8).factors[0].values[0, 0, 1]
    assert eighth.tolist() == [1, complex(np.sqrt(0.5), -np.sqrt(0.5)), -1j, complex(-np.sqrt(0.5), -np.sqrt(0.5))]


@pytest.mark.parametrize(
    ("shape", "p", "q", "rank"),
    [((4, 4), 2, 2, 1), ((12, 20), 4, 5, 2), ((6, 4), 6, 1, 1), ((1536, 384), 768, 6, 32)],
)
def test_monarch_patterns(shape, p, q, rank):
    left, right = pg.monarch(shape, p, q, rank=rank)
    assert left.rank(right) == rank
    assert left * right == pg.KSPattern(1, shape[0], shape[1], 1)
    if shape[0] < 100:
        rng = np.random.default_rng(0)
        chain = pg.KSChain([pg.KSMatrix(rng.standard_normal(part.values_shape)) for part in (left, right)])
        tiles = chain.toarray().reshape(p, shape[0] // p, q, shape[1] // q).transpose(1, 2, 0, 3)
        ranks = np.linalg.matrix_rank(tiles)
        assert (ranks == min(rank, p, shape[1] // q)).all()


def test_blast_matrices():
    rng = np.random.default_rng(0)
    u, s, v = (rng.integers(-3, 4, shape) for shape in [(2, 3, 4), (2, 5, 4), (5, 2, 4)])
    found = pg.blast(u, s, v)
    assert [tuple(p) for p in found.patterns] == [(2, 3, 4, 1), (1, 2, 5, 4), (5, 4, 2, 1)]
    wanted = np.block([[u[i] @ np.diag(s[i, j]) @ v[j].T for j in range(5)] for i in range(2)])
    assert same(found.toarray(), wanted)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pg.square_dyadic(3), "n: needed a power of two, got 3"),
        (lambda: pg.square_dyadic(1), "n: needed an integer >= 2"),
        (lambda: pg.hadamard(0), "n: needed an integer >= 2"),
        (lambda: pg.dft(6), "power of two"),
        (lambda: pg.dft(4, dtype=float), "needed a complex type"),
        (lambda: pg.bit_reversal(12), "power of two"),
        (lambda: pg.monarch((4, 6), 3, 2), "p: needed a divisor of 4, got 3"),
        (lambda: pg.monarch((4, 6), 2, 4), "q: needed a divisor of 6, got 4"),
        (lambda: pg.monarch(4, 2, 4), "shape: needed two integers"),
        (lambda: pg.monarch((4, 4, 4), 2, 2), "shape: needed two integers"),
        (lambda: pg.monarch((0, 4), 2, 2), "shape: needed an integer >= 1"),
        (lambda: pg.monarch((4, 4), 2, 2, rank=0), "rank"),
        (lambda: pg.blast(np.ones((2, 3, 4)), np.ones((2, 5, 3)), np.ones((5, 2, 4))), r"\(2, 3, 4\), \(2, 5, 3\)"),
    ],
)
def test_bad_sizes_are_refused(make, message):
    with pytest.raises(pg.ParameterError, match=message):
        make()


# -- other libraries ----------------------------------------------------------------------------------------------


@given(ks_matrices(ks_patterns(max_size=3)))
def test_layouts_of_other_libraries(matrix):
    a, b, c, d = matrix.pattern
    for layout in peers.LAYOUTS:
        assert peers.from_layout(peers.to_layout(matrix, layout), matrix.pattern, layout) == matrix
    bmm, kernel = peers.to_layout(matrix, "bmm"), peers.to_layout(matrix, "kernel")
    for i, j, k, l in np.ndindex(a, b, c, d):  # noqa: E741
        assert bmm[i * d + l, j, k] == kernel[(i * d + l) * c + k, j] == matrix.values[i, j, k, l]
    x = np.arange(matrix.shape[1])
    permuted = x.reshape(a, c, d).transpose(0, 2, 1).reshape(a * d, c, 1)
    product = np.array([times(bmm[block], permuted[block]) for block in range(a * d)])  # permute, multiply, permute
    assert same(product.reshape(a, d, b).transpose(0, 2, 1).ravel(), matrix @ x)


def test_orders_of_other_libraries():
    arrays = [np.random.default_rng(i).integers(-3, 4, p) for i, p in enumerate(MONARCH)]
    chain = pg.KSChain([pg.KSMatrix(array) for array in arrays])
    assert peers.from_lazylinop(arrays) == chain
    assert peers.from_ksmm(arrays[::-1]) == chain
    for layout in peers.LAYOUTS:
        stored = [peers.to_layout(factor, layout) for factor in chain.factors[::-1]]
        assert peers.from_ksmm(stored, [tuple(p) for p in MONARCH[::-1]], layout) == chain

    class Operator:
        ks_values = arrays

    assert peers.from_lazylinop(Operator()) == chain
    Operator.ks_values = arrays[0]
    assert peers.from_lazylinop(Operator()) == pg.KSChain(chain.factors[:1])


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("n_blocks", [1, 2, 3])
def test_butterfly_twiddles(increasing, n_blocks):
    """Pairs at distance 2**level are replaced by their products with 2 x 2 matrices, level by level."""
    levels, n = 3, 8
    twiddle = np.random.default_rng(n_blocks).integers(-3, 4, (1, n_blocks, levels, n // 2, 2, 2))
    x = np.random.default_rng(9).integers(-3, 4, n)
    wanted, upward = x.copy(), increasing
    for block in range(n_blocks):
        for place in range(levels):
            stride = 2 ** (place if upward else levels - 1 - place)
            low = [i for i in range(n) if not i & stride]
            for pair, i in enumerate(low):
                wanted[[i, i + stride]] = twiddle[0, block, place, pair] @ wanted[[i, i + stride]]
        upward = not upward
    assert same(peers.from_butterfly(twiddle, increasing_stride=increasing) @ x, wanted)


def test_blockdiagonal_butterflies():
    rng = np.random.default_rng(0)
    first, second = rng.integers(-3, 4, (2, 3, 4)), rng.integers(-3, 4, (3, 5, 2))
    x = rng.integers(-3, 4, 8)
    inner = np.concatenate([first[k] @ x[4 * k : 4 * k + 4] for k in range(2)])
    shuffled = inner.reshape(2, 3).T
    wanted = np.array([second[l] @ shuffled[l] for l in range(3)]).T.ravel()  # noqa: E741
    assert same(peers.from_blockdiag_butterfly(first, second) @ x, wanted)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: peers.from_layout(np.ones((1, 1)), pg.KSPattern(1, 1, 1, 1), "bmm"), r"needed shape \(1, 1, 1\)"),
        (lambda: peers.from_layout(np.ones((1, 1, 1, 1)), (1, 1, 1, 1)), "needed a KSPattern"),
        (lambda: peers.to_layout(pg.KSMatrix([[[[1]]]]), "abc"), "layout: needed one of"),
        (lambda: peers.from_ksmm([np.ones((1, 1, 1))], layout="bmm"), "patterns: needed with the layout 'bmm'"),
        (lambda: peers.from_ksmm([np.ones((1, 1, 1))], [], "bmm"), "needed 1, one per weight, got 0"),
        (lambda: peers.from_butterfly(np.ones((2, 1, 2, 2, 2, 2))), "one stack"),
        (lambda: peers.from_butterfly(np.ones((1, 1, 3, 2, 2, 2))), "needed shape"),
        (lambda: peers.from_butterfly(np.ones(4)), "needed shape"),
        (lambda: peers.from_blockdiag_butterfly(np.ones((2, 3, 4)), np.ones((3, 5))), "second: needed three axes"),
        (lambda: peers.from_blockdiag_butterfly(np.ones((2, 3, 4)), np.ones((3, 5, 3))), "columns of factor 0"),
    ],
)
def test_bad_layouts_are_refused(make, message):
    with pytest.raises(pg.ParameterError, match=message):
        make()
