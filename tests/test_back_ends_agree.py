"""Every public function that sweeps gives the same, whichever back end is chosen by itself.

Large networks are swept by Numba, small ones by NumPy; here the small networks of the registry are swept by both. Their
values are small dyadic numbers, so that nothing rounds and results are equal to the last bit.
"""

import warnings

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.pathsum import preparation
from tests.networks import on_networks

pytest.importorskip("numba")


def moved(net):
    """Other parameters: of other sizes, and some of another sign."""
    factors = np.where(np.arange(len(net.theta)) % 3 == 0, -1, 0.5)
    return net.with_theta(np.roll(net.theta, 1) * factors)


def halved(net):
    return net.with_theta(np.where(np.arange(len(net.theta)) % 2 == 0, 0.5, 1) * net.theta)


def points(net):
    return np.random.default_rng(0).integers(-8, 9, size=(5, len(net.inputs))) / 4


def ends(bound):
    return bound.lower, bound.upper, bound.exact


FUNCTIONS = {
    "evaluation": lambda net: net(points(net)),
    "neuron values": lambda net: net.neuron_values(points(net)[0]),
    "path sum": lambda net: pg.path_sum(net, per_output=True),
    "path-norm": lambda net: [pg.path_norm(net, q, root=False, per_output=True) for q in (1, 2, 4, np.inf)],
    "marginals": pg.path_marginals,
    "marginals of neurons": pg.node_marginals,
    "flips": lambda net: tuple(pg.sign_flip_masses(net, moved(net))),
    "input Lipschitz": lambda net: [
        pg.input_lipschitz(net, method=m) for m in ("max-pass", "input-paths", "path-norm")
    ],
    "dual norm": lambda net: pg.input_lipschitz(net, method="input-paths", input_norm=1),
    "path-magnitude": pg.path_magnitude,
    "set magnitude": lambda net: pg.set_magnitude(net, np.arange(len(net.theta)) % 2 == 0, per_output=True),
    "prune": lambda net: pg.prune(net, len(net.theta) // 2, biases=True).mask,
    "two-sweeps": lambda net: ends(pg.path_metric(net, halved(net), method="two-sweeps")),
    "meet": lambda net: ends(pg.path_metric(net, moved(net), method="meet", per_output=True)),
    "telescope": lambda net: ends(pg.path_metric(net, moved(net), method="telescope")),
    "even metric": lambda net: ends(pg.path_metric(net, moved(net), q=2, root=False)),
    "parameter Lipschitz": lambda net: [
        ends(pg.parameter_lipschitz(net, other, method=method, max_paths=0))
        for other in (halved(net), moved(net))
        for method in ("auto", "meet", "max-telescope")
    ],
    "perturbation": lambda net: [ends(pg.perturbation_bound(net, 0.5, shrink=shrink)) for shrink in (False, True)],
    "box": lambda net: ends(pg.box_bound(halved(net), net)),
    "Jacobian": lambda net: pg.parameter_jacobian(net, points(net)),
    "tangent kernel": lambda net: pg.tangent_kernel(net, points(net)),
    "functional dimension": lambda net: pg.functional_dimension(net, points(net)).dimension,
}


def found(name, net, edges, monkeypatch):
    """What a function gives where networks from that many edges on are large; or the text of its error."""
    monkeypatch.setattr(preparation, "LARGE", edges)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return FUNCTIONS[name](net)
        except pg.PathgraphError as error:
            return str(error)


def same(one, other):
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other if isinstance(one, str) else np.array_equal(one, other))


@pytest.mark.parametrize("name", FUNCTIONS)
@on_networks(lambda case: case.is_dyadic)
def test_numba_and_numpy_agree(case, name, monkeypatch):
    net = case.float64
    assert same(found(name, net, 0, monkeypatch), found(name, net, 10**9, monkeypatch))
