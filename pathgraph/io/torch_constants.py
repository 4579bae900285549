"""Tensors that a module computes of its parameters and buffers alone, and how to compute them again.

A weight is often not a parameter as it stands: a mask times a parameter, a parameter in another shape, the scale of a
batch-norm. A `Recipe` says which tensor it is, as a function of the module's state: once for the layer graph, in
double precision, and again on the live parameters for whatever is differentiated by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import fx

from pathgraph.errors import ParameterError

__all__ = [
    "LIKE",
    "UNWRITTEN",
    "Constant",
    "Expressions",
    "Origin",
    "Recipe",
    "State",
    "Wide",
    "evaluate",
    "key_of",
    "origin",
    "overload_key",
    "read_by",
    "rounds",
    "shape_only",
]

State: TypeAlias = "Mapping[str, torch.Tensor]"
Recipe: TypeAlias = "Callable[[State], torch.Tensor]"

UNWRITTEN = frozenset({"detach_", "requires_grad_", "lift_fresh"})
"""Operators that give their tensor itself; nothing is written into its entries."""

RESHAPES = frozenset(
    {"alias", "clone", "contiguous", "detach", "flatten", "lift_fresh_copy", "reshape", "squeeze", "to", "_to_copy"}
    | UNWRITTEN
    | {"reshape_as", "type_as", "unsqueeze", "view", "view_as", "_unsafe_view"}
)
"""Operators that keep every entry, in C order."""

LIKE = {
    **dict.fromkeys(("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"), 0),
    **dict.fromkeys(("expand_as", "view_as", "reshape_as", "type_as", "to.other"), 1),
}
"""Operators that look at the shape and the type of a tensor and not at its values: which argument that is."""


class Wide(Mapping[str, torch.Tensor]):
    """The state of a module in double precision, converted when it is asked for.

    Parameters
    ----------
    state : mapping from str to torch.Tensor
        Live parameters stay part of the graph of derivatives.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.device = next((tensor.device for tensor in state.values()), torch.device("cpu"))

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._state:
            raise ParameterError(f"module: it has no {name!r} any more; record it again, as it is now")
        tensor = self._state[name]
        if tensor.is_meta or isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
            raise ParameterError(f"module: needed tensors with values, but {name!r} has none")
        return tensor.to(torch.float64) if tensor.is_floating_point() else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


@dataclass(frozen=True)
class Constant:
    """A value that depends on no input.

    Attributes
    ----------
    node : fx.Node
        Which recorded operation makes it.
    shape : tuple of int
        As recorded, a batch axis that it may have included.
    is_batch : bool
        Whether axis 0 is known to be the batch.
    """

    node: fx.Node
    shape: tuple[int, ...]
    is_batch: bool = False


@dataclass(frozen=True)
class Origin:
    """What a constant is, seen from the module.

    Attributes
    ----------
    name : str or None
        The parameter or buffer whose entries it holds, or None if it is computed otherwise.
    is_transposed : bool
        Whether it is that matrix transposed.
    mask : str or None
        The pruning mask by which the entries are multiplied.
    sources : frozenset of str
        All that it depends on.
    """

    name: str | None
    is_transposed: bool
    mask: str | None
    sources: frozenset[str]


def overload_key(node: fx.Node) -> str:
    """The operator of a recorded call with its overload, such as ``add.Tensor``."""
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        namespace, name = target._schema.name.split("::")
        overload = target._schema.overload_name or "default"
        return f"{name}.{overload}" if namespace == "aten" else f"{namespace}::{name}.{overload}"
    return getattr(target, "__name__", str(target))


def key_of(node: fx.Node) -> str:
    """The operator of a recorded call, without overload and without the mark of writing in place."""
    name = overload_key(node).split(".")[0]
    if name in UNWRITTEN:
        return name
    return name[:-1] if name.endswith("_") and not name.startswith("__") else name


def shape_only(node: fx.Node) -> int | None:
    """Which argument of a call is read for its shape and type alone, if there is one."""
    return LIKE.get(key_of(node), LIKE.get(overload_key(node)))


def read_by(node: fx.Node) -> list[fx.Node]:
    """The nodes whose values an operation reads."""
    place = shape_only(node)
    return node.all_input_nodes if place is None else [n for n in node.args[:place] if isinstance(n, fx.Node)]


def evaluate(node: fx.Node, values: Mapping[fx.Node, str], state: State) -> torch.Tensor:
    """The value of a constant on a state of the module, computed where that lies, and in double precision."""
    known: dict[fx.Node, Any] = {}
    device = getattr(state, "device", None) or next((t.device for t in state.values()), torch.device("cpu"))

    def moved(item: Any) -> Any:
        return device if isinstance(item, torch.device) else item

    def value(item: fx.Node) -> Any:
        if item in known:
            return known[item]
        if item in values:
            known[item] = state[values[item]]
            return known[item]
        assert callable(item.target), item
        if key_of(item) in UNWRITTEN:
            known[item] = value(item.all_input_nodes[0])
            return known[item]
        arguments: Any = [moved(argument) for argument in item.args]
        options = {key: moved(option) for key, option in item.kwargs.items()}
        place = shape_only(item)
        if place is not None:
            shaped: Any = item.args[place]
            arguments[place] = torch.empty(shaped.meta["val"].shape, dtype=torch.float64, device=device)
        made = item.target(*fx.map_arg(tuple(arguments), value), **fx.map_arg(options, value))
        is_single = isinstance(made, torch.Tensor) and made.is_floating_point() and made.dtype != torch.float64
        known[item] = made.to(torch.float64) if is_single else made
        return known[item]

    out: torch.Tensor = value(node)
    return out


class Expressions:
    """Numbers of recorded constants: the same one for the same operations on the same tensors.

    Parameters
    ----------
    values : mapping from fx.Node to str
        The names of the tensors that the module holds.
    """

    def __init__(self, values: Mapping[fx.Node, str]) -> None:
        self._values = values
        self._numbers: dict[fx.Node, int] = {}
        self._known: dict[Any, int] = {}

    def number(self, node: fx.Node) -> int:
        """The number of what a node computes."""
        stack = [node]
        while stack:
            item = stack[-1]
            missing = [] if item in self._values else [n for n in item.all_input_nodes if n not in self._numbers]
            stack += missing
            if not missing:
                self._numbers[item] = self._known.setdefault(self._written(item), len(self._known))
                stack.pop()
        return self._numbers[node]

    def _written(self, node: fx.Node) -> Any:
        if node in self._values:
            return self._values[node]
        numbers = fx.map_arg((node.args, node.kwargs), lambda part: _Place(self._numbers[part]))
        return overload_key(node), repr(numbers)


class _Place(int):
    """The number of an expression, told from other numbers by how it is written."""

    def __repr__(self) -> str:
        return f"[{int(self)}]"


def origin(node: fx.Node, values: Mapping[fx.Node, str], masks: Callable[[str, str], bool]) -> Origin:
    """What a constant is, seen from the module.

    Parameters
    ----------
    node : fx.Node
    values : mapping from fx.Node to str
        The names of the tensors that the module holds.
    masks : callable
        Whether the tensor of the second name is a pruning mask of the first.
    """
    sources: set[str] = set()
    stack = [node]
    while stack:
        item = stack.pop()
        if item in values:
            sources.add(values[item])
        stack += read_by(item)
    found = frozenset(sources)
    computed = Origin(None, False, None, found)
    is_transposed, shape = False, node.meta["val"].shape if "val" in node.meta else None
    mask = None
    while node not in values:
        parts = read_by(node)
        pair = [values.get(_base(part), "") for part in parts]
        if key_of(node) == "mul" and len(parts) == 2 and mask is None and (masks(*pair) or masks(*pair[::-1])):
            place = 0 if masks(*pair) else 1
            node, mask = parts[place], pair[1 - place]
        elif len(parts) == 1 and _is_reshape(node) and not is_transposed:
            (node,) = parts
        elif len(parts) == 1 and _is_transposition(node) and node.meta["val"].shape == shape:
            (node,) = parts
            is_transposed, shape = not is_transposed, node.meta["val"].shape
        else:
            return computed
    return Origin(values[node], is_transposed, mask, found)


def _base(node: fx.Node) -> fx.Node:
    """What a node holds the entries of, in some shape."""
    while node.op == "call_function" and len(read_by(node)) == 1 and _is_reshape(node):
        (node,) = read_by(node)
    return node


def rounds(before: torch.dtype, after: torch.dtype) -> bool:
    """Whether real numbers of one type are changed by becoming another one; whole numbers are not asked for."""
    if not before.is_floating_point or before == after:
        return False
    if not after.is_floating_point:
        return True
    fine, coarse = torch.finfo(before), torch.finfo(after)
    return bool(coarse.eps > fine.eps or coarse.max < fine.max)


def _is_reshape(node: fx.Node) -> bool:
    """Whether the operation keeps every entry, in C order, without rounding."""
    if key_of(node) not in RESHAPES:
        return False
    before, after = (item.meta["val"].dtype for item in (node.all_input_nodes[0], node))
    return bool(after in (before, torch.float64) or (before.is_floating_point and not rounds(before, after)))


def _is_transposition(node: fx.Node) -> bool:
    """Whether the operation exchanges the axes of a matrix."""
    read = node.all_input_nodes[0].meta["val"]
    if not isinstance(read, torch.Tensor) or read.dim() != 2:
        return False
    operator = key_of(node)
    if operator == "transpose":
        return {axis % 2 for axis in node.args[1:3] if isinstance(axis, int)} == {0, 1}
    if operator == "permute":
        axes: Any = node.args[1]
        return [axis % 2 for axis in axes] == [1, 0]
    return operator in ("t", "numpy_T", "adjoint")
