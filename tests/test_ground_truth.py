"""Networks with known worst cases: every value is attained, and proved by an enumeration that is independent of it."""

import json
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.testing import export_ground_truth, ground_truth_networks
from pathgraph.testing.ground_truth import layers
from pathgraph.testing.ground_truth_files import decimal, layer_graph, property_text
from tests.oracles import Oracle

CASES = {case.name: case for case in ground_truth_networks()}
PATHS = [name for name, case in CASES.items() if len(case.box) > 1 or name.startswith("extremal")]
"""Cases without negative parameters."""
LINES = [name for name in CASES if name not in PATHS]
"""Functions of one variable, linear between the multiples of a power of two."""


def test_there_are_cases_of_every_kind():
    assert {case.quantity for case in CASES.values()} == {"output", "gap", "lipschitz"}
    assert len(CASES) == len(ground_truth_networks()) >= 18
    assert len(PATHS) >= 9
    assert len(LINES) >= 9


@pytest.mark.parametrize("name", CASES)
def test_the_value_is_attained(name):
    case = CASES[name]
    points = [[net(x)[0] for x in case.at] for net in case.networks]
    assert all(low <= entry <= high for x in case.at for entry, (low, high) in zip(x, case.box, strict=True))
    if case.quantity == "lipschitz":
        first, second = case.at
        (values,) = points
        distance = max(abs(a - b) for a, b in zip(first, second, strict=True))
        assert abs(values[0] - values[1]) == case.value * distance
    elif case.quantity == "gap":
        assert abs(points[0][0] - points[1][0]) == case.value
    else:
        assert points[0][0] == case.value
    assert case.value > 0


@pytest.mark.parametrize("name", CASES)
def test_the_query_asks_the_same(name):
    query, case = CASES[name].query, CASES[name]
    assert abs(query.network(query.at)[0]) == query.maximum
    assert all(low <= x <= high for x, (low, high) in zip(query.at, query.box, strict=True))
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = [low + (high - low) * Fraction(int(rng.integers(0, 9)), 8) for low, high in query.box]
        n, outputs = len(case.box), case.networks
        if case.quantity == "lipschitz":
            there = [a + b for a, b in zip(x[:n], x[n:], strict=True)]
            assert query.network(x)[0] == outputs[0](there)[0] - outputs[0](x[:n])[0]
        elif case.quantity == "gap":
            assert query.network(x)[0] == outputs[0](x)[0] - outputs[1](x)[0]
        else:
            assert query.network(x)[0] == outputs[0](x)[0]


def path_products(net):
    oracle = Oracle(pg.to_networkx(net))
    return {path: oracle.product(path) for path in oracle.paths()}


@pytest.mark.parametrize("name", PATHS)
def test_no_path_sum_is_larger(name):
    """The sum over the paths of |product| times the half-width bounds each quantity, for any network."""
    case = CASES[name]
    products = [path_products(net) for net in case.networks]
    if case.quantity == "lipschitz":
        bound = sum(abs(value) for path, value in products[0].items() if path[0] in case.networks[0].inputs)
    elif case.quantity == "gap":
        assert all(0 <= a <= b or 0 <= b <= a for a, b in zip(*(p.values() for p in products), strict=True))
        bound = sum(abs(products[0][path] - products[1][path]) for path in products[0])
    else:
        bound = sum(map(abs, products[0].values()))
    assert bound == case.value
    assert all(value >= 0 for net in case.networks for value in net.values)
    assert all((low, high) == (-1, 1) for low, high in case.box)


@pytest.mark.parametrize("name", LINES)
def test_no_piece_is_steeper(name):
    """All knots are on the grid, where the breakpoints of the layers are; the middles lie on the chords."""
    case = CASES[name]
    m = max(len(layers(net)[0]) for net in case.networks)
    grid = [[Fraction(k, 2**m)] for k in range(2**m + 1)]
    values = [net(np.array(grid, dtype=object))[:, 0] for net in case.networks]
    middles = [
        net(np.array([[x + Fraction(1, 2 ** (m + 1))] for (x,) in grid[:-1]], dtype=object))[:, 0]
        for net in case.networks
    ]
    for at_grid, between in zip(values, middles, strict=True):
        assert (2 * between == at_grid[1:] + at_grid[:-1]).all()
    if case.quantity == "lipschitz":
        assert max(abs(values[0][1:] - values[0][:-1])) * 2**m == case.value
    else:
        assert max(abs(values[0] - values[1])) == case.value


def test_extremal_pairs_stay_below_the_constant():
    case = CASES["extremal-4-4-2-1"]
    assert case.value < pg.lipschitz_constant((4, 4, 2, 1), 2) / 8
    assert case.value > pg.lipschitz_constant((4, 4, 2, 1), 2) / 16


# -- files ----------------------------------------------------------------------------------------------------------


def satisfied(text, x, y):
    """Whether a point fulfils a property, by a reader of the few forms that are written."""
    known = {f"X_{i}": value for i, value in enumerate(x)} | {"Y_0": y}
    holds = []
    for line in text.splitlines():
        claims = re.findall(r"\((>=|<=) (\w+) (-?[\d.]+)\)", line)
        truths = [known[v] >= Fraction(n) if sign == ">=" else known[v] <= Fraction(n) for sign, v, n in claims]
        if claims:
            holds.append(any(truths) if "(or " in line else all(truths))
    return all(holds) and len(holds) == 2 * len(x) + 1


@pytest.mark.parametrize("name", CASES)
def test_properties(name):
    case = CASES[name]
    query = case.query
    y = query.network(query.at)[0]
    attained = property_text(case, query.maximum, "sat")
    assert attained.count("declare-const") == len(query.box) + 1
    assert satisfied(attained, query.at, y)
    assert not satisfied(property_text(case, query.maximum * Fraction(1025, 1024), "unsat"), query.at, y)
    assert not satisfied(attained, [high + 1 for _, high in query.box], y)


@pytest.mark.parametrize("name", CASES)
def test_layer_graphs_compute_the_value_in_float32(name):
    query = CASES[name].query
    x = np.array([query.at], dtype=np.float32)
    weights, biases = layers(query.network)
    for k, (matrix, vector) in enumerate(zip(weights, biases, strict=True)):
        x = x @ np.array(matrix, dtype=np.float32).T + np.array(vector, dtype=np.float32)
        x = np.maximum(x, 0) if k + 1 < len(weights) else x
    assert Fraction(float(abs(x[0, 0]))) == query.maximum
    assert abs(layer_graph(query.network)([list(map(float, query.at))])[0, 0]) == query.maximum


def test_export(tmp_path):
    pytest.importorskip("onnx")
    folder = tmp_path / "new"
    files = export_ground_truth(folder)
    assert sorted(folder.iterdir()) == sorted(files)
    facts = json.loads((folder / "ground_truth.json").read_text())
    instances = [line.split(",") for line in (folder / "instances.csv").read_text().splitlines()]
    assert len(instances) == 2 * len(CASES)
    for fact in facts:
        query = CASES[fact["name"]].query
        graph = pg.from_onnx(folder / fact["network"])
        x = np.array([list(map(float, map(Fraction, fact["attained_at"])))])
        assert abs(graph(x)[0, 0]) == Fraction(fact["largest_output"]) == query.maximum
        assert len([row for row in instances if row[0] == fact["network"]]) == 2
        for name, answer in fact["answers"].items():
            assert [fact["network"], name, "60"] in instances
            text = (folder / name).read_text()
            assert f"; expected: {answer}" in text
            assert satisfied(text, query.at, query.network(query.at)[0]) == (answer == "sat")


def test_exported_networks_run(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    export_ground_truth(tmp_path, list(CASES.values()))
    for name, case in CASES.items():
        session = runtime.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"])
        (x,) = session.get_inputs()
        at = np.array([list(map(float, case.query.at))], dtype=np.float32)
        (y,) = session.run(None, {x.name: at})
        assert (y.dtype, y.shape) == (np.float32, (1, 1))
        assert abs(Fraction(float(y[0, 0]))) == case.query.maximum


@pytest.mark.parametrize(
    ("value", "text"), [(Fraction(3), "3.0"), (Fraction(-5, 4), "-1.25"), (Fraction(1, 1024), "0.0009765625")]
)
def test_decimals_are_exact(value, text):
    assert decimal(value) == text
    assert Fraction(text) == value


def test_numbers_that_cannot_be_written():
    with pytest.raises(pg.ParameterError, match="needed a decimal fraction, got 1/3"):
        decimal(Fraction(1, 3))
    with pytest.raises(pg.ParameterError, match="needed values that float32 holds exactly"):
        layer_graph(pg.from_weights([[[Fraction(1, 3)]]], dtype=object))
    case = CASES["tent-1"]
    wrong = replace(case, query=replace(case.query, maximum=Fraction(1, 3)))
    with pytest.raises(pg.ParameterError, match="decimal fraction"):
        property_text(wrong, wrong.query.maximum, "sat")
