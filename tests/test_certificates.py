"""Certificates: against outputs as executed in every order, against the stand-alone checker, and tampered with."""

import hashlib
import itertools
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.errors import ParameterError, RangeError
from pathgraph.quantization import certificates, check_certificate
from pathgraph.scalars import object_array
from tests.networks import on_networks
from tests.tolerances import gamma

CHECKER = Path(check_certificate.__file__)


def fractions(values):
    return object_array([Fraction(value) for value in values])


def moved(net, seed=0):
    """Another network near a float one."""
    random = np.random.default_rng(seed)
    return net.with_theta(net.theta * random.choice([0, 0.5, 1, 1, 1.25, -1], size=len(net.theta)))


def perceptron(seed=0, widths=(3, 5, 4, 2), bias=True):
    random = np.random.default_rng(seed)
    return pg.from_weights(
        [random.normal(size=(m, n)) for n, m in itertools.pairwise(widths)],
        [random.normal(size=m) if bias else None for m in widths[1:]],
    )


def pooled(seed=0):
    """Max- and second-max-pools, dead neurons and pool candidates that are never selected."""
    import networkx as nx

    random = np.random.default_rng(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(["x0", "x1", "x2"], activation="input")
    for i in range(6):
        graph.add_node(f"h{i}", activation="relu", bias=float([-20, 0, 1, 30, -2, 0.5][i]))
        graph.add_weighted_edges_from((f"x{j}", f"h{i}", float(random.normal())) for j in range(3))
    for name, rank in (("p", 1), ("q", 2)):
        graph.add_node(name, activation="pool", rank=rank, bias=0.25)
        graph.add_weighted_edges_from((f"h{i}", name, 1.0) for i in range(1, 6))
    graph.add_node("y", activation="identity")
    graph.add_weighted_edges_from([("p", "y", 1.5), ("q", "y", -0.75), ("h0", "y", 3.0), ("x0", "y", 0.5)])
    return pg.from_networkx(graph)


# -- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [perceptron, pooled])
@pytest.mark.parametrize("seed", range(4))
def test_certificates_hold_and_are_the_least_of_the_known_bounds(make, seed):
    net = make(seed)
    other = moved(net, seed)
    certificate = pg.certify(net, other, per_output=True)
    assert certificate.rigorous
    exact, exact_other = net.to_exact(), other.to_exact()
    known = pg.parameter_lipschitz(exact, exact_other, per_output=True, method="meet").upper
    in_exact = pg.certify(exact, exact_other, per_output=True)
    assert (in_exact.upper <= known).all()
    assert (fractions(certificate.upper) >= in_exact.upper).all()
    assert (certificate.upper <= np.nextafter(in_exact.upper.astype(float), np.inf)).all()
    for corner in itertools.product((-1, 0, 1), repeat=3):
        gap = abs(exact(fractions(corner)) - exact_other(fractions(corner)))
        assert (gap <= in_exact.upper).all()
    assert (in_exact.lower <= in_exact.upper).all()


def test_what_is_silent_is_left_out():
    net = pooled()
    change = dict(zip(net.parameters, net.theta, strict=True))
    theta = [w + 100 if name == ("x0", "h0") else w for name, w in change.items()]
    dead_in_one = net.with_theta(theta)
    assert pg.certify(net, dead_in_one).upper > 1
    theta = [w + 2 if name == ("x0", "h0") else w for name, w in change.items()]
    dead_in_both = net.with_theta(theta)
    certificate = pg.certify(net, dead_in_both)
    assert certificate.upper == 0
    assert "without the silent" in certificate.method


def test_large_networks_are_certified_in_floats(monkeypatch):
    net = perceptron(1)
    other = moved(net, 3)
    for execution in ("real", "float64"):
        exact = pg.certify(net, other, execution=execution, per_output=True)
        with monkeypatch.context() as patch:
            patch.setattr(certificates, "EXACT_ENTRIES", 0)
            floats = pg.certify(net, other, execution=execution, per_output=True)
            total = pg.certify(net, other, execution=execution, r=2)
            with pytest.raises(ParameterError, match="the checker computes in rationals"):
                floats.to_json()
        assert floats.rigorous
        assert (floats.upper >= exact.upper).all()
        # Sweeps of at most 5 states, over levels of at most 0, 4, 6 and 5 terms and as many products, each by what took
        # 4 roundings; a bound allows for twice the round-off that it has, and is rounded upwards.
        steps = 5 * (0 + 4 + 6 + 5 + 4) + 4 * 4
        assert (floats.upper <= exact.upper * (1 + 4 * float(gamma(steps)))).all()
        assert total.upper >= pg.certify(net, other, execution=execution, r=2).upper


# -- the network as executed --------------------------------------------------------------------------------------


def executed(net, x, dtype, random):
    """The outputs, every sum in a random order, every operation rounded to the type."""
    graph, values = net.architecture, [dtype(w) for w in net.values.tolist()]
    out = []
    for v in range(graph.n_nodes):
        if graph.activations[v] == "input":
            out.append(dtype(x[graph.input.tolist().index(v)]))
            continue
        parts, bias = [], []
        for e in graph.entries_into(v).tolist():
            if e < graph.n_edges:
                parts.append(dtype(values[e] * out[graph.antecedent[e]]))
            else:
                bias.append(values[e])
        if graph.activations[v] == "pool":
            parts = [sorted(parts)[-graph.rank[v]]]
        parts += bias
        while len(parts) > 1:  # any tree of additions
            i, j = random.choice(len(parts), size=2, replace=False)
            both = dtype(parts[i] + parts[j])
            parts = [part for k, part in enumerate(parts) if k not in (i, j)] + [both]
        value = parts[0] if parts else dtype(0)
        out.append(max(value, dtype(0)) if graph.activations[v] == "relu" else value)
    return [Fraction(float(out[v])) for v in graph.output.tolist()]


@pytest.mark.parametrize(
    ("execution", "format", "dtype"), [("float16", "fp16", np.float16), ("float32", "fp32", np.float32)]
)
@pytest.mark.parametrize("make", [perceptron, pooled])
def test_no_order_of_the_sums_leaves_the_certificate(make, execution, format, dtype):
    random = np.random.default_rng(0)
    closest = Fraction(0)
    for seed in range(3):
        net = make(seed)
        other = pg.quantize(net, pg.Quantizer(format=format))
        bound = pg.certify(net, other, execution=execution, per_output=True)
        exact = net.to_exact()
        for _ in range(40):
            x = random.choice([-1, -0.5, 0.25, 1], size=3)
            wanted = exact(fractions(x))
            got = executed(other, x, dtype, random)
            for gap, end in zip(np.abs(wanted - np.array(got, dtype=object)), bound.upper, strict=True):
                assert gap <= Fraction(end)
                closest = max(closest, gap / Fraction(end))
    assert closest > Fraction(1, 200), "a bound far above what happens would pass every test"


def test_cancelling_sums_that_depend_on_their_order_are_covered():
    # 2048 + 1 - 2048 is 0 or 1 in float16, according to the order
    net = pg.from_weights([[[2048.0, 1.0, -2048.0]]])
    random = np.random.default_rng(0)
    seen = {executed(net, [1, 1, 1], np.float16, random)[0] for _ in range(30)}
    assert seen == {0, 1}
    bound = pg.certify(net, net, execution="float16")
    assert bound.upper >= 1
    assert bound.lower == 0
    assert pg.certify(net, net).upper == 0


def test_underflow_is_covered():
    net = pg.from_weights([[[2.0**-14]], [[2.0**-14]], [[2.0**10]]])
    lost = executed(net, [1], np.float16, np.random.default_rng(0))[0] - net.to_exact()(fractions([1]))[0]
    assert lost != 0
    assert abs(lost) <= Fraction(pg.certify(net, net, execution="float16").upper)


def test_what_may_overflow_is_refused():
    net = pg.from_weights([[[200.0, 200.0]], [[200.0]]])
    with pytest.raises(RangeError, match=r"may reach 8\.01.e4, beyond the largest float16, 6\.55e4"):
        pg.certify(net, net, execution="float16")
    one, huge = (pg.from_weights([[[size]]], dtype=object) for size in (1, 10**5000))
    with pytest.raises(RangeError, match="may reach 1e5000, beyond the largest float16"):
        pg.certify(one, one, execution="float16", inputs=10**5000)
    with pytest.raises(ParameterError, match="= ~1e5000 is no float16"):
        pg.certify(huge, huge, execution="float16")
    assert pg.certify(net, net, execution="float16", inputs=0.5).upper > 0
    with pytest.raises(RangeError, match="beyond the largest float32"):
        pg.certify(*[pg.from_weights([[[2.0**127]], [[4.0]]])] * 2, execution="float32")


def test_partial_sums_may_overflow_where_the_sum_does_not():
    net = pg.from_weights([[[40000.0, 40000.0, -40000.0]]])
    net = pg.quantize(net, pg.Quantizer(format="fp16"))
    with pytest.raises(RangeError, match="beyond the largest float16"):
        pg.certify(net, net, execution="float16")


def test_entries_that_the_format_does_not_hold_are_refused():
    with pytest.raises(ParameterError, match=r"other: .* is no float16; quantize the network first"):
        pg.certify(perceptron(), perceptron(), execution="float16")


def test_too_many_terms_for_a_format_are_refused():
    net = pg.from_weights([np.full((1, 300), 2.0**-10)])
    with pytest.raises(ParameterError, match="adds 300 terms with no accuracy"):
        pg.certify(net, net, execution="bfloat16")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"execution": "int8"}, "execution: needed one of"),
        ({"order": "sequential"}, "order: needed 'any'"),
        ({"r": 0.5}, "r: needed"),
        ({"inputs": -1}, "must be >= 0"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        pg.certify(perceptron(), perceptron(), **options)
    with pytest.raises(ParameterError, match="same architecture"):
        pg.certify(perceptron(), perceptron(bias=False))


# -- the checker --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execution", ["real", "float16"])
@pytest.mark.parametrize("make", [perceptron, pooled])
@pytest.mark.parametrize("seed", range(3))
def test_the_checker_finds_the_same_bounds(make, execution, seed):
    net = pg.quantize(make(seed), pg.Quantizer(format="fp16"))
    other = moved(net, seed) if execution == "real" else pg.quantize(moved(net, seed), pg.Quantizer(format="fp16"))
    certificate = pg.certify(net.to_exact(), other.to_exact(), execution=execution)
    content = check_certificate.read(certificate.to_json())
    assert check_certificate.bounds(content) == certificate.per_output.tolist()


@on_networks()
def test_every_kind_of_network_is_accepted_by_the_checker(case):
    net = case.net
    other = net.with_theta(net.theta * 2)
    certificate = pg.certify(net, other)
    claimed = check_certificate.check(certificate.to_json())
    assert sum(claimed) >= certificate.upper


def forged(text, change):
    """A certificate that has been changed by someone who can compute a digest."""
    content = json.loads(text)
    del content["digest"]
    change(content)
    content["digest"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps(content, sort_keys=True)


def smaller(bound):
    return str(Fraction(bound) * Fraction(999, 1000))


FORGERIES = {
    "a smaller bound": lambda c: c["bounds"].__setitem__(0, smaller(c["bounds"][0])),
    "a larger change": lambda c: c["neurons"][4]["edges"][0].__setitem__(2, "1000"),
    "a larger box": lambda c: c["inputs"].__setitem__("0", "100"),
    "a missing bound": lambda c: c["bounds"].pop(),
    "another output": lambda c: c["outputs"].__setitem__(0, -1),
    "a cycle": lambda c: c["neurons"][3]["edges"][0].__setitem__(0, 5),
    "a forward edge": lambda c: c["neurons"][3]["edges"].append([3, "1", "1"]),
    "an edge twice": lambda c: c["neurons"][3]["edges"].append(c["neurons"][3]["edges"][0]),
    "an unknown activation": lambda c: c["neurons"][3].__setitem__("activation", "tanh"),
    "a neuron made an input": lambda c: c["neurons"][3].__setitem__("activation", "input"),
    "a negative width": lambda c: c["inputs"].__setitem__("0", "-1"),
    "a coarser execution": lambda c: c["execution"].__setitem__("precision", 2),
    "no execution at all": lambda c: c["execution"].__setitem__("precision", 10**9),
    "a decimal bomb": lambda c: c["bounds"].__setitem__(0, "1e999999999"),
    "a zero denominator": lambda c: c["bounds"].__setitem__(0, "1/0"),
    "an input twice": lambda c: c["inputs"].__setitem__("00", "0"),
    "a width of no input": lambda c: c["inputs"].__setitem__("99", "0"),
    "no outputs": lambda c: (c.__setitem__("outputs", []), c.__setitem__("bounds", [])),
    "a parameter between two numbers of the format": lambda c: c["neurons"][4]["edges"][0].__setitem__(2, "1/3"),
    "a parameter beyond the format": lambda c: c["neurons"][4]["edges"][0].__setitem__(2, "65536"),
    "an enormous claim": lambda c: c["bounds"].__setitem__(0, "x" * 5000),
    "nonsense": lambda c: c.__setitem__("neurons", [3]),
    "another format": lambda c: c.__setitem__("format", "x"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_certificates_are_refused(forgery, tmp_path, capsys, monkeypatch):
    net = pg.quantize(perceptron(), pg.Quantizer(format="fp16"))
    other = pg.quantize(net, pg.Quantizer(format="e5m2"))
    text = pg.certify(net, other, execution="float16").to_json()
    assert check_certificate.check(text)
    path = tmp_path / "certificate.json"
    path.write_text(forged(text, FORGERIES[forgery]))
    monkeypatch.setattr(sys, "argv", ["check", str(path)])
    assert check_certificate.main() == 1
    assert "refused" in capsys.readouterr().err


def test_without_a_file_the_checker_says_its_usage(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["check"])
    assert check_certificate.main() == 2
    assert capsys.readouterr().err == "usage: check_certificate.py FILE\n"


def test_keys_that_stand_twice_are_refused():
    """Python takes the last of them, a reader sees the first."""
    net = pg.from_weights([[[1]]], dtype=object)
    text = pg.certify(net, net.with_theta([2]), inputs=100).to_json()
    twice = text.replace('"inputs": {"0": "100"}', '"inputs": {"0": "100", "0": "0"}').replace('["100"]', '["0"]')
    assert twice.count('"0"') > text.count('"0"')
    with pytest.raises(ValueError, match="a key stands twice"):
        check_certificate.check(twice)


def test_the_checker_stands_alone(tmp_path):
    source = CHECKER.read_text()
    assert len(source.splitlines()) <= 150
    assert "pathgraph" not in [
        line.split()[1].split(".")[0] for line in source.splitlines() if line[:5] in ("impor", "from ")
    ]
    net = perceptron()
    text = pg.certify(net, moved(net)).to_json()
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(text)
    bad.write_text(text.replace('"rank": 1', '"rank": 2', 1))
    run = [sys.executable, "-I", "-S", str(CHECKER)]
    accepted = subprocess.run([*run, str(good)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert accepted.returncode == 0
    assert accepted.stdout.startswith("accepted: ")
    refused = subprocess.run([*run, str(bad)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "the digest is wrong" in refused.stderr
    missing = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert missing.returncode == 2
