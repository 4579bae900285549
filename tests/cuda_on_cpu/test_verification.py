"""The command that verifies kernels on a GPU, here on the CPU: right kernels pass, wrong ones are refused."""

import json
import re
import types

import numpy as np
import pytest

import pathgraph as pg
from pathgraph_gpu import complex_products, networks, products, sources
from pathgraph_gpu._availability import Availability
from pathgraph_gpu.configurations import Configuration
from pathgraph_gpu.device import Device
from pathgraph_gpu.tiles import TILES
from pathgraph_gpu.verification import command, product_checks, timing
from pathgraph_gpu.verification.network_checks import QS, layered, network_outcomes, shifted
from pathgraph_gpu.verification.outcomes import Outcome, Recorder, gamma, near, outcome
from pathgraph_gpu.verification.product_checks import multiplied, product_outcomes, values_gradient
from pathgraph_gpu.verification.references import evaluated, powers, swept, through
from tests.cuda_on_cpu.runtime import XP, CpuKernel, aligned, clock, cpu_device, needs_compiler

pytestmark = needs_compiler

CPU = cpu_device("fast")
SOME = {name: tiles[-4:-3] for name, tiles in TILES.items()}


def problems(outcomes):
    return [one for one in outcomes if not one]


def changed(file, old, new):
    """The device with one text changed; `old` must be in it."""
    assert old in sources.text(file)

    def compiler(text, name, options):
        if text == sources.text(file):
            text = text.replace(old, new)
        return CpuKernel(text, name, options, mode="fast")

    return Device("wrong", XP, compiler, clock)


# -- right kernels, wrong kernels ---------------------------------------------------------------------------------


def test_right_kernels_of_networks_pass_and_every_configuration_is_launched():
    outcomes = list(network_outcomes(CPU, quick=True))
    assert problems(outcomes) == []
    assert outcomes[-1].name == "every configuration ran"
    assert len(outcomes) > 100
    assert max(one.error for one in outcomes) > 0  # something was rounded


@pytest.mark.parametrize("quick", [False, True])
def test_every_configuration_of_products_is_launched(quick, monkeypatch):
    """Which ones are depends on shapes and addresses only: kernels need not run, and results are not looked at."""

    def compiler(text, name, options):
        return lambda grid, block, args, **more: None

    monkeypatch.setattr(product_checks, "_compared", lambda *given: 0.0)
    namespace = types.SimpleNamespace(**vars(XP) | {"empty": lambda shape, dtype: aligned(np.zeros(shape, dtype))})
    namespace.array = lambda array: aligned(np.asarray(array))
    outcomes = list(product_outcomes(Device("idle", namespace, compiler, clock), quick=quick))
    assert problems(outcomes) == []
    assert outcomes[-1].name == "every configuration ran"


def test_right_kernels_of_products_pass():
    outcomes = list(product_outcomes(CPU, quick=True, tiles=SOME))
    assert problems(outcomes) == []
    assert {one.name.split()[0].strip(",") for one in outcomes} == {*TILES, "complex64", "complex128"}
    assert all(0 < one.error <= 1 for one in outcomes if "complex" in one.name)  # something was rounded


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("path_marginals", "for (int k = 1; k < 8; ++k)", "for (int k = 1; k < 7; ++k)", "through parameters"),
        ("path_sums", "if (bias[v] >= 0)", "if (bias[v] > 0)", "sums"),
        ("path_sums", "gap > 1100", "gap > 10", "sums"),
        ("path_values", "out[i] = numbers[place[i]];", "out[i] = numbers[i];", "parameters"),
        ("evaluate", "for (long long k = 0; k < degree; ++k)", "for (long long k = 1; k < degree; ++k)", "values"),
        ("evaluate", "if (activation[v] == RELU && total < 0)", "if (total < 0)", "values"),
    ],
)
def test_wrong_kernels_of_networks_are_refused(file, old, new, what):
    found = problems(network_outcomes(changed(file, old, new), quick=True, dtypes=(np.float64,), qs=(1,)))
    assert found
    assert all(what in one.name for one in found)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("chains", "for (int s = factors - 1; s >= 0; --s)", "for (int s = factors - 1; s > 0; --s)"),
        ("chains", "sum.both_real - sum.both_imag", "sum.both_real + sum.both_imag"),
        ("products", "(chunks - 1) * turn_a", "(chunks > 1 ? chunks - 2 : 0) * turn_a"),
        ("products", "A + (a_i0 * a_i + l0 * a_l + m0", "A + (a_i0 * a_i + m0"),
    ],
)
def test_wrong_kernels_of_products_are_refused(file, old, new):
    tiles = {"float32": SOME["float32"]}
    assert problems(product_outcomes(changed(file, old, new), quick=True, tiles=tiles))


def test_a_kernel_that_is_not_accepted_is_wrong():
    def compiler(text, name, options):
        raise RuntimeError("no image for this device")

    found = list(network_outcomes(Device("none", XP, compiler, clock), quick=True, dtypes=(np.float32,), qs=(1,)))
    assert found
    assert all("no image" in one.problem for one in found)


def test_a_sum_in_another_order_at_every_run_is_refused():
    """Sums whose last bit changes are within all bounds; two runs tell."""
    turn = iter(range(10**6))

    def compiler(text, name, options):
        kernel = CpuKernel(text, name, options, mode="fast")

        def launch(grid, block, args, **more):
            kernel(grid, block, args, **more)
            if name == "evaluate_store" and next(turn) % 2:
                args[4][...] = np.nextafter(args[4], np.inf)

        return launch

    found = problems(network_outcomes(Device("drifting", XP, compiler, clock), quick=True, dtypes=(np.float64,), qs=()))
    assert any("different bits" in one.problem for one in found)


def test_configurations_that_were_not_launched_are_named():
    recorder = Recorder(CPU)
    one, other = networks.configurations()[:2]
    recorder.launched.add((one.file, one.kernel, one.options))
    (missing,) = recorder.missing([one, other])
    assert other.kernel in missing


def test_a_launch_that_fails_does_not_count():
    def compiler(text, name, options):
        def launch(grid, block, args, **more):
            raise RuntimeError("out of resources")

        return launch

    recorder = Recorder(Device("none", XP, compiler, clock))
    with pytest.raises(RuntimeError):
        recorder.kernel("evaluate", "evaluate_load")((1,), (1,), ())
    assert not recorder.launched


# -- references ---------------------------------------------------------------------------------------------------


def test_references_are_those_of_pathgraph():
    """On dyadic numbers, for which both are exact."""
    net = layered([4, 7, 5, 2], 3).map_values(lambda values: np.round(4 * values) / 4)
    widths = np.arange(1.0, 5)
    outputs = net.dag.outputs - 1
    for q in (1, 2, 3, np.inf):
        expected = pg.path_norm(net, q, root=False, per_output=True, inputs=widths)
        assert np.array_equal(swept(net, q, widths)[outputs], expected)
    assert np.array_equal(swept(net, None, -widths)[outputs], pg.path_sum(net, per_output=True, inputs=-widths))
    assert np.array_equal(through(net, None, -widths), pg.path_marginals(net, inputs=-widths))
    assert np.array_equal(through(net, 1, widths), pg.path_magnitude(net, inputs=widths))
    rows = np.arange(-6.0, 6).reshape(3, 4)
    assert np.array_equal(evaluated(net, rows), net.neuron_values(rows))
    assert powers(np.array([-2.0]), None) == -2


def test_levels_that_are_multiplied_multiply_the_sums():
    plain, far = shifted([0] * 8, np.float64), shifted([3] * 8, np.float64)
    for q in (1, 2, np.inf):
        scale = 2.0 ** (24 * (q if q != np.inf else 1))
        assert pg.path_norm(far, q, root=False) == scale * pg.path_norm(plain, q, root=False)


def test_products_are_those_of_pathgraph():
    random = np.random.default_rng(0)
    matrix = pg.KSMatrix(random.integers(-4, 5, size=(2, 3, 4, 5)).astype(float))
    x = random.integers(-4, 5, size=(1, matrix.shape[1], 6)).astype(float)
    assert np.array_equal(multiplied(np.asarray(matrix.values), x)[0], matrix.toarray() @ x[0])
    y = random.integers(-4, 5, size=(1, matrix.shape[0], 6)).astype(float)
    assert np.array_equal(multiplied(np.asarray(matrix.values), y, transposed=True)[0], matrix.toarray().T @ y[0])
    wanted = matrix.astype(complex).vjp(x * (1 + 2j), y * (3 - 1j), 1)[1]
    assert np.array_equal(values_gradient(wanted.shape, x * (1 + 2j), y * (3 - 1j)), wanted)


def test_wrong_complex_products_are_refused(monkeypatch):
    """One part of the values is taken for the other; the gradient forgets to conjugate."""
    right = complex_products._entries

    def checks():
        return problems(product_outcomes(CPU, quick=True, tiles={"float32": ()}))

    assert checks() == []
    with monkeypatch.context() as patched:
        patched.setattr(complex_products, "_entries", lambda device, part, wide: right(device, abs(part), wide))
        assert any("the tile that is chosen" in one.name for one in checks())
    gradient = complex_products.values_gradient
    monkeypatch.setattr(complex_products, "values_gradient", lambda d, p, x, g: gradient(d, p, x.conj(), g))
    found = checks()
    assert found
    assert all("complex64, gradient" in one.name for one in found)


# -- comparisons --------------------------------------------------------------------------------------------------


def test_near():
    assert near([1.0, 2.0], [1.0, 2.0], 0.0) == 0
    assert near([1.0, 2.0], [1.0, 2.5], [0.0, 1.0]) == 0.5
    for found, expected, slack in (([1.0], [1.0, 2.0], 1.0), ([np.nan], [1.0], 1.0), ([1.0], [2.5], 1.0)):
        with pytest.raises(ArithmeticError):
            near(found, expected, slack)
    assert gamma(2, np.float32) == 2.0**-23 / (1 - 2.0**-23)
    with pytest.raises(ArithmeticError, match="no digit"):
        gamma(1 << 24, np.float32)
    assert outcome("a", lambda: None) == Outcome("a")


# -- times --------------------------------------------------------------------------------------------------------


class Meter:
    """A counter that a run drives: each takes 3 joules."""

    total = 0.0

    def joules(self):
        return self.total


def with_matmul():
    namespace = types.SimpleNamespace(**vars(XP), matmul=np.matmul, maximum=np.maximum)
    namespace.ascontiguousarray = lambda array, dtype=None: np.ascontiguousarray(array, dtype=dtype).view(type(array))
    return Device("the CPU", namespace, CPU._compiler, clock)


class SmallIntegers:
    """A generator whose numbers are small integers, so that all sums of their products are exact."""

    def __init__(self, seed):
        self.random = np.random.Generator(np.random.PCG64(seed))

    def normal(self, size):
        return self.random.integers(-3, 4, size).astype(float)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_the_variants_of_a_case_compute_the_same(dtype, monkeypatch):
    monkeypatch.setattr(np.random, "default_rng", SmallIntegers)
    device = with_matmul()
    cases = list(timing.product_cases(device, dtype, batch=6, patterns=((2, 3, 4, 5), (1, 5, 3, 1))))
    cases += timing.network_cases(device, np.float64, width=16, depth=3, batch=5)  # divided by 4
    assert len(cases) == 6
    for case in cases:
        assert next(iter(case.variants)) == "pathgraph"
        assert len(case.variants) == (2 if "layers" in case.title else 3)
        first, *others = (np.asarray(run()) for run in case.variants.values())
        for other in others:
            assert other.shape == first.shape
            assert np.array_equal(other, first)


def test_every_sample_and_the_energy_are_kept(capsys):
    meter = Meter()

    def run():
        meter.total += 3.0

    def fails():
        raise MemoryError("no room")

    case = timing.Case("a product", 2e9, 1e8, {"pathgraph": run, "dense": fails})
    found = command.timed([case], command.Meter(lambda run: [0.5, 0.25, 1.0], lambda: None, meter))
    assert found == [timing.Timing("a product", "pathgraph", 2e9, 1e8, [0.5, 0.25, 1.0], 3.0)]
    printed = capsys.readouterr().out
    assert "500.000 ms" in printed
    assert "3.0000 J" in printed
    assert "dense: not timed, MemoryError: no room" in printed


# -- the command --------------------------------------------------------------------------------------------------


def test_without_a_gpu_nothing_is_verified(monkeypatch, capsys):
    monkeypatch.setattr(command, "is_available", lambda: Availability(False, "CuPy is not installed"))
    assert command.main([]) == 3
    assert capsys.readouterr().out == "NOT VERIFIED: CuPy is not installed\n"


@pytest.fixture
def pretended(monkeypatch):
    """A GPU whose checks and cases are few."""
    monkeypatch.setattr(command, "is_available", lambda: Availability(True, "yes"))
    monkeypatch.setattr(command, "cuda", with_matmul)
    monkeypatch.setattr(command, "_described", lambda: ({"gpu": "none"}, "0000:00:00.0"))
    monkeypatch.setattr(command, "cupy_timer", lambda: lambda run: [0.5, 1.0])
    device = types.SimpleNamespace(synchronize=lambda: None)
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(Device=lambda: device))
    monkeypatch.setattr(command, "import_module", lambda name: cupy)

    def no_counter(bus):
        raise pg.BackendError(f"no counter at {bus}")

    monkeypatch.setattr(command, "nvml_counter", no_counter)
    case = timing.Case("a product", 1.0, 1.0, {"pathgraph": lambda: None})
    for name in ("product_cases", "network_cases"):
        monkeypatch.setattr(command, name, lambda device, dtype: [case])
    monkeypatch.setattr(command, "network_outcomes", lambda device, quick: [Outcome("sums")])
    monkeypatch.setattr(command, "product_outcomes", lambda device, quick: [Outcome("products", error=0.5)])


@pytest.mark.usefixtures("pretended")
def test_the_command_verifies_then_times_and_keeps_everything(tmp_path, capsys):
    file = tmp_path / "out.json"
    assert command.main(["--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "not measured: no counter at 0000:00:00.0" in printed
    assert re.search(r"VERIFIED: 2 checks", printed)
    data = json.loads(file.read_text(encoding="utf-8"))
    assert data["device"] == {"gpu": "none"}
    assert [one["name"] for one in data["checks"]] == ["sums", "products"]
    assert [one["seconds"] for one in data["timings"]] == [[0.5, 1.0]] * 6


@pytest.mark.usefixtures("pretended")
def test_quick_times_nothing(tmp_path, capsys):
    file = tmp_path / "out.json"
    assert command.main(["--quick", "--json", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8"))["timings"] == []
    assert " ms " not in capsys.readouterr().out


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize("outcomes", [[Outcome("sums", "ArithmeticError: off")], []])
def test_what_is_wrong_is_not_timed(monkeypatch, tmp_path, capsys, outcomes):
    monkeypatch.setattr(command, "network_outcomes", lambda device, quick: outcomes)
    monkeypatch.setattr(command, "product_outcomes", lambda device, quick: [])
    file = tmp_path / "out.json"
    assert command.main(["--json", str(file)]) == 1
    assert json.loads(file.read_text(encoding="utf-8"))["timings"] == []
    assert "nothing is timed" in capsys.readouterr().err


def test_the_default_checks_are_those_of_networks_and_products():
    assert {one.file for one in (*networks.configurations(), *products.configurations())} == set(sources.names())
    assert all(isinstance(one, Configuration) for one in products.configurations())
    assert set(QS) == {None, 1, 2, 3, 4, np.inf}
