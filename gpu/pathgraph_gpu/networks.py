r"""Path sums and evaluation of networks whose values are on a device: how the kernels are launched.

Each function takes the device and a `pathgraph.DeviceNetwork`; `pathgraph` calls them for such networks, with arguments
that it has checked. The kernels are ``kernels/path_*.cu`` and ``kernels/evaluate.cu``; `pathgraph_gpu.plans` says how
the levels of a graph are cut into launches.

**Range.** Sums are made in floats first. The kernels look at every product: if one of non-zero factors is below the
normal numbers, or a sum above a quarter of the largest, they set a bit of a status word, and the sweep is made again
with a power of two beside every sum. So the sums are right at any depth.

**What waits.** Launches do not. Functions that may raise an error end by copying the status to the host, with the sums
at the outputs if these are what they return: one copy, which waits for the device. Only `theta` and `values_of` do not.

**Order.** Every sum is made in one order, whatever the device does beside it, so that two runs give the same bits.
There are no float atomics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pathgraph.errors import GraphError, ParameterError, RangeError
from pathgraph.pathsum.scaled import SCALED_DTYPE
from pathgraph_gpu.configurations import C_NAMES, THREADS, Configuration
from pathgraph_gpu.graphs import DeviceGraph, graph_of
from pathgraph_gpu.plans import (
    MOST_BLOCKS,
    TILE,
    backward_steps,
    evaluation_steps,
    forward_steps,
    lanes_of,
    width_of,
)

if TYPE_CHECKING:
    from pathgraph.graph.architecture import Architecture
    from pathgraph.graph.device_network import DeviceNetwork, Start
    from pathgraph.scalars import Array
    from pathgraph_gpu.device import Device

__all__ = ["check", "configurations", "evaluate", "masses", "positions", "power_code", "sums", "theta", "values_of"]

Found = TypeVar("Found")

LOST, INVALID, TOO_LARGE, UNEQUAL = 1, 2, 4, 8
"""Bits of the status, as in the kernels."""

MARGINALS = ("path_backward", "path_masses", "path_group", "path_narrow")
"""The kernels of the translation unit ``path_marginals``; the others are in ``path_sums``."""

CHUNK_BYTES = 1 << 28
"""What the values of all neurons on the samples that are evaluated at once may take."""


# -- kernels and buffers ------------------------------------------------------------------------------------------


def power_code(q: float | None, *, scaled: bool = False) -> int:
    """What the kernels do with an entry: None keeps its sign; infinity takes maxima in the place of sums.

    Scaled numbers have one way for all powers but 1.
    """
    if q is None:
        return 0
    if q == math.inf:
        return 5
    return int(q) if q == 1 or (q in (2, 4) and not scaled) else 3


def _options(value: Any, index: Any, total: Any = None, power: int = 0, scaled: bool = False) -> tuple[str, ...]:
    """The macros of a kernel, in the order in which they make a key."""
    names = [C_NAMES[np.dtype(value).name], C_NAMES[np.dtype(index).name]]
    options = (f"-DVALUE={names[0]}", f"-DINDEX={names[1]}")
    if total is None:
        return options
    return (*options, f"-DSUM={C_NAMES[np.dtype(total).name]}", f"-DPOWER={power}", f"-DSCALED={int(scaled)}")


class _Sweep:
    """The kernels of one kind of sweep over one network, and what they are given.

    Parameters
    ----------
    q : number or None
        The power of the entries; None for the entries themselves.
    total : dtype
        Of the sums.
    scaled : bool
        Whether sums are scaled numbers.
    """

    def __init__(
        self, device: Device, net: DeviceNetwork, q: float | None, total: Any, scaled: bool, sides: int = 1
    ) -> None:
        self.device, self.values = device, net.values
        self.graph = graph_of(device, net.architecture)
        self.total = np.dtype(np.float64 if scaled else total)
        self.scaled, self.sides = scaled, sides
        self._options = _options(net.dtype, self.graph.index, self.total, power_code(q, scaled=scaled), scaled)
        self.q = self.total.type(1 if q is None or q == math.inf else q)
        self.status = device.xp.zeros(1, dtype=np.int32)

    def numbers(self, n: int, *, zeros: bool = False) -> Any:
        """A buffer of numbers."""
        make = self.device.xp.zeros if zeros else self.device.xp.empty
        return make((n, 2) if self.scaled else (n,), dtype=self.total)

    def launch(self, name: str, grid: tuple[int, ...], block: tuple[int, ...], *args: Any) -> None:
        """Launch a kernel of path sums."""
        file = "path_marginals" if name in MARGINALS else "path_sums"
        self.device.kernel(file, name, self._options)(grid, block, args)

    def start(self, positions: Any, weights: Any, *, constant: bool) -> Any:
        """A buffer with the numbers that paths start with."""
        x = self.numbers((self.graph.n_nodes + 1) * self.sides, zeros=True)
        n = len(positions)
        args = (np.int64(n), positions, weights, x, np.int64(self.sides), np.int32(constant), self.q, self.status)
        self.launch("path_start", _grid(n * self.sides), (THREADS,), *args)
        return x

    def forward_from(self, start: Start) -> Any:
        """The sums up to every neuron."""
        positions = self.graph.inputs if start.positions is None else start.positions
        x = self.start(positions, start.weights, constant=start.biases)
        graph, sides, width = self.graph, np.int64(self.sides), np.int32(width_of(self.sides))
        arrays = (graph.ends, graph.start, graph.antecedent, graph.run, graph.bias, self.values, x)
        for first, last, blocks, lanes in forward_steps(graph, self.sides):
            args = (np.int64(first), np.int64(last), *arrays, sides, width, np.int32(lanes), self.q, self.status)
            self.launch("path_forward", (blocks,), (THREADS,), *args)
        return x

    def backward(self) -> Any:
        """The sums from every neuron to the outputs, of one side."""
        graph, out = self.graph, self.graph.outgoing
        y = self.start(graph.outputs, graph.ones, constant=False)
        arrays = (graph.ends, out.start, out.target, out.entry, out.fan, graph.start, graph.run, self.values, y)
        for first, last, blocks, _ in backward_steps(graph, self.sides):
            args = (np.int64(first), np.int64(last), *arrays, np.int64(self.sides), self.q, self.status)
            self.launch("path_backward", (blocks,), (32, 8), *args)
        return y

    def masses(self, x: Any, y: Any) -> Any:
        """The sums over the paths through each parameter."""
        graph = self.graph
        has_places = not graph.is_tied
        mass = self.numbers(graph.n_parameters if has_places else graph.n_entries)
        place = graph.parameter if has_places else graph.bias
        lanes = lanes_of(graph.n_edges, graph.n_nodes, 1)
        arrays = (graph.start, graph.antecedent, graph.run, graph.bias, self.values, x, y, np.int32(has_places), place)
        args = (np.int64(graph.n_nodes), *arrays, mass, np.int32(lanes), self.q, self.status)
        self.launch("path_masses", _grid(graph.n_nodes * lanes), (THREADS,), *args)
        if has_places:
            return mass
        out, n = self.numbers(graph.n_parameters), np.int64(graph.n_parameters)
        self.launch("path_group", _grid(int(n)), (THREADS,), n, *graph.owned, mass, out, self.status)
        return out

    def gathered(self, positions: Any, x: Any) -> tuple[Array, int]:
        """The numbers at some positions on the host, shape (sides, n), and the status: one copy, which waits."""
        n = len(positions)
        out = self.numbers(n * self.sides + 1)
        args = (np.int64(n), positions, x, np.int64(self.sides), out, self.status)
        self.launch("path_gather", _grid(n * self.sides), (THREADS,), *args)
        host = np.ascontiguousarray(self.device.to_host(out))
        status = int(host[-1, 0] if self.scaled else host[-1])
        numbers = host[:-1].view(SCALED_DTYPE)[:, 0] if self.scaled else host[:-1]
        return numbers.reshape(self.sides, n), status

    def narrowed(self, numbers: Any) -> Any:
        """Scaled numbers as floats; floats are left as they are."""
        if not self.scaled:
            return numbers
        n = len(numbers)
        out = self.device.xp.empty(n, dtype=np.float64)
        self.launch("path_narrow", _grid(n), (THREADS,), np.int64(n), numbers, out, self.status)
        return out


def _grid(threads: int) -> tuple[int]:
    return (max(1, min(MOST_BLOCKS, -(-threads // THREADS))),)


def positions(device: Device, net: DeviceNetwork, wanted: Array) -> Any:
    """Some buffer positions, as the kernels read them."""
    return graph_of(device, net.architecture).positions(wanted)


def _status(device: Device, status: Any) -> int:
    """The status on the host: a copy, which waits."""
    return int(device.to_host(status)[0])


def _in_range(swept: Callable[[bool], tuple[Found, int]], q: float | None) -> tuple[Found, int]:
    """What a sweep finds, and its status: in floats, or in scaled numbers if floats would leave their range.

    Raises
    ------
    ParameterError
        If the inputs are not what the sweep needs.
    """
    found, status = swept(False)
    if status & INVALID:
        raise ParameterError(f"inputs: needed finite numbers{'' if q is None else ' >= 0'}, others came")
    return swept(True) if status & LOST else (found, status)


# -- what pathgraph calls -----------------------------------------------------------------------------------------


def sums(device: Device, net: DeviceNetwork, q: float | None, start: Start, ends: Any, dtype: Any) -> Array:
    """The sums over the paths up to some positions, on the host: one copy of them.

    Parameters
    ----------
    q : number in (0, inf], or None
        Sum the absolute products to this power; their maximum for infinity; the products themselves for None.
    start : Start
        What paths start with; its weights have shape (sides, n) or (n,).
    ends : array of the device, or None
        Buffer positions; the outputs by default.
    dtype : {float32, float64}
        Of the sums while they are floats.

    Returns
    -------
    ndarray, shape (sides, n_ends)
        Floats, or scaled numbers if floats would leave their range.

    Raises
    ------
    ParameterError
        If a weight of the start is not finite, or negative though powers of absolute values are summed.
    """
    sides = 1 if start.weights.ndim == 1 else len(start.weights)

    def swept(scaled: bool) -> tuple[Array, int]:
        sweep = _Sweep(device, net, q, dtype, scaled, sides)
        return sweep.gathered(sweep.graph.outputs if ends is None else ends, sweep.forward_from(start))

    return _in_range(swept, q)[0]


def masses(device: Device, net: DeviceNetwork, q: float | None, start: Start, what: str) -> Any:
    """The sums over the paths through each parameter, those through the places of a tied one added up.

    Returns
    -------
    array of the device, shape (n_parameters,), float64

    Raises
    ------
    RangeError
        If one leaves the range of floats; `what` begins the message.
    ParameterError
        As `sums`.
    """

    def swept(scaled: bool) -> tuple[Any, int]:
        sweep = _Sweep(device, net, q, np.float64, scaled)
        out = sweep.narrowed(sweep.masses(sweep.forward_from(start), sweep.backward()))
        return out, _status(device, sweep.status)

    out, status = _in_range(swept, q)
    if status & TOO_LARGE:
        raise RangeError(f"{what}: a value leaves the range of float64; use net.to_host().to_exact()")
    return out


def evaluate(device: Device, net: DeviceNetwork, rows: Any, *, neurons: bool = False) -> Any:
    """The outputs, or all neurons, on the rows of a contiguous array of the dtype of the network.

    Returns
    -------
    array of the device, shape (batch, n_outputs), or (batch, n_nodes)

    Raises
    ------
    ParameterError
        If an input is not finite.
    RangeError
        If a value overflows.
    """
    graph = graph_of(device, net.architecture)
    options = _options(net.dtype, graph.index)
    wanted = graph.everything if neurons else graph.outputs
    batch, n, m = len(rows), len(graph.inputs), len(wanted)
    out = device.xp.empty((batch, m), dtype=net.dtype)
    status = device.xp.zeros(1, dtype=np.int32)
    size = max(TILE, CHUNK_BYTES // ((graph.n_nodes + 1) * net.dtype.itemsize) // TILE * TILE)
    x = device.xp.empty((graph.n_nodes + 1) * min(size, max(1, batch)), dtype=net.dtype)
    arrays = (graph.start, graph.antecedent, graph.run, graph.bias, graph.activation, graph.rank, net.values, x)
    for low in range(0, batch, size):
        part = min(size, batch - low)
        count, tiles = np.int64(part), -(-part // TILE)
        turned = -(-part // 32)
        load = (count, np.int64(n), rows[low : low + part], graph.inputs, x, status)
        device.kernel("evaluate", "evaluate_load", options)((turned, _turns(n)), (32, 8), load)
        for first, last, blocks, _ in evaluation_steps(graph, tiles):
            args = (np.int64(first), np.int64(last), graph.groups.ends, graph.groups.first, *arrays, count, status)
            device.kernel("evaluate", "evaluate_levels", options)((tiles, blocks), (32, 8), args)
        store = (count, np.int64(m), x, wanted, out[low : low + part])
        device.kernel("evaluate", "evaluate_store", options)((turned, _turns(m)), (32, 8), store)
    found = _status(device, status)
    if found & INVALID:
        raise ParameterError("x: needed finite numbers, got NaN or infinities")
    if found & TOO_LARGE:
        raise RangeError(f"net(x): a value leaves the range of {net.dtype}; use a wider type")
    return out


def _turns(columns: int) -> int:
    return max(1, min(65535, -(-columns // 32)))


def theta(device: Device, net: DeviceNetwork) -> Any:
    """The parameters of a network: a new array of the device."""
    graph = graph_of(device, net.architecture)
    out = device.xp.empty(graph.n_parameters, dtype=net.dtype)
    _take(device, graph, graph.first_entry, net.values, out)
    return out


def values_of(device: Device, net: DeviceNetwork, parameters: Any) -> Any:
    """The entries of a network with other parameters, its fixed values kept: a new array of the device."""
    graph = graph_of(device, net.architecture)
    out = device.xp.array(net.values)
    _take(device, graph, graph.parameter, parameters, out)
    return out


def _take(device: Device, graph: DeviceGraph, place: Any, numbers: Any, out: Any) -> None:
    options = _options(out.dtype, graph.index)
    n = np.int64(len(out))
    device.kernel("path_values", "path_take", options)(_grid(len(out)), (THREADS,), (n, place, numbers, out))


def check(device: Device, architecture: Architecture, values: Any, name: str) -> None:
    """Refuse entries that are not finite, or that share a parameter and differ.

    Raises
    ------
    ParameterError, GraphError
    """
    graph = graph_of(device, architecture)
    status = device.xp.zeros(1, dtype=np.int32)
    first = graph.first_of_its_parameter if graph.is_tied else graph.bias
    args = (np.int64(len(values)), values, np.int32(graph.is_tied), first, status)
    options = _options(values.dtype, graph.index)
    device.kernel("path_values", "path_check", options)(_grid(len(values)), (THREADS,), args)
    found = _status(device, status)
    if found & INVALID:
        raise ParameterError(f"{name}: needed finite numbers, got NaN or infinities")
    if found & UNEQUAL:
        raise GraphError(f"{name}: entries that share a parameter must be equal, others came; use with_theta")


def configurations() -> list[Configuration]:
    """Every configuration of these kernels that can be chosen, with 32-bit neurons and entries."""
    found: list[Configuration] = []

    def add(file: str, kernels: list[str], options: tuple[str, ...], value: Any) -> None:
        for kernel in kernels:
            block = (32, 8) if file == "evaluate" or kernel == "path_backward" else (THREADS,)
            found.append(Configuration(file, kernel, options, block, 0, False, np.dtype(value)))

    for value in (np.float32, np.float64):
        plain = _options(value, np.int32)
        add("evaluate", ["evaluate_levels", "evaluate_load", "evaluate_store"], plain, value)
        add("path_values", ["path_take", "path_check"], plain, value)
        for total, scaled in ((np.float32, False), (np.float64, False), (np.float64, True)):
            for power in (0, 1, 3, 5) if scaled else range(6):
                options = _options(value, np.int32, total, power, scaled)
                if power != 0 or total is np.float64:
                    add("path_sums", ["path_start", "path_forward", "path_gather"], options, value)
                if power in (0, 1) and total is np.float64:
                    add("path_marginals", [*MARGINALS] if scaled else [*MARGINALS[:3]], options, value)
    return found
