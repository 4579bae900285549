r"""Path sums and evaluation on a device against plain NumPy, on ragged networks, in every configuration of the kernels.

Bounds: each sum is off by at most :math:`\gamma_k` times the sum of the absolute terms, k roundings on the longest way
(`references.roundings`) in the arithmetic of the kernel and as many in float64. Powers of entries that are no squares
take 14 more: 4 ulp of ``powf`` and 2 of ``exp2``, as CUDA documents them, are 12 units of round-off, and two products
follow. Evaluation adds nothing: ReLU and k-max-pools are exact, and 1-Lipschitz for the supremum norm.

Networks whose sums leave the range of floats are moderate ones whose levels were multiplied by powers of two; so their
sums are those of the moderate ones, times a power of two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.graph.conversion import from_networkx
from pathgraph.graph.device_network import DeviceNetwork, Start
from pathgraph.graph.weights import from_weights
from pathgraph.pathsum.scaled import SCALED_DTYPE
from pathgraph_gpu import networks
from pathgraph_gpu.verification.outcomes import Outcome, Recorder, gamma, near, outcome, twice
from pathgraph_gpu.verification.references import evaluated, roundings, swept, through

if TYPE_CHECKING:
    from pathgraph.graph.network import Network
    from pathgraph_gpu.device import Device

__all__ = ["QS", "layered", "network_outcomes", "ragged_networks"]

QS: tuple[float | None, ...] = (None, 1, 2, 3, 4, np.inf)
"""Of all the powers that the kernels treat in a way of their own."""
POWER_ROUNDINGS = {None: 0, 1: 0, 2: 1, 3: 14, 4: 3, np.inf: 0}
BATCHES = (1, 31, 33, 129, 300)


# -- networks -----------------------------------------------------------------------------------------------------


def layered(widths: Sequence[int], seed: int) -> Network:
    """Dense layers with biases."""
    random = np.random.default_rng(seed)
    weights = [random.normal(size=(m, n)) / np.sqrt(n) for n, m in pairwise(widths)]
    return from_weights(weights, [random.normal(size=m) for m in widths[1:]])


def shifted(shift: Sequence[int], dtype: Any) -> Network:
    """Narrow dense layers of which number k is multiplied by 2**shift[k].

    Two entries of the first share a parameter; its neurons have biases, which are multiplied as it is. So all sums over
    paths from the inputs to the outputs are multiplied by 2**sum(shift).
    """
    random, graph = np.random.default_rng(7), nx.DiGraph()
    widths = [(5, 9, 4, 7)[k % 4] for k in range(len(shift) + 1)]
    graph.add_nodes_from(((0, i) for i in range(widths[0])), activation="input")
    for k, (s, (n, m)) in enumerate(zip(shift, pairwise(widths), strict=True)):
        weights = np.ldexp((random.normal(size=(m, n)) / np.sqrt(n)).astype(dtype).astype(np.float64), s)
        is_last = k == len(shift) - 1
        for j in range(m):
            graph.add_node((k + 1, j), activation="identity" if is_last else "relu", output=is_last)
            if k == 0:
                graph.nodes[1, j]["bias"] = float(weights[j, 0])
            for i in range(n):
                graph.add_edge((k, i), (k + 1, j), weight=float(weights[j, i]))
    graph.edges[(0, 0), (1, 0)]["parameter"] = "shared"
    graph.edges[(0, 1), (1, 0)].update(weight=graph.edges[(0, 0), (1, 0)]["weight"], parameter="shared")
    return from_networkx(graph)


def scattered(seed: int, width: int = 37, levels: int = 5) -> Network:
    """Runs and scattered antecedents, skips, pools of any rank, identities, and two entries that share a parameter."""
    random = np.random.default_rng(seed)
    graph: nx.DiGraph[Any] = nx.DiGraph()
    for v in range(width * levels):
        level = v // width
        if level == 0:
            graph.add_node(v, activation="input")
            continue
        runs = v % width < width // 2
        degree = width - 4 if runs else int(random.integers(1, 8))
        first = (level - 1) * width
        chosen = range(first, first + degree) if runs else random.choice(level * width, degree, replace=False).tolist()
        kind = "identity" if level == levels - 1 else ("relu", "relu", "identity", "pool")[int(random.integers(4))]
        rank = {"rank": int(random.integers(1, degree + 1))} if kind == "pool" else {}
        graph.add_node(v, activation=kind, **rank)
        if random.integers(2):
            graph.nodes[v]["bias"] = float(random.normal())
        for u in chosen:
            graph.add_edge(u, v, weight=float(random.normal()) / np.sqrt(degree))
    for v in (width, 2 * width):
        u = next(iter(graph.predecessors(v)))
        graph.edges[u, v].update(weight=0.75, parameter="shared")
    for v, data in graph.nodes(data=True):
        data["output"] = v >= width * (levels - 1)
        if not data["output"] and not any(graph.successors(v)):
            graph.add_edge(v, width * levels - 1, weight=0.5)
    return from_networkx(graph)


def ragged_networks(*, quick: bool) -> dict[str, Network]:
    """Networks of all shapes, with numbers in the range of float32."""
    constant: nx.DiGraph[Any] = nx.DiGraph()
    constant.add_node("x", activation="input")
    constant.add_node("y", activation="identity", bias=1.5, output=True)
    found = {
        "a constant": from_networkx(constant),
        "one edge": layered([1, 1], 0),
        "dense 7-33-65-3": layered([7, 33, 65, 3], 1),
        "scattered, pools, shared": scattered(2),
        "40 narrow levels": layered([3] * 41, 3),
    }
    if not quick:
        found |= {
            "fan-in 3001": layered([3001, 2, 1], 4),
            "dense 130-257-129-31": layered([130, 257, 129, 31], 5),
            "scattered, wide": scattered(6, width=301, levels=4),
        }
    return found


# -- sums ---------------------------------------------------------------------------------------------------------


def _bound(net: Network, q: float | None, dtype: Any, times: int = 1) -> float:
    k = times * roundings(net, POWER_ROUNDINGS[q])
    return gamma(k, dtype) + gamma(k, np.float64)


def _sums(device: Device, net: Network, there: DeviceNetwork, q: float | None, dtype: Any, shift: int) -> float:
    """The sums at the outputs, for 3 boxes of inputs, times 2**-shift."""
    random = np.random.default_rng(len(net.nodes))
    boxes = random.normal(size=(3, len(net.inputs)))
    boxes = boxes if q is None else np.abs(boxes)
    start = Start(None, device.to_device(boxes), True)
    found = twice(lambda: networks.sums(device, there, q, start, None, dtype))
    if shift and found.dtype != SCALED_DTYPE:
        raise ArithmeticError(f"needed scaled numbers, got {found.dtype}")
    if found.dtype == SCALED_DTYPE:
        found = np.ldexp(found["mantissa"], (found["exponent"] - shift).astype(np.int32))
    at = net.dag.outputs - 1
    expected = np.stack([swept(net, q, box)[at] for box in boxes])
    mass = expected if q is not None else np.stack([swept(net, 1, np.abs(box))[at] for box in boxes])
    return near(found, expected, _bound(net, q, dtype) * mass)


def _masses(device: Device, net: Network, there: DeviceNetwork, q: float | None) -> float:
    """The sums through the parameters; their products and sums over shared places round a little more."""
    inputs = np.abs(np.random.default_rng(1).normal(size=len(net.inputs)))
    start = Start(None, device.to_device(inputs), True)
    found = twice(lambda: device.to_host(networks.masses(device, there, q, start, "masses")))
    expected, mass = through(net, q, inputs), through(net, 1, inputs)
    return near(found, expected, _bound(net, q, np.float64, 3) * mass)


def _values(device: Device, net: Network, there: DeviceNetwork, dtype: Any, batch: int) -> float:
    rows = np.random.default_rng(batch).normal(size=(batch, len(net.inputs))).astype(dtype)
    moved = device.to_device(rows)
    found = twice(lambda: device.to_host(networks.evaluate(device, there, moved, neurons=True)))
    outputs = twice(lambda: device.to_host(networks.evaluate(device, there, moved)))
    if not np.array_equal(outputs, found[:, net.dag.outputs - 1]):
        raise ArithmeticError("the outputs are not the values of the neurons that are outputs")
    mass = np.stack([swept(net, 1, row) for row in np.abs(rows)])
    return near(found, evaluated(net, rows), _bound(net, None, dtype) * mass)


def _entries(device: Device, net: Network, there: DeviceNetwork) -> None:
    """Parameters are taken from the entries and put back, and entries are checked: all to the last bit."""
    theta = networks.theta(device, there)
    if device.to_host(theta).tobytes() != net.theta.tobytes():
        raise ArithmeticError("theta: other bits than on the CPU")
    back = device.to_host(networks.values_of(device, there, theta))
    if back.tobytes() != net.values.tobytes():
        raise ArithmeticError("values: other bits than on the CPU")
    networks.check(device, net.architecture, there.values, "values")
    wrong = net.values.copy()
    wrong[-1] = np.nan
    try:
        networks.check(device, net.architecture, device.to_device(wrong), "values")
    except ParameterError:
        return
    raise ArithmeticError("a NaN among the values was not refused")


# -- all of it ----------------------------------------------------------------------------------------------------


def _moved(device: Device, net: Network) -> DeviceNetwork:
    return DeviceNetwork._of(net.architecture, device.to_device(net.values), device)


def network_outcomes(
    device: Device, *, quick: bool = False, dtypes: Sequence[Any] = (np.float32, np.float64), qs: Sequence[Any] = QS
) -> Iterator[Outcome]:
    """Check the kernels of path sums and of evaluation.

    Parameters
    ----------
    device : Device
    quick : bool
        Small networks only, as for a sanitizer.
    dtypes, qs : sequences
        Of the values, and the powers; all by default. Then the last outcome says whether every configuration ran.

    Yields
    ------
    Outcome
    """
    recorder = Recorder(device)
    for dtype in map(np.dtype, dtypes):
        for name, wide in ragged_networks(quick=quick).items():
            net = wide.to_float(dtype)
            there = _moved(recorder, net)
            title = f"{dtype.name}, {name}"
            yield outcome(f"{title}: parameters", partial(_entries, recorder, net, there))
            for batch in BATCHES[: 3 if quick else None]:
                check = partial(_values, recorder, net, there, dtype, batch)
                yield outcome(f"{title}: values, batch {batch}", check)
            for q in qs:
                yield from _sweeps(recorder, net, there, q, title)
        yield from _beyond(recorder, dtype, qs)
    if len(dtypes) == 2 and len(qs) == len(QS):
        yield outcome("every configuration ran", lambda: recorder.require(networks.configurations()))


def _sweeps(device: Device, net: Network, there: DeviceNetwork, q: float | None, title: str) -> Iterator[Outcome]:
    for total in (np.float64,) if q is None else (np.float32, np.float64):
        check = partial(_sums, device, net, there, q, total, 0)
        yield outcome(f"{title}: sums, q={q}, {np.dtype(total).name}", check)
    if q in (None, 1):
        yield outcome(f"{title}: sums through parameters, q={q}", partial(_masses, device, net, there, q))


def _beyond(device: Device, dtype: Any, qs: Sequence[Any]) -> Iterator[Outcome]:
    """Sums beyond the range of floats, and sums that come back to it."""
    size, levels = (100, 24) if dtype == np.float32 else (900, 8)
    plain = shifted([0] * levels, dtype)
    for name, sign in (("large", 1), ("small", -1)):
        there = _moved(device, shifted([sign * size] * levels, dtype).to_float(dtype))
        for q in qs:
            shift = sign * size * levels * (1 if q in (None, np.inf) else int(q))
            check = partial(_sums, device, plain, there, q, np.float64, shift)
            yield outcome(f"{dtype.name}, {name} sums, q={q}", check)
    there = _moved(device, shifted([-size] * (levels // 2) + [size] * (levels // 2), dtype).to_float(dtype))
    for q in qs:
        if q in (None, 1):
            check = partial(_masses, device, plain, there, q)
            yield outcome(f"{dtype.name}, sums through parameters by way of small sums, q={q}", check)
