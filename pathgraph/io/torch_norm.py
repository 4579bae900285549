"""The path-norm in PyTorch, differentiable: the blocks of a layer graph, run on powers of the live weights.

The sweep is that of `pathgraph.path_norm` (absolute values to the power q on all entries, pools summed, ones at the
inputs), with torch doing the linear maps, in float64. Every layer keeps a power of two beside its values, so that
nothing overflows on the way.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch

from pathgraph.arguments import exponent
from pathgraph.errors import ParameterError, PathNormOverflowError
from pathgraph.io.torch_capture import state_of
from pathgraph.io.torch_constants import Recipe, Wide
from pathgraph.io.torch_import import import_module
from pathgraph.io.torch_maps import runner
from pathgraph.layers.blocks import LayerBlock
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.pathsum.blocks import BlockDag

__all__ = ["PathNorm"]

Tensor: TypeAlias = Any
ZERO = -(1 << 40)
"""The power of two of values that are all zero, so that no other power gives way to it."""

SAFE = 300
"""Values beyond 2**SAFE, or all below 2**-SAFE, are brought back to about 1 by a power of two."""

LARGE_Q = 16
"""Beyond it powers are taken of the ratios to the largest value, which keeps that one in the range."""


class Scaled(NamedTuple):
    """``values * 2**power``: the values are float64, flat."""

    values: Tensor
    power: int


class PathNorm:
    r"""The path-norm of a module as a differentiable function of its parameters, to be called again and again.

    Parameters
    ----------
    source : torch.nn.Module or LayerGraph
    input_shape : tuple of int, or list of tuple of int, optional
        Of a module's inputs, as for `from_torch`.
    q : number in [1, inf)
    log : bool
        Whether to give the logarithm, which has no range to leave.
    relu6, leaky_relu : str, optional
        As for `from_torch`.

    Attributes
    ----------
    graph : LayerGraph
        The structure, and the values at the time it was made.
    q : int or float
    log : bool

    Raises
    ------
    ParameterError
        On other exponents: for q < 1 the path-norm has no derivative at zero weights. On options beside a layer graph.

    Notes
    -----
    The module is recorded once; calls read its parameters and buffers as they are then. Batch-norms have **frozen
    statistics**: scale and shift are :math:`\gamma/\sqrt{\sigma^2+\varepsilon}` and
    :math:`\beta - \mu\gamma/\sqrt{\sigma^2+\varepsilon}` for the running :math:`\mu, \sigma^2`, in training mode too;
    :math:`\gamma` and :math:`\beta` get gradients, the statistics do not. At a zero weight the derivative of
    :math:`|\theta|` is taken to be 0, so that pruned weights stay put.

    One call costs a few float64 forward passes on one sample at most.

    It can be an attribute of a module that is copied, moved to another dtype or device, pickled and saved
    (``torch.save``), and adds nothing to its ``state_dict()``: a copy goes with the copied module. One that was read
    from a file records the module anew by its first call.

    Examples
    --------
    >>> import torch
    >>> from pathgraph.io.torch import PathNorm
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> norm = PathNorm(model, 2)
    >>> _ = torch.nn.init.constant_(model.weight, 3)
    >>> norm().item()
    6.0
    """

    def __init__(
        self,
        source: Any,
        input_shape: Any = None,
        q: float = 1,
        *,
        log: bool = False,
        relu6: str | None = None,
        leaky_relu: str | None = None,
    ) -> None:
        self.q = exponent(q, "q", least=1)
        if self.q == math.inf:
            raise ParameterError("q: needed a finite number >= 1, got inf, whose path-norm is not differentiable")
        self.log = bool(log)
        recipes: dict[str, Recipe] = {}
        constants: dict[str, Tensor] = {}
        self._module = None
        self._arguments = (input_shape, relu6, leaky_relu)
        if isinstance(source, LayerGraph):
            if (input_shape, relu6, leaky_relu) != (None, None, None):
                raise ParameterError("input_shape, relu6, leaky_relu: a LayerGraph has its own; leave them out")
            self.graph = source
        elif not isinstance(source, torch.nn.Module):
            kind = type(source).__name__
            raise ParameterError(f"source: needed a torch.nn.Module or a pathgraph.LayerGraph, got {kind}")
        else:
            if input_shape is None:
                raise ParameterError("input_shape: needed the shape of one input, without the batch axis, got None")
            imported = import_module(source, input_shape, relu6=relu6, leaky_relu=leaky_relu)
            self.graph, recipes, constants = imported
            self._module = source
        self._prepared: _Prepared | None = _prepared(self.graph, recipes, constants)

    def __getstate__(self) -> dict[str, Any]:
        """Without the plan and the recipes, which are made again."""
        return {key: value for key, value in vars(self).items() if key != "_prepared"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # the module may hold this object, and then is not complete yet: it is recorded by the first call
        vars(self).update(state, _prepared=None)

    def __deepcopy__(self, memo: dict[int, Any]) -> PathNorm:
        """Of the copied module, with the same recording."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        vars(twin).update(vars(self))
        twin._module = copy.deepcopy(self._module, memo)
        return twin

    def _parts(self) -> _Prepared:
        """What a call needs, made again after unpickling."""
        if self._prepared is None:
            recipes: dict[str, Recipe] = {}
            constants: dict[str, Tensor] = {}
            if self._module is not None:
                input_shape, relu6, leaky_relu = self._arguments
                graph, recipes, constants = import_module(self._module, input_shape, relu6=relu6, leaky_relu=leaky_relu)
                shapes = [{n: a.shape for n, a in g.entries_by_name.items()} for g in (graph, self.graph)]
                if shapes[0] != shapes[1]:
                    raise ParameterError("module: it is not what it was when it was recorded; record the module again")
            self._prepared = _prepared(self.graph, recipes, constants)
        return self._prepared

    def __call__(self, parameters: Mapping[str, Any] | None = None) -> Any:
        """The path-norm, or its logarithm, of the module as it is now: a float64 tensor without axes.

        Parameters
        ----------
        parameters : mapping from str to torch.Tensor, optional
            Tensors of the graph by name, in place of the module's or the graph's own.

        Raises
        ------
        PathNormOverflowError
            If the path-norm leaves the range of float64; with ``log=True`` there is none.
        ParameterError
            On unknown names, wrong shapes, NaN or infinities; if the module has changed its structure; for exponents
            so large that a weight that is not 0 has the power 0.
        """
        if parameters is not None and not isinstance(parameters, Mapping):
            kind = type(parameters).__name__
            raise ParameterError(f"parameters: needed a mapping from names to torch.Tensor, got {kind}")
        parts = self._parts()
        entries = self._entries(parts, dict(parameters or {}))
        total, power = parts.plan.run([_powered(entry, self.q) for entry in entries])
        if not bool(torch.isfinite(total)):
            raise ParameterError("parameters: needed finite numbers, got NaN or infinities")
        if bool(total == 0):
            return torch.log(total) if self.log else total
        if self.log:
            return (torch.log(total) + power * math.log(2)) / self.q
        whole, rest = divmod(power, self.q)
        norm = (total * 2.0**rest) ** (1 / self.q) if self.q != 1 else total
        norm = _shifted(norm, int(whole))
        if not bool(torch.isfinite(norm)):
            log = (math.log(total.item()) + power * math.log(2)) / self.q
            raise PathNormOverflowError(
                f"the path-norm is exp({log:.6g}), beyond the range of float64; use log=True for its logarithm"
            )
        return norm

    def _entries(self, parts: _Prepared, given: dict[str, Any]) -> list[Tensor]:
        """The tensors of the graph, in float64 and on one device."""
        state = Wide({} if self._module is None else {**state_of(self._module), **parts.constants})
        for name, tensor in given.items():
            if not isinstance(tensor, torch.Tensor) or tensor.is_complex() or tensor.is_meta:
                raise ParameterError(f"parameters: {name!r} needed a torch.Tensor with real values, got {tensor!r:.80}")
        device = next((tensor.device for tensor in given.values()), state.device)
        out = []
        for name, own in self.graph.entries_by_name.items():
            if name in given:
                entry = given.pop(name)
                if tuple(entry.shape) != own.shape:
                    raise ParameterError(f"parameters: {name!r} needed shape {own.shape}, got {tuple(entry.shape)}")
            else:
                entry = parts.live(name, state)
                if tuple(entry.shape) != own.shape:
                    raise ParameterError(_changed(name, f"shape {tuple(entry.shape)} in place of {own.shape}"))
            out.append(entry.to(device=device, dtype=torch.float64))
        if given:
            raise ParameterError(f"parameters: {sorted(given)} are no tensors of the graph; see .graph.parameters")
        return out

    def __repr__(self) -> str:
        return f"PathNorm({self.graph!r}, q={self.q}, log={self.log})"


class _Prepared(NamedTuple):
    """What calls need besides the state of the module.

    Attributes
    ----------
    plan : _Plan
    recipes : dict from str to Recipe
        For the tensors of the graph that come from the module.
    constants : dict from str to torch.Tensor
        What recipes need besides the parameters and buffers.
    fixed : dict from str to torch.Tensor
        The other tensors of the graph.
    """

    plan: _Plan
    recipes: dict[str, Recipe]
    constants: dict[str, Tensor]
    fixed: dict[str, Tensor]

    def live(self, name: str, state: Wide) -> Tensor:
        """A tensor of the graph, as the module has it now."""
        if name not in self.recipes:
            return self.fixed[name]
        try:
            return self.recipes[name](state)
        except RuntimeError as error:
            raise ParameterError(_changed(name, str(error))) from error


def _prepared(graph: LayerGraph, recipes: dict[str, Recipe], constants: dict[str, Tensor]) -> _Prepared:
    own = graph.to_float(np.float64).entries_by_name if set(graph.roles) - set(recipes) else {}
    fixed = {name: torch.from_numpy(np.array(array)) for name, array in own.items() if name not in recipes}
    return _Prepared(_Plan(graph.dag), recipes, constants, fixed)


def _changed(name: str, what: str) -> str:
    return f"module: {name!r} is not what it was when it was recorded: {what}; record the module again"


def _powered(entry: Tensor, q: float) -> Scaled:
    """The absolute values to the power q, with a power of two where they would leave the range."""
    largest = float(entry.detach().abs().max()) if entry.numel() else 0.0
    if q > LARGE_Q and largest and math.isfinite(largest):
        return _powered_far(entry, q, largest)
    shift = math.frexp(largest)[1] if math.isfinite(largest) else 0
    power = 0 if largest else ZERO
    if abs(shift) * q > SAFE:
        power = math.floor(shift * q)
        entry = _shifted(entry, -shift) * 2.0 ** ((shift * q - power) / q)
    if q == 1:
        return Scaled(entry.abs(), power)
    return Scaled(entry**q if q % 2 == 0 else entry.abs() ** q, power)


def _powered_far(entry: Tensor, q: float, largest: float) -> Scaled:
    """The same for powers that take all but the largest values out of the range."""
    exponent_of_largest = q * math.log2(largest)
    power = math.floor(exponent_of_largest)
    values = (entry.abs() / largest) ** q
    if bool(((values == 0) & (entry != 0)).any()):
        raise ParameterError(
            f"q: needed a power that float64 can hold for all weights, got {q}, at which weights that are "
            "not 0 become 0 beside the largest of their tensor; pathgraph.log_path_norm takes any q"
        )
    return Scaled(values * 2.0 ** (exponent_of_largest - power), power)


def _shifted(values: Tensor, power: int) -> Tensor:
    """``values * 2**power`` for powers beyond the range of one factor, too."""
    if power < -2200:
        return values * 0.0
    power = min(power, 2200)
    while power:
        step = max(-1000, min(1000, power))
        values, power = values * 2.0**step, power - step
    return values


# -- the sweep -------------------------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """Which layers a block reads, and which of their entries, behind one another: None for all."""

    layers: tuple[int, ...]
    places: Tensor


class _Plan:
    """The blocks of a layer graph, each with where it reads; layers are numbered, runs of inputs first."""

    def __init__(self, dag: BlockDag) -> None:
        targets = [slice(int(node.target.start), int(node.target.stop)) for node in _of_slices(dag)]
        runs = np.split(dag.inputs, np.flatnonzero(np.diff(dag.inputs) != 1) + 1)
        starts = [int(run[0]) for run in runs] + [target.start for target in targets]
        self._inputs = [len(run) for run in runs]
        self._sizes = self._inputs + [target.stop - target.start for target in targets]
        self._layers = np.argsort(starts, kind="stable")
        self._starts = np.array(starts)[self._layers]
        self._nodes = [
            (
                target.stop - target.start,
                [(runner(block.operation), self._read(block.source), block.tensor) for block in _blocks(node.blocks)],
                [(runner(block.operation), block.tensor) for block in _blocks(node.biases)],
            )
            for node, target in zip(dag.nodes, targets, strict=True)
        ]
        self._outputs = self._read(dag.outputs)

    def _read(self, source: Any) -> _Read:
        positions = np.arange(source.start, source.stop) if isinstance(source, slice) else np.asarray(source)
        run = np.searchsorted(self._starts, positions, side="right") - 1
        used = np.unique(run)
        layers = tuple(int(self._layers[u]) for u in used)
        sizes = [self._sizes[layer] for layer in layers]
        offsets = np.cumsum([0, *sizes])
        index = positions - self._starts[run] + offsets[np.searchsorted(used, run)]
        is_all = len(index) == offsets[-1] and bool((index == np.arange(len(index))).all())
        return _Read(layers, None if is_all else torch.from_numpy(index))

    def run(self, entries: Sequence[Scaled]) -> tuple[Tensor, int]:
        """The sum over all paths to all outputs: a value and the power of two that multiplies it."""
        device = entries[0].values.device if entries else torch.device("cpu")
        known = [Scaled(torch.ones(size, dtype=torch.float64, device=device), 0) for size in self._inputs]
        for size, blocks, biases in self._nodes:
            terms = []
            for apply, read, tensor in blocks:
                source, entry = self._gathered(known, read), entries[tensor]
                terms.append(Scaled(apply(source.values, entry.values), source.power + entry.power))
            terms += [Scaled(apply(None, entries[tensor].values), entries[tensor].power) for apply, tensor in biases]
            known.append(_balanced(_summed(terms, size, device)))
        values, power = self._gathered(known, self._outputs)
        return values.sum(), power

    @staticmethod
    def _gathered(known: Sequence[Scaled], read: _Read) -> Scaled:
        parts = [known[layer] for layer in read.layers]
        if len(parts) == 1:
            values, power = parts[0]
        else:
            power = max(part.power for part in parts)
            values = torch.cat([_shifted(part.values, part.power - power) for part in parts])
        return Scaled(values if read.places is None else values[read.places.to(values.device)], power)


def _of_slices(dag: BlockDag) -> list[Any]:
    assert all(isinstance(node.target, slice) for node in dag.nodes)
    return list(dag.nodes)


def _blocks(blocks: Sequence[Any]) -> list[LayerBlock]:
    assert all(isinstance(block, LayerBlock) for block in blocks)
    return list(blocks)


def _summed(terms: list[Scaled], size: int, device: Any) -> Scaled:
    if not terms:
        return Scaled(torch.zeros(size, dtype=torch.float64, device=device), ZERO)
    power = max(term.power for term in terms)
    parts = [_shifted(term.values, term.power - power).reshape(-1) for term in terms]
    out = parts[0]
    for part in parts[1:]:
        out = out + part
    return Scaled(out, power)


def _balanced(scaled: Scaled) -> Scaled:
    largest = float(scaled.values.detach().max()) if scaled.values.numel() else 0.0
    if largest == 0 or not math.isfinite(largest):
        return Scaled(scaled.values, 0 if largest else ZERO)
    step = math.frexp(largest)[1]
    if abs(step) <= SAFE:
        return scaled
    return Scaled(_shifted(scaled.values, -step), scaled.power + step)
