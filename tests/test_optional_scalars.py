"""SymPy expressions and python-flint: the same recursions on other scalars, and exact results without either."""

import sys
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from tests.networks import on_networks

# -- SymPy --------------------------------------------------------------------------------------------------------


@pytest.fixture(name="sympy")
def _sympy():
    return pytest.importorskip("sympy", reason="symbolic networks need SymPy")


def symbolic(sympy, case):
    """The network with a symbol for each parameter, and what makes it the exact one again."""
    symbols = sympy.symbols(f"t:{len(case.net.theta)}")
    values = [sympy.Rational(value.numerator, value.denominator) for value in case.net.theta]
    return case.net.with_theta(symbols), dict(zip(symbols, values, strict=True))


def rationals(expressions, values):
    return [Fraction(int(w.p), int(w.q)) for w in (expression.subs(values) for expression in expressions)]


@on_networks(lambda case: len(case.net.theta) and len(case.lifting) < 40)
def test_symbols_give_the_same_recursion(sympy, case):
    net, values = symbolic(sympy, case)
    assert net.scalars == "symbolic"
    lifting = pg.path_lifting(net)
    assert rationals(map(sympy.sympify, lifting.values), values) == list(case.lifting.values())
    found = pg.path_sum(net)
    assert sympy.expand(found - sum(lifting.values)) == 0
    for v, total in zip(net.outputs, pg.path_sum(net, per_output=True), strict=True):
        assert sympy.expand(total - sum(pg.path_lifting(net, node=v).values)) == 0
    assert pg.count_paths(net) == len(case.lifting)
    marginals = [
        sympy.expand(through - theta * sympy.diff(found, theta))
        for through, theta in zip(pg.path_marginals(net), net.theta, strict=True)
    ]
    assert not any(marginals)


@on_networks(lambda case: len(case.lifting) < 40)
def test_the_symbolic_lifting_names_every_entry_apart(sympy, case):
    column = pg.path_lifting(case.net).to_sympy()
    assert len(column) == len(case.lifting)
    names = {(u, v): data.get("parameter", (u, v)) for u, v, data in case.graph.edges(data=True)}
    names |= {(None, v): case.graph.nodes[v].get("bias_parameter", ("bias", v)) for v in case.oracle.bias}
    met = {names[part] for path in case.lifting for part in case.oracle.parts(path)}
    assert len(column.free_symbols) == len(met)
    for path, monomial in zip(case.lifting, column, strict=True):
        assert sympy.Poly(monomial, *sorted(column.free_symbols, key=str)).total_degree() == len(
            case.oracle.parts(path)
        )


def test_names_that_look_alike_are_other_symbols(sympy):
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(["a", "a_b", 1, "1"], activation="input")
    graph.add_nodes_from(["b_c", "c"], activation="identity", bias=1.0)
    graph.add_weighted_edges_from([("a", "b_c", 1.0), ("a_b", "c", 2.0), (1, "c", 3.0), ("1", "c", 4.0)])
    column = pg.path_lifting(pg.from_networkx(graph)).to_sympy()
    assert len(set(column)) == len(column) == 6


def test_what_symbols_cannot_do_is_refused(sympy):
    net = pg.from_weights([[[1, 2]], [[3]]]).with_theta(sympy.symbols("a b c"))
    refused = {
        "net(x)": lambda: net([1, 2]),
        "neuron_values": lambda: net.neuron_values([1, 2]),
        "path_activations": lambda: pg.path_activations(net, [1, 2]),
        "path_norm": lambda: pg.path_norm(net),
        "log_path_norm": lambda: pg.log_path_norm(net),
        "operator_norm_product": lambda: pg.operator_norm_product(net),
        "input_lipschitz": lambda: pg.input_lipschitz(net),
        "heaviest_path": lambda: pg.heaviest_path(net),
        "sample_paths": lambda: pg.sample_paths(net, 1, 0),
        "sign_flip_masses": lambda: pg.sign_flip_masses(net, net),
        "rescale": lambda: pg.rescale(net, {(1, 0): 2}),
        "normalize": lambda: pg.normalize(net),
        "to_float": lambda: net.to_float(),
        "to_exact": lambda: net.to_exact(),
        "max_times": lambda: pg.path_sum(net, pg.semirings.MAX_TIMES),
        "log": lambda: pg.path_sum(net, pg.semirings.LOG),
        "scaled": lambda: pg.path_sum(net, pg.semirings.SCALED),
    }
    for name, call in refused.items():
        with pytest.raises(pg.UnsupportedOperatorError, match=r"SymPy|symbolic"):
            pytest.fail(f"{name} returned {call()!r}")
    with pytest.raises(pg.ParameterError, match="SymPy"):
        pg.save(net, "nowhere.npz")


@pytest.mark.parametrize("bad", ["b + 1", None, float("nan"), True, 1j, "oo", "I"])
def test_only_numbers_and_symbols_stand_beside_symbols(sympy, bad):
    bad = {"oo": sympy.oo, "I": sympy.I}.get(bad, bad) if isinstance(bad, str) else bad
    with pytest.raises(pg.ParameterError, match=r"weight|theta"):
        pg.from_weights([np.array([[sympy.Symbol("a"), bad]], dtype=object)])
    with pytest.raises(pg.ParameterError, match=r"weight|theta"):
        pg.from_weights([[[1, 2]]]).with_theta([sympy.Symbol("a"), bad])


# -- python-flint -------------------------------------------------------------------------------------------------


def bounds(ball):
    """The exact ends of a flint ball, or of an integer."""
    if isinstance(ball, int):
        return Fraction(ball), Fraction(ball)
    return tuple(
        Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
        for mantissa, exponent in (end.man_exp() for end in (ball.lower(), ball.upper()))
    )


@on_networks()
def test_intervals_enclose_the_exact_sum(case):
    pytest.importorskip("flint", reason="intervals need python-flint")
    for backend in ("numpy", "reference"):
        for one in (case, case.rough):
            for net in (one.net, one.float64):
                lower, upper = bounds(pg.path_sum(net, pg.semirings.INTERVAL, backend=backend))
                assert lower <= sum(one.lifting.values()) <= upper


@on_networks()
def test_exact_results_are_fractions_with_and_without_flint(case, monkeypatch):
    def results():
        net, x = case.net, case.inputs[3]
        yield from net(x)
        yield from net.neuron_values(x)
        yield from pg.path_lifting(net).values
        yield pg.path_sum(net)
        yield from pg.path_sum(net, pg.semirings.MAX_TIMES, per_output=True)
        yield from pg.path_marginals(net)
        yield from pg.node_marginals(net)
        yield pg.path_norm(net)
        yield pg.path_norm(net, 2, root=False)
        yield pg.path_norm(net, float("inf"))
        yield pg.input_lipschitz(net)
        yield from pg.sign_flip_masses(net, net.map_values(lambda w: -w))
        yield from pg.rescale(net, pg.random_rescaling(net, 0)).values
        yield from pg.normalize(net, unfreeze=True).values

    found = list(results())
    monkeypatch.setitem(sys.modules, "flint", None)
    assert list(results()) == found
    assert {type(value) for value in found} == {type(value) for value in results()} == {Fraction}


def test_intervals_without_flint_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(pg.BackendError, match="python-flint"):
        pg.path_sum(pg.from_weights([[[1.0]]]), pg.semirings.INTERVAL)
