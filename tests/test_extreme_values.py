"""Beyond the range of floats: depth 400, weights from 5e-324 to 1e300. Nothing overflows or vanishes silently."""

import math
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from tests.oracles import logarithm
from tests.tolerances import assert_close, bits, gamma, norm_roundings, power_roundings, unit

WEIGHTS = [1e100, 1e300, 1e-300, 2.0**-1060, 5e-324]


def deep(weight, depth=400, width=2):
    """All weights equal: the sum of the path products is width**(depth + 1) * weight**depth."""
    return pg.from_weights([np.full((width, width), weight)] * depth)


def mass(weight, depth=400, width=2):
    return Fraction(weight) ** depth * width ** (depth + 1)


def assert_logarithm(found, exact, roundings):
    """The relative error of the number, and 4 roundings of the logarithm itself."""
    exact = logarithm(exact)
    slack = float(gamma(roundings) + 4 * unit() * (1 + abs(Fraction(exact))))
    assert abs(exact - type(exact)(found)) <= type(exact)(slack)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_deep_networks(weight):
    net = deep(weight)
    assert_logarithm(pg.log_path_norm(net), mass(weight), 3 * 400)
    mantissa, exponent = pg.path_sum(net, pg.semirings.SCALED)
    assert_close_scaled(mantissa, exponent, mass(weight), 3 * 400)
    log = pg.path_sum(net, pg.semirings.LOG)  # every sum is rounded to 1 ulp of at most 2**19
    assert abs(log - pg.log_path_norm(net)) <= 1200 * 2.0**19 * 2.0**-52
    assert pg.count_paths(net) == 2**401
    assert pg.depth(net) == 400
    if weight < 1:
        assert pg.path_norm(net) == 0.0
    else:
        with pytest.raises(pg.PathNormOverflowError, match="log_path_norm"):
            pg.path_norm(net)
    paths = pg.sample_paths(net, 3, rng=0)
    assert all(len(path) == 401 for path in paths)


def assert_close_scaled(mantissa, exponent, exact, roundings):
    found = Fraction(mantissa) * Fraction(2) ** exponent
    assert abs(found - exact) <= gamma(roundings) * exact


@pytest.mark.parametrize("q", [0.5, 1, 2, 3, math.inf])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_norms_of_any_order(weight, q):
    net = deep(weight, depth=100)
    paths, log = 2**101, math.log(weight)
    exact = 100 * log + (0 if q == math.inf else math.log(paths) / q)
    # 100 logarithms of one number: its error a hundredfold; 4 roundings for each of the 300 operations of the sweep
    slack = float(unit()) * (4 * abs(exact) + 200 * abs(log) + 1200 * (1 + (0 if q == math.inf else 1 / q)))
    assert abs(pg.log_path_norm(net, q) - exact) <= slack
    assert pg.path_norm(net, 0) == paths


def chain_roundings(weights, q):
    """Of the q-norm of a network with one path: the powers, a product and a sum at each, and the root."""
    if q == math.inf:
        return len(weights)
    entries = len(weights) * (power_roundings(bits(weights), q) + 2)
    return math.ceil(entries / q) + power_roundings(q * bits([math.prod(map(Fraction, weights))]), 1 / q)


@pytest.mark.parametrize("pair", [(1e300, 1e-300), (1e-300, 1e300), (5e-324, 2.0**1023), (2.0**1023, 5e-324)])
def test_a_norm_within_the_range_is_right_whatever_lies_between(pair):
    """The weights come in blocks, so that partial products leave the range, and the whole product does not."""
    weights = [pair[0]] * 10 + [pair[1]] * 10
    net = pg.from_weights([[[w]] for w in weights])
    for q in (1, 2, 3, math.inf):
        slack = gamma(chain_roundings(weights, q))
        assert_close(pg.path_norm(net, q), math.prod(map(Fraction, weights)), slack)
    assert pg.path_norm(net.to_exact()) == math.prod(map(Fraction, weights))


def test_exact_networks_have_no_range():
    huge = Fraction(10) ** 400
    net = pg.from_weights([[[huge, 1]], [[Fraction(1, 3)]]])
    exact = (huge + 1) / 3
    assert pg.path_norm(net) == pg.path_sum(net) == exact
    assert pg.heaviest_path(net)[1] == huge / 3
    assert_logarithm(pg.log_path_norm(net), exact, 2)
    assert_logarithm(2 * pg.log_path_norm(net, 2), (huge**2 + 1) / 9, 8)
    assert_close_scaled(*pg.path_sum(net, pg.semirings.SCALED), exact, 8)
    assert_logarithm(pg.path_sum(net, pg.semirings.LOG), exact, 8)
    for root in (lambda: pg.path_norm(net, 2), lambda: pg.path_norm(net, 0.5)):
        with pytest.raises(pg.PathNormOverflowError, match="log_path_norm"):
            root()
    with pytest.raises(pg.ParameterError, match="range"):
        net.to_float()
    small = pg.from_weights([[[1 / huge]], [[1 / huge]]])
    assert pg.path_norm(small, 2) == 0.0
    assert_logarithm(2 * pg.log_path_norm(small, 2), huge**-4, 8)


BIG = pg.from_weights([[[1e200, 1.0]], [[1e200]]])
OVERFLOWS = {
    "net": lambda backend: BIG([1.0, 1.0]),
    "path_lifting": lambda backend: pg.path_lifting(BIG).values,
    "path_norm": lambda backend: pg.path_norm(BIG, backend=backend),
    "path_norm, float32": lambda backend: pg.path_norm(pg.from_weights([[[3.40282357e38]]]), dtype=np.float32),
    "path_norm of two outputs": lambda backend: pg.path_norm(pg.from_weights([[[1e308], [1e308]]])),
    "path_sum": lambda backend: pg.path_sum(BIG, backend=backend),
    "path_sum per output": lambda backend: pg.path_sum(BIG, per_output=True, backend=backend),
    "path_sum of two outputs": lambda backend: pg.path_sum(pg.from_weights([[[1e308], [1e308]]]), backend=backend),
    "max_times": lambda backend: pg.path_sum(BIG, pg.semirings.MAX_TIMES, backend=backend),
    "path_marginals": lambda backend: pg.path_marginals(BIG, backend=backend),
    "node_marginals": lambda backend: pg.node_marginals(BIG, backend=backend),
    "heaviest_path": lambda backend: pg.heaviest_path(BIG),
    "sign_flip_masses": lambda backend: pg.sign_flip_masses(BIG, BIG),
    "input_lipschitz": lambda backend: pg.input_lipschitz(BIG),
    "input_lipschitz of two outputs": lambda backend: pg.input_lipschitz(pg.from_weights([[[1e308], [1e308]]])),
    "input_lipschitz, box": lambda backend: pg.input_lipschitz(
        pg.from_weights([[[1e308]]]), inputs=[100.0], method="path-norm"
    ),
    "input_lipschitz, l1": lambda backend: pg.input_lipschitz(BIG, method="input-paths", input_norm=1),
    "operator_norm_product": lambda backend: pg.operator_norm_product(BIG),
    "normalize": lambda backend: pg.normalize(pg.from_weights([[[1e200]], [[1e200]], [[1e200]]])),
    "rescale": lambda backend: pg.rescale(BIG, {(1, 0): 2.0**600}),
    "rescale, float32": lambda backend: pg.rescale(BIG.with_theta(np.ones(3, np.float32)), {(1, 0): 2.0**200}),
    "rescale to zero": lambda backend: pg.rescale(BIG.with_theta([1e-200] * 3), {(1, 0): 2.0**-600}),
    "rescale to zero, float32": lambda backend: pg.rescale(
        BIG.with_theta(np.full(3, 1e-30, np.float32)), {(1, 0): 2.0**-80}
    ),
    "to_float": lambda backend: BIG.to_float(np.float32),
}


@pytest.mark.parametrize("backend", ["numpy", "reference"])
@pytest.mark.parametrize("f", OVERFLOWS.values(), ids=OVERFLOWS)
def test_nothing_leaves_the_range_silently(f, backend):
    """An error of the library, and no warning of NumPy before it, or a value that is finite and not zero."""
    with pytest.raises(pg.PathgraphError, match=r"range|beyond|finite"):
        f(backend)


def test_a_product_bound_does_not_vanish_on_the_way():
    weights = [1e-200, 1e-200, 1e300]
    net = pg.from_weights([[[w]] for w in weights])
    for q, r in ((1, 1), (2, 1), (math.inf, 2)):
        roundings = 0 if q == math.inf else sum(norm_roundings([w], q) for w in weights)
        roundings += norm_roundings([weights[-1]], r) + len(weights)
        assert_close(pg.operator_norm_product(net, q, r), math.prod(map(Fraction, weights)), gamma(roundings))


TINY = pg.from_weights([[[1e-200]], [[1e-200]], [[1e300]]])
VANISHING = {
    "path_norm": lambda: pg.path_norm(TINY),
    "path_norm, reference": lambda: pg.path_norm(TINY, backend="reference"),
    "path_norm, q = 2": lambda: pg.path_norm(TINY, 2),
    "path_norm, q = infinity": lambda: pg.path_norm(TINY, math.inf),
    "path_sum": lambda: pg.path_sum(TINY),
    "operator_norm_product": lambda: pg.operator_norm_product(TINY, 2),
    "max-pass": lambda: pg.input_lipschitz(TINY),
    "path_marginals": lambda: pg.path_marginals(TINY)[-1],
    "heaviest_path": lambda: pg.heaviest_path(TINY)[1],
    "path_lifting": lambda: pg.path_lifting(TINY).values[0],
    "max_times": lambda: pg.path_sum(TINY, pg.semirings.MAX_TIMES),
    "lengths": lambda: pg.path_sum(TINY, pg.semirings.LENGTHS)[-1],
    "normalize": lambda: pg.path_norm(pg.normalize(TINY)),
}


def test_a_marginal_is_right_although_its_sum_over_the_places_of_an_entry_overflows():
    """Around each of 16 places of the kernel the sums multiply to 2e307, which a float holds, and its sum does not."""
    build = pg.LayerGraphBuilder()
    x = build.input((1, 4, 4))
    weights = {"first": 4.5e153, "kernel": 1e-154, "last": 4.5e153}
    for name, weight in weights.items():
        x = build.convolution(x, build.tensor(name, np.full((1, 1, 1, 1), weight)))
    graph = build.build([x])
    exact = 16 * math.prod(map(Fraction, weights.values()))
    for found in pg.path_marginals(graph, pg.semirings.REAL).values():
        assert_close(found.item(), exact, gamma(chain_roundings(list(weights.values()), 1) + 16))


@pytest.mark.parametrize("backend", ["numpy", "reference", "numba"])
@pytest.mark.parametrize("ring", [pg.semirings.REAL, pg.semirings.MAX_TIMES], ids=["sum", "max"])
def test_a_marginal_in_range_is_right_although_the_sums_around_it_are_far_apart(ring, backend):
    """The sum up to the middle edge times the sum behind it is 1e400."""
    net = pg.from_weights([[[1e200]], [[1e-200]], [[1e200]]])
    exact = math.prod(map(Fraction, net.theta.tolist()))
    for found in pg.path_marginals(net, ring, backend=backend).tolist():
        assert_close(found, exact, gamma(chain_roundings(net.theta.tolist(), 1)))


@pytest.mark.parametrize("f", VANISHING.values(), ids=VANISHING)
def test_nothing_vanishes_silently(f):
    """A product of 1e-100 comes as 1e-100, or as an error: never as zero, although it passes through 1e-400."""
    try:
        found = f()
    except pg.PathgraphError as error:
        assert "range" in str(error)  # noqa: PT017
    else:
        weights = TINY.theta.tolist()  # no function does more than the norm for q = 2
        assert_close(found, math.prod(map(Fraction, weights)), gamma(chain_roundings(weights, 2)))
