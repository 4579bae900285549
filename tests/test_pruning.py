"""Costs of parameters against an enumeration, selection against the naive one, certificates against evaluations."""

import pickle
from contextlib import nullcontext
from fractions import Fraction
from itertools import combinations, pairwise
from random import Random

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.pruning.masses import Moduli
from tests.networks import dag, frozen, identity, on_networks, pool, relu, structural, tied
from tests.tolerances import assert_close, gamma, roundings

INF = float("inf")


def names_on(case, path):
    """The names of the parameters on a path; a tied one once, however often it occurs."""
    found = {
        part: name or (part if part[0] is not None else part[1])
        for part, _, role, name in case.oracle.entries()
        if not role
    }
    return {found[part] for part in case.oracle.parts(path) if part in found}


def listed(case, widths=None):
    """For every path: the names on it, its weighted mass, and its output."""
    widths = widths or {}
    return [(names_on(case, p), abs(w) * widths.get(p[0], 1), p[-1]) for p, w in case.lifting.items()]


def boxes(case):
    return [None, {u: Fraction(i, 2) for i, u in enumerate(case.oracle.inputs)}]


def roundings_back(oracle):
    """Of the backward sweep."""
    fan_out = {}
    for v in oracle.nodes:
        fan_out[oracle.level[v]] = max(fan_out.get(oracle.level[v], 0), oracle.graph.out_degree(v))
    return sum(d + 1 for d in fan_out.values())


# -- costs --------------------------------------------------------------------------------------------------------


@on_networks()
def test_path_magnitude_is_the_mass_of_the_paths_through(case):
    for box in boxes(case):
        paths = listed(case, box)
        expected = [sum(mass for names, mass, _ in paths if name in names) for name in case.net.parameters]
        found = pg.path_magnitude(case.net, inputs=box)
        assert found.tolist() == expected
        assert all(type(cost) is Fraction for cost in found)
        assert pg.importance_scores(case.net, inputs=box).tolist() == expected


@on_networks()
def test_set_magnitude_is_the_mass_of_the_paths_that_meet_the_set(case):
    random, names = Random(case.name), list(case.net.parameters)
    sets = [[], names, *(random.sample(names, random.randint(0, len(names))) for _ in range(4))]
    for box in boxes(case):
        paths = listed(case, box)
        for chosen in sets:
            met = [(mass, v) for on, mass, v in paths if not on.isdisjoint(chosen)]
            expected = [sum(mass for mass, v in met if v == y) for y in case.oracle.outputs]
            mask = np.array([name in chosen for name in names], dtype=bool)
            assert pg.set_magnitude(case.net, chosen, inputs=box, per_output=True).tolist() == expected
            assert pg.set_magnitude(case.net, mask, inputs=box) == sum(expected)
    assert pg.set_magnitude(case.net, set(names)) <= pg.path_norm(case.net)


@on_networks()
def test_float_costs_are_as_near_as_the_analysis_says(case):
    rough = case.rough
    slack = gamma(roundings(rough.oracle) + roundings_back(rough.oracle) + 3 + rough.net.architecture.n_entries)
    paths = listed(rough)
    chosen = list(rough.net.parameters)[::2]
    together = sum(mass for names, mass, _ in paths if not names.isdisjoint(chosen))
    for net in (rough.float64, rough.net.to_float(np.float32)):
        found = pg.path_magnitude(net)
        assert found.dtype == np.float64
        for name, cost in zip(net.parameters, found, strict=True):
            assert_close(cost, sum(mass for names, mass, _ in paths if name in names), slack)
        assert_close(pg.set_magnitude(net, chosen), together, slack)


@pytest.mark.parametrize("fixed", [False, True])
def test_large_networks(fixed):
    """Above the size from which sweeps are compiled: Kirchhoff's law, and the bits of a rescaled copy."""
    rng = np.random.default_rng(0)
    net = pg.from_weights([rng.normal(size=(180, 60)), rng.normal(size=(80, 180)), rng.normal(size=(3, 80))])
    if fixed:
        graph = pg.to_networkx(net)
        for edge in list(graph.edges)[::7]:
            graph.edges[edge]["role"] = "frozen"
        net = pg.from_networkx(graph)
    costs = pg.path_magnitude(net)
    expected = pg.path_marginals(net.map_values(np.abs))
    slack = gamma(4 * (60 + 180 + 80 + 3 + 6))
    for cost, mass in zip(costs, expected, strict=True):
        assert_close(cost, Fraction(float(mass)), slack)
    other = pg.rescale(net, pg.random_rescaling(net, 0))
    assert pg.path_magnitude(other).tobytes() == costs.tobytes()
    result = pg.prune(net, 0.5, strategy="iterative", rounds=2)
    norms = [Fraction(pg.path_norm(n)) for n in (net, result.net)]
    assert abs(Fraction(result.certificate.upper) - (norms[0] - norms[1])) <= 3 * slack * norms[0]


def test_a_parameter_met_twice_is_counted_once():
    graph = dag("x", h=identity({"x": tied("w", Fraction(1, 2))}), y=identity({"h": tied("w", Fraction(1, 2))}))
    net = pg.from_networkx(graph)
    assert pg.path_magnitude(net).tolist() == [Fraction(1, 4)]
    assert pg.path_marginals(net).tolist() == [Fraction(1, 2)]
    assert pg.path_magnitude(net.to_float()).tolist() == [0.25]
    assert pg.prune(net, 1).certificate.upper == Fraction(1, 4)


def test_names_of_tied_and_ambiguous_parameters():
    graph = dag("x", h=identity({"x": tied("w", 2)}), y=identity({"h": 1, "x": structural(3)}, frozen(2)))
    net = pg.from_networkx(graph)
    assert pg.set_magnitude(net, ["w"]) == 2
    with pytest.raises(pg.ParameterError, match="belongs to the tied parameter 'w'"):
        pg.set_magnitude(net, [("x", "h")])
    with pytest.raises(pg.ParameterError, match="is structural, not a parameter"):
        pg.set_magnitude(net, [("x", "y")])
    with pytest.raises(pg.ParameterError, match="is frozen, not a parameter"):
        pg.set_magnitude(net, ["y"])
    odd = nx.DiGraph()
    odd.add_node("a", activation="input")
    odd.add_node("b", activation="relu")
    odd.add_node(("a", "b"), activation="relu", bias=1.0)
    odd.add_node("y", activation="identity")
    odd.add_weighted_edges_from([("a", "b", 1.0), ("b", "y", 1.0), (("a", "b"), "y", 1.0)])
    with pytest.raises(pg.ParameterError, match="of a weight and of a bias; give a mask"):
        pg.set_magnitude(pg.from_networkx(odd), [("a", "b")])


# -- scores of the other methods ----------------------------------------------------------------------------------


@on_networks(lambda case: all(kind != "pool" for kind in case.oracle.kind.values()))
def test_synflow_without_pools_is_the_cost_without_biases(case):
    graph = nx.DiGraph(case.graph)
    keep = {name for name in case.net.parameters if not case.graph.has_node(name)}
    for v in graph:
        for key in ("bias", "bias_role", "bias_parameter"):
            graph.nodes[v].pop(key, None)
    bare = pg.from_networkx(graph, dtype=object)
    found = dict(zip(case.net.parameters, pg.importance_scores(case.net, "synflow"), strict=True))
    expected = dict(zip(bare.parameters, pg.path_marginals(bare.map_values(abs)), strict=True))
    assert all(found[name] == expected.get(name, 0) for name in keep)
    assert all(found[name] == 0 for name in set(found) - keep - set(expected))


@on_networks(lambda case: any(kind == "pool" for kind in case.oracle.kind.values()))
def test_synflow_keeps_the_selected_candidates(case):
    """Against the sum over the paths whose pools are selected, first of equals, at ones on the moduli."""
    graph = nx.DiGraph(case.graph)
    for v in graph:
        for key in ("bias", "bias_role", "bias_parameter"):
            graph.nodes[v].pop(key, None)
    for _, _, data in graph.edges(data=True):
        data["weight"] = abs(data["weight"])
    oracle = type(case.oracle)(graph)
    value = oracle.values(dict.fromkeys(oracle.inputs, Fraction(1)))
    expected = dict.fromkeys(case.net.parameters, 0)
    for path in oracle.paths():
        if all(oracle.selected(v, value) == u for u, v in pairwise(path) if oracle.kind[v] == "pool"):
            for part in oracle.parts(path):
                name = case.graph.edges[part].get("parameter", part)
                if name in expected:
                    expected[name] += oracle.product(path)
    found = pg.importance_scores(case.net, "synflow")
    assert dict(zip(case.net.parameters, found, strict=True)) == expected
    if case.is_dyadic:
        assert pg.importance_scores(case.float64, "synflow").tolist() == list(map(float, expected.values()))


@on_networks()
def test_scores_of_gradients_and_curvatures(case):
    theta = case.net.theta
    gradient = [Fraction((-1) ** i * (i % 5), 4) for i in range(len(theta))]
    snip = [abs(t * g) for t, g in zip(theta, gradient, strict=True)]
    obd = [t * t * g / 2 for t, g in zip(theta, gradient, strict=True)]
    for net, kind in ((case.net, Fraction), (case.float64, float)):
        given = list(map(kind, gradient))
        if net.is_exact or case.is_dyadic:
            assert pg.importance_scores(net, "snip", gradient=given).tolist() == snip
            assert pg.importance_scores(net, "obd", hessian_diagonal=given).tolist() == obd
            assert pg.importance_scores(net, "magnitude").tolist() == [abs(t) for t in theta]


# -- selection ----------------------------------------------------------------------------------------------------


def in_scope(net, biases=False):
    at_bias = {net.architecture.parameter[e] for e in range(net.architecture.n_edges, net.architecture.n_entries)}
    return [i for i, t in enumerate(net.theta) if t != 0 and (biases or i not in at_bias)]


def without(net, places):
    theta = net.theta.copy()
    theta[list(places)] = 0
    return net.with_theta(theta)


def naive_greedy(net, count, inputs=None, biases=False):
    removed = []
    for _ in range(count):
        costs = pg.path_magnitude(without(net, removed), inputs=inputs)
        removed.append(min((i for i in in_scope(net, biases) if i not in removed), key=lambda i: (costs[i], i)))
    return removed


@on_networks(lambda case: len(case.net.theta) < 60)
def test_lazy_greedy_is_greedy(case):
    for net, biases, box in (
        (case.net, False, None),
        (case.net, True, boxes(case)[1]),
        (case.rough.float64, False, None),
    ):
        n = len(in_scope(net, biases))
        for count in {n, n // 2}:
            result = pg.prune(net, count, strategy="greedy", biases=biases, inputs=box)
            assert list(result.removed) == [net.parameters[i] for i in naive_greedy(net, count, box, biases)]


@on_networks()
def test_one_shot_takes_the_smallest_scores_in_order(case):
    net = case.net
    gradient = [Fraction(i % 3 - 1) for i in range(len(net.theta))]
    for method, options in (
        ("path-magnitude", {}),
        ("magnitude", {}),
        ("snip", {"gradient": gradient}),
        ("obd", {"hessian_diagonal": gradient}),
    ):
        scores = pg.importance_scores(net, method, **options)
        scope = in_scope(net)
        ranked = sorted(scope, key=lambda i: (scores[i], i))
        for count in {0, 1, len(scope) // 2, len(scope)} & set(range(len(scope) + 1)):
            result = pg.prune(net, count, method, **options)
            assert list(result.removed) == [net.parameters[i] for i in ranked[:count]]
            assert result.net == without(net, ranked[:count])
            assert result.method == method


@pytest.mark.parametrize("rounds", [3, None])
@on_networks(lambda case: case.name in ("dense", "convolution", "k_pool", "tied_across_depth", "zeros", "random_2"))
def test_rounds_score_anew(case, rounds):
    """The rounds by hand; the share that is kept shrinks by one factor."""
    net, n = case.net, len(in_scope(case.net))
    count = n * 3 // 4
    for method, score, default in (
        ("path-magnitude", pg.path_magnitude, 10),
        ("synflow", lambda net: pg.importance_scores(net, "synflow"), 100),
    ):
        removed = []
        for k in range(1, (rounds or default) + 1):
            kept = n * (1 - Fraction(count, n)) ** (k / (rounds or default))
            wanted = count if k == (rounds or default) else min(count, n - int(np.ceil(kept)))
            costs = score(without(net, removed))
            left = [i for i in in_scope(net) if i not in removed]
            removed += sorted(left, key=lambda i: (costs[i], i))[: max(0, wanted - len(removed))]
        options = {"strategy": "iterative"} if method == "path-magnitude" else {}
        result = pg.prune(net, count, method, rounds=rounds, **options)
        assert list(result.removed) == [net.parameters[i] for i in removed]


@on_networks()
def test_zeros_are_not_removed_again_and_fixed_values_never(case):
    first = pg.prune(case.net, 0.5)
    n = len(in_scope(case.net))
    assert len(first.removed) == round(n / 2)
    again = pg.prune(first.net, 1.0)
    assert len(again.removed) == n - round(n / 2)
    assert set(again.removed).isdisjoint(first.removed)
    assert again.net.fixed.tolist() == case.net.fixed.tolist()
    at_edges = set(case.net.parameters) - {v for v in case.net.nodes if case.net.bias(v) is not None}
    zero = {name for name, t in zip(case.net.parameters, again.net.theta, strict=True) if t == 0}
    masked = {name for name, keep in zip(case.net.parameters, again.mask, strict=True) if not keep}
    assert masked == zero & masked
    assert set(again.removed) | set(first.removed) <= masked <= at_edges
    both = pg.prune(case.net, 1.0, biases=True)
    assert not both.net.theta.any()
    assert not both.mask.any()


def test_shares_and_numbers():
    net = pg.from_weights([np.arange(1.0, 11)[None]])
    amounts = [1, 1.0, 0, 0.0, 0.25, Fraction(1, 3), np.float64(0.1), np.int64(2)]
    assert [len(pg.prune(net, amount).removed) for amount in amounts] == [1, 10, 0, 0, 2, 3, 1, 2]
    assert pg.prune(net, 0).net == net
    assert pg.prune(net, 0).certificate == pg.Bound(0.0, 0.0, True, False, "weighted-metric")


# -- neurons ------------------------------------------------------------------------------------------------------


@on_networks()
def test_neurons_go_by_their_mass(case):
    net = case.net
    sum_through = {
        v: sum(m for p, m in zip(case.lifting, map(abs, case.lifting.values()), strict=True) if v in p)
        for v in net.nodes
    }
    whole = pg.prune(net, 1.0, "neurons")
    order = [net.nodes.index(v) for v in whole.neurons]
    assert order == sorted(order, key=lambda i: (sum_through[net.nodes[i]], i))
    for count in range(len(whole.neurons) + 1):
        result = pg.prune(net, count, "neurons")
        assert result.neurons == whole.neurons[:count]
        after = dict(zip(net.nodes, pg.node_marginals(result.net.map_values(abs)), strict=True))
        assert not any(after[v] for v in result.neurons)
        met = [p for p in case.lifting if set(p) & set(result.neurons)]
        assert result.certificate.upper == sum(abs(case.lifting[p]) for p in met)
        assert all(net.theta[i] == 0 or not result.mask[i] for i in np.flatnonzero(result.net.theta == 0))
    assert not pg.prune(whole.net, 1.0, "neurons").neurons


def test_neurons_that_share_or_do_not_own_their_weights_stay():
    graph = dag(
        "x",
        shared=relu({"x": tied("w", 1)}),
        twin=relu({"x": tied("w", 1)}),
        held=relu({"x": structural(1)}),
        free=relu({"x": structural(1)}),
        y=identity({"shared": structural(1), "twin": 2, "held": frozen(1), "free": 3}),
    )
    result = pg.prune(pg.from_networkx(graph), 1.0, "neurons")
    assert result.neurons == ("twin", "free")
    assert set(result.removed) == {("twin", "y"), ("free", "y")}


def test_neurons_in_rounds():
    rng = np.random.default_rng(0)
    net = pg.from_weights([rng.normal(size=(6, 3)), rng.normal(size=(5, 6)), rng.normal(size=(2, 5))])
    gone = []
    for _ in range(7):
        masses = pg.node_marginals(without_neurons(net, gone).map_values(abs))
        place = {v: i for i, v in enumerate(net.nodes)}
        gone.append(min((v for v in net.hidden if v not in gone), key=lambda v: masses[place[v]]))
    # 100 rounds for 7 of 11 neurons: one at a time
    assert list(pg.prune(net, 7, "neurons", strategy="iterative", rounds=100).neurons) == gone


def without_neurons(net, gone):
    keep = [0 if set(name) & set(gone) else 1 for name in net.parameters]
    return net.with_theta(net.theta * keep)


# -- certificates -------------------------------------------------------------------------------------------------


@on_networks()
def test_certificates_bound_the_change_over_the_box(case):
    net = case.net
    for x, amount in zip(case.inputs[1:5], (0.3, 0.6, 0.9, 1.0), strict=True):
        box = [abs(value) for value in x]
        result = pg.prune(net, amount, inputs=box, biases=amount == 1.0, per_output=True)
        bounds = result.certificate.upper
        assert (abs(net(x) - result.net(x)) <= bounds).all()
        assert result.certificate.rigorous
        assert result.certificate.exact == (not any(bounds))
        for r, total in ((1, sum(bounds)), (INF, max(bounds))):
            whole = pg.prune(net, amount, inputs=box, biases=amount == 1.0, r=r)
            assert whole.certificate.upper == total
            assert whole.net == result.net
        # the norms in between are rounded upward where they are called rigorous
        whole = pg.prune(net, amount, inputs=box, biases=amount == 1.0, r=2).certificate
        assert whole.rigorous
        assert Fraction(whole.upper) ** 2 >= sum(bounds**2)
        assert not pg.prune(net, amount, inputs=box, biases=amount == 1.0, r=1.5).certificate.rigorous


def test_a_certificate_is_rounded_upward():
    net = pg.from_weights([[[1, 2], [3, 1]], [[1, 1], [1, 2]]], dtype=object)
    certificate = pg.prune(net, 2, r=2).certificate
    assert certificate.rigorous
    assert Fraction(certificate.upper) ** 2 >= 13


def test_the_certificate_is_attained():
    net = pg.from_weights([[[1, 2], [3, 4]], [[1, 1]]], [[1, 2], [3]], dtype=object)
    result = pg.prune(net, 3)
    assert sum(net([1, 1]) - result.net([1, 1])) == result.certificate.upper > 0


def test_a_certificate_does_not_vanish():
    tiny = pg.from_weights([[[1e-200]], [[1e-200]]])
    result = pg.prune(tiny, 1)
    assert 0 < result.certificate.upper < 1e-300
    assert pg.prune(tiny, 1, per_output=True).certificate.upper[0] > 0
    found = pg.set_magnitude(pg.from_weights([[[1e-200]], [[1e-200]], [[1e300]]]), [((0, 0), (1, 0))])
    assert_close(found, Fraction(1e-200) ** 2 * Fraction(1e300), gamma(4))


@pytest.mark.parametrize("strategy", ["one-shot", "iterative", "greedy"])
def test_deep_networks_are_pruned_like_their_exact_copies(strategy):
    """The costs of parts leave the range of floats; a result that does is refused."""
    rng = np.random.default_rng(1)
    weights = [1e100 * 2.0 ** rng.integers(-60, 60, size=(2, 2)) * rng.choice([-1, 1], size=(2, 2)) for _ in range(8)]
    net = pg.from_weights([*weights, [[1e-300, 1e-300]], [[1e-300]], [[1e-200]]])
    exact = pg.prune(net.to_exact(), 20, strategy=strategy)
    assert list(pg.prune(net, 20, strategy=strategy).removed) == list(exact.removed)
    big = pg.from_weights([np.array(w) for w in weights])
    with pytest.raises(pg.RangeError, match="prune"):
        pg.prune(big, 3, strategy=strategy)
    with pytest.raises(pg.RangeError, match="path_magnitude"):
        pg.path_magnitude(big)
    with pytest.raises(pg.RangeError, match="set_magnitude"):
        pg.set_magnitude(big, [big.parameters[0]])


def layers_of(*weights):
    """A layer graph of linear maps and ReLUs."""
    build = pg.LayerGraphBuilder()
    x = build.input((np.shape(weights[0])[1],))
    for place, weight in enumerate(weights):
        x = build.linear(x, build.tensor(f"w{place}", np.array(weight)))
        x = build.relu(x) if place < len(weights) - 1 else x
    return build.build([x])


def test_sums_of_a_layer_graph_see_what_was_removed():
    net = layers_of([[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]])
    moduli = Moduli(net)
    assert moduli.summed().tolist() == [5, 10, 18, 24, 15, 42]
    moduli.remove(np.array([3]))
    assert moduli.summed().tolist() == [5, 10, 18, 0, 15, 18]


def test_costs_of_a_layer_graph_beyond_floats_are_refused():
    net = layers_of([[1e200]], [[1e200]])
    with pytest.raises(pg.RangeError):
        pg.path_magnitude(net)


@pytest.mark.parametrize("size", [1e-160, 1e160])
def test_synflow_out_of_range(size):
    graph = dag("x", a=pool({"x": 1, "b": 1}), b=identity({"x": 2}), y=identity({"a": 1}))
    for data in (data for _, _, data in graph.edges(data=True)):
        data["weight"] = float(data["weight"]) * size
    net = pg.from_networkx(graph)
    for box in ([1], [0]):  # the certificate of an unbounded change is refused; that of none is not
        with pytest.raises(pg.RangeError) if size > 1 and box == [1] else nullcontext():
            result = pg.prune(net, 3, "synflow", inputs=box)
            assert list(result.removed) == list(pg.prune(net.to_exact(), 3, "synflow").removed)


# -- rescaling ----------------------------------------------------------------------------------------------------


@on_networks()
def test_scores_do_not_change_by_a_bit_under_powers_of_two(case):
    for seed, net in enumerate((case.rough.float64, case.rough.net.to_float(np.float32))):
        other = pg.rescale(net, pg.random_rescaling(net, seed))
        assert pg.path_magnitude(other).tobytes() == pg.path_magnitude(net).tobytes()
        assert pg.importance_scores(other, "synflow").tobytes() == pg.importance_scores(net, "synflow").tobytes()
        here, there = pg.prune(net, 0.5), pg.prune(other, 0.5)
        assert list(here.removed) == list(there.removed)
        assert here.certificate == there.certificate


# -- results ------------------------------------------------------------------------------------------------------


@on_networks()
def test_results_are_values(case):
    for result in (pg.prune(case.net, 0.5), pg.prune(case.float64, 0.5, "neurons", per_output=True)):
        copy = pickle.loads(pickle.dumps(result))
        assert copy == result
        assert repr(copy) == repr(result)
        assert result != pg.prune(case.net, 0.5, "magnitude")
        assert result != 1
        assert not result.mask.flags.writeable
    assert pg.prune(case.float64, 0.5, strategy="greedy") == pg.prune(case.float64, 0.5, strategy="greedy")


def test_layers_have_the_form_of_the_matrices():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(4, 3)), rng.normal(size=(2, 4)), rng.normal(size=(5, 2))]
    biases = [rng.normal(size=4), None, rng.normal(size=5)]
    net = pg.from_weights(weights, biases)
    arrays = pg.layer_arrays(net, net.theta)
    assert list(arrays) == [1, 2, 3]
    assert all(np.array_equal(a, b) for a, b in zip(arrays.values(), weights, strict=True))
    vectors = pg.layer_arrays(net, net.theta, "bias")
    assert list(vectors) == [1, 3]
    assert np.array_equal(vectors[1], biases[0])
    assert np.array_equal(vectors[3], biases[2])
    result = pg.prune(net, 0.6, biases=True)
    masks, shifts = result.masks(), result.masks("bias")
    assert all(mask.dtype == bool for mask in (*masks.values(), *shifts.values()))
    masked = [w * m for w, m in zip(weights, masks.values(), strict=True)]
    kept = [None if b is None else b * shifts[i + 1] for i, b in enumerate(biases)]
    assert pg.from_weights(masked, kept) == result.net
    scores = pg.importance_scores(net, by_layer=True)
    assert np.array_equal(scores[2], pg.layer_arrays(net, pg.path_magnitude(net))[2])
    exact = pg.importance_scores(net.to_exact(), by_layer=True)
    assert exact[1].shape == (4, 3)
    assert isinstance(exact[1][0, 0], Fraction)


def test_masks_are_those_that_torch_takes():
    torch = pytest.importorskip("torch", reason="the masks are applied by PyTorch itself, which is no dependency")
    from torch.nn.utils import prune

    linears = [torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)]
    net = pg.from_weights(*([getattr(m, n).detach().numpy() for m in linears] for n in ("weight", "bias")))
    result = pg.prune(net, 0.5)
    for linear, mask in zip(linears, result.masks().values(), strict=True):
        prune.custom_from_mask(linear, "weight", torch.tensor(mask))
    for layer, linear in enumerate(linears, start=1):
        assert np.array_equal(linear.weight.detach().numpy(), pg.layer_arrays(result.net, result.net.theta)[layer])


# -- bad input ----------------------------------------------------------------------------------------------------

NET = pg.from_weights([[[1.0, -2.0], [3.0, 1.0]], [[1.0, 1.0]]], [[0.0, 5.0], None])
NAN = float("nan")
BAD = {
    "no network": (lambda: pg.prune([1.0], 1), "net: needed"),
    "a share above 1": (lambda: pg.prune(NET, 1.5), r"amount: needed a share in \[0, 1\], got 1.5"),
    "a negative share": (lambda: pg.prune(NET, -0.1), "amount: needed a share"),
    "NaN": (lambda: pg.prune(NET, NAN), "amount: needed a share"),
    "too many": (lambda: pg.prune(NET, 7), "amount: needed at most 6, the number of non-zero weights"),
    "too many neurons": (lambda: pg.prune(NET, 3, "neurons"), "amount: needed at most 2, the number of hidden"),
    "a number without a text": (lambda: pg.prune(NET, 10**5000), "amount: needed at most 6.*got ~1e5000"),
    "a share without a text": (lambda: pg.prune(NET, Fraction(-1, 10**5000)), "amount: needed a share.*got ~-1e-5000"),
    "rounds without a text": (
        lambda: pg.prune(NET, 1, strategy="iterative", rounds=-(10**5000)),
        "rounds: needed an integer >= 1, got ~-1e5000",
    ),
    "a negative number": (lambda: pg.prune(NET, -1), "amount: needed at most 6"),
    "no number": (lambda: pg.prune(NET, "half"), "amount: needed a share"),
    "True": (lambda: pg.prune(NET, True), "amount: needed a share"),
    "unknown method": (lambda: pg.prune(NET, 1, "wanda"), "method: needed one of"),
    "unknown score": (lambda: pg.importance_scores(NET, "neurons"), "method: needed one of"),
    "unknown strategy": (lambda: pg.prune(NET, 1, strategy="lazy"), "strategy: needed"),
    "greedy magnitude": (lambda: pg.prune(NET, 1, "magnitude", strategy="greedy"), "cannot be 'greedy'"),
    "synflow has rounds": (lambda: pg.prune(NET, 1, "synflow", strategy="iterative"), "a schedule of its own"),
    "rounds in one shot": (lambda: pg.prune(NET, 1, rounds=3), "rounds: only"),
    "no rounds": (lambda: pg.prune(NET, 1, strategy="iterative", rounds=0), "rounds: needed an integer >= 1"),
    "biases no bool": (lambda: pg.prune(NET, 1, biases=[1]), "biases: needed True or False"),
    "biases of synflow": (lambda: pg.prune(NET, 1, "synflow", biases=True), "ignores biases"),
    "biases of neurons": (lambda: pg.prune(NET, 1, "neurons", biases=True), "takes its bias"),
    "no gradient": (lambda: pg.prune(NET, 1, "snip"), "gradient: needed one number per parameter, got None"),
    "no curvature": (lambda: pg.prune(NET, 1, "obd"), "hessian_diagonal: needed one number"),
    "a gradient too many": (lambda: pg.prune(NET, 1, gradient=[1.0] * 8), "gradient: only 'snip' takes it"),
    "shape": (lambda: pg.prune(NET, 1, "snip", gradient=[1.0] * 7), r"gradient: needed shape \(8,\).*got \(7,\)"),
    "matrix": (lambda: pg.prune(NET, 1, "obd", hessian_diagonal=np.eye(8)), r"needed shape \(8,\).*\(8, 8\)"),
    "ragged": (lambda: pg.prune(NET, 1, "snip", gradient=[[1.0], [1.0, 2.0]]), "gradient: needed shape"),
    "NaN gradient": (lambda: pg.prune(NET, 1, "snip", gradient=[NAN] * 8), r"gradient\[0\].*finite"),
    "infinite gradient": (lambda: pg.prune(NET, 1, "snip", gradient=np.full(8, INF)), r"gradient\[0\].*finite"),
    "words": (lambda: pg.prune(NET, 1, "snip", gradient=["a"] * 8), r"gradient\[0\].*real number"),
    "float gradient": (lambda: pg.prune(NET.to_exact(), 1, "snip", gradient=[0.5] * 8), "needed an exact number"),
    "negative box": (lambda: pg.prune(NET, 1, inputs=[-1.0, 1.0]), "must be >= 0"),
    "box": (lambda: pg.path_magnitude(NET, inputs=[1.0]), "needed 2 values"),
    "r": (lambda: pg.prune(NET, 1, r=0.5), r"r: needed a number in \[1, inf\]"),
    "unknown name": (lambda: pg.set_magnitude(NET, [((0, 0), (2, 0))]), "no parameter of the network"),
    "unhashable name": (lambda: pg.set_magnitude(NET, [[1]]), "no parameter of the network"),
    "a bias that is absent": (lambda: pg.set_magnitude(NET, [(2, 0)]), "no parameter of the network"),
    "a bare edge": (
        lambda: pg.set_magnitude(NET, ((0, 0), (1, 0))),
        r"of the one edge .*: write \[\(\(0, 0\), \(1, 0\)\)\]",
    ),
    "one name": (lambda: pg.set_magnitude(NET, "w"), "needed a collection"),
    "a number": (lambda: pg.set_magnitude(NET, 3), "needed a collection"),
    "a mask": (lambda: pg.set_magnitude(NET, np.ones(7, dtype=bool)), r"mask of shape \(8,\)"),
    "layers": (lambda: pg.layer_arrays(NET, [1.0]), r"numbers: needed shape \(8,\)"),
    "layers of what": (lambda: pg.layer_arrays(NET, NET.theta, "gain"), "'weight' or 'bias'"),
    "layers of no network": (lambda: pg.layer_arrays(3, [1.0]), "net: needed"),
    "overflow": (lambda: pg.importance_scores(NET, "snip", gradient=[1e308, 1e308, *[1.0] * 6]), "leaves the range"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, message = BAD[name]
    with pytest.raises(pg.PathgraphError, match=message):
        call()


def test_symbols_are_refused():
    sympy = pytest.importorskip("sympy")
    net = pg.from_weights([[[sympy.Symbol("a")]]])
    for call in (
        pg.path_magnitude,
        pg.importance_scores,
        pg.minimize,
        lambda n: pg.prune(n, 1),
        lambda n: pg.set_magnitude(n, []),
    ):
        with pytest.raises(pg.UnsupportedOperatorError, match="SymPy"):
            call(net)


@pytest.mark.parametrize(
    "graph",
    [
        dag("x", y=identity({"x": 1})),
        dag("x", h=relu({"x": 1}), y=identity({"h": 1, "x": 1})),
    ],
)
def test_layers_need_a_perceptron(graph):
    net = pg.from_networkx(graph)
    with pytest.raises(pg.GraphError, match="from_weights"):
        pg.layer_arrays(net, net.theta)


def test_pairs_between_the_bounds():
    """The cost of a pair lies between the larger and the sum of its single costs."""
    net = pg.from_weights([[[1, 2], [3, 4]], [[1, 1]]], [[1, 2], [3]], dtype=object)
    costs = dict(zip(net.parameters, pg.path_magnitude(net), strict=True))
    for pair in combinations(costs, 2):
        assert max(map(costs.get, pair)) <= pg.set_magnitude(net, pair) <= sum(map(costs.get, pair))
