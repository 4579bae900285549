"""Does a module do the same to every sample, however many samples there are?

A recording of a module is only true for the number of samples that it was made with: in a recording with 7 samples,
``x / len(x)`` has become a division by 7. So the module is recorded a second time by `torch.export`, with a dynamic
axis, which leaves the number of samples open. This recording shows every use of the number. It may be the size of a
tensor. It must not occur in any other number, nor in a condition that the program asked on its way. Such a recording
speaks for all numbers from 2 on; for 1 the module is recorded a third time, and the two are compared.

If the number of samples cannot be left open, recordings with several numbers of samples are compared instead. What is
the same for all of these numbers is then not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import fx

from pathgraph.io.refusals import Refusal
from pathgraph.io.torch_constants import overload_key, read_by

__all__ = ["OTHERS", "Recording", "batch_dependence", "kind_of", "place_of"]

OTHERS = (10, 1, 2, 389, 70_001)
"""Numbers of samples that are tried if the number cannot be left open: none is a multiple of 7; some are very small,
some even, and one is larger than the limits that programs tend to have.
"""
SIZES = frozenset(
    {"view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "repeat", "empty", "zeros", "ones", "full", "rand"}
    | {"randn", "new_empty", "new_zeros", "new_ones", "new_full", "empty_strided", "new_empty_strided", "as_strided"}
    | {"split_with_sizes", "split", "slice", "narrow", "select", "unflatten", "tile", "broadcast_to"}
)
"""Operators with sizes among their arguments, which may depend on the number of samples.

Whether they mix samples shows in the shapes of what they make.
"""
FILLS = frozenset({"full", "new_full"})
"""Those of these operators that also take a number that is no size: the one they fill a tensor with."""

ROW_BY_ROW = frozenset(
    {"cat", "stack", "linear", "matmul", "mm", "addmm", "bmm", "einsum", "pad", "constant_pad_nd", "contiguous"}
    | {"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sum", "mean", "amax"}
    | {"amin", "max", "min", "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"}
    | {"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "clone", "to", "_to_copy", "type_as"}
    | {"zeros_like", "ones_like", "full_like", "flip", "dropout", "batch_norm", "lift_fresh_copy", "lift_fresh"}
)
"""Further operators that may be applied to a constant with a row for each sample, besides pointwise ones and views.

They keep its rows apart, or put them in another order, or else change the size of axis 0, which is noticed.
"""
ALONG = frozenset({"softmax", "log_softmax", "_softmax", "_log_softmax"})
"""Operators that keep the rows apart unless they act along axis 0: the axis is their argument ``dim``."""

MARKS = frozenset({"alias", "detach", "lift_fresh", "lift_fresh_copy"})
"""Operators that change nothing, and that one way of recording writes down and another does not."""

DEPENDS_ON_BATCH = "what it is given depends on the number of samples; needed the same for any batch"


class Recording(NamedTuple):
    """A module as a graph of operators, recorded with some number of samples.

    Attributes
    ----------
    graph : fx.Graph
    values : dict from fx.Node to str
        For placeholders and attributes, the name of the tensor that they stand for.
    inputs, outputs : list of fx.Node
    constants : dict from str to torch.Tensor
        Tensors that the program holds besides parameters and buffers.
    """

    graph: fx.Graph
    values: dict[fx.Node, str]
    inputs: list[fx.Node]
    outputs: list[Any]
    constants: dict[str, torch.Tensor]


def batch_dependence(
    recorded: Recording,
    batch: int,
    leave_open: Callable[[bool], Recording],
    record: Callable[[int], Recording],
) -> tuple[Refusal, ...]:
    """Find the places where a module does something else with another number of samples.

    Parameters
    ----------
    recorded : Recording
    batch : int
        The number of samples that it was made with.
    leave_open : callable
        Given whether to be strict, records the module with the number of samples left open. Strict recordings also
        follow the number through ``len(x)``, and take longer.
    record : callable
        Given a number of samples, records the module with it.

    Returns
    -------
    tuple of Refusal
        Empty if there is no such place.
    """
    for is_strict in (False, True):
        try:
            opened = leave_open(is_strict)
            found = _uses(opened)
        except Exception:  # the module needs the number itself, or cannot be recorded in this way
            continue
        is_proof = _operators(opened) == _operators(recorded)  # else this says too little of the other recording
        return found or _compared(recorded, batch, record, (1,) if is_proof else OTHERS)
    return _compared(recorded, batch, record, OTHERS)


def _operators(recorded: Recording) -> list[str]:
    """The names of the operators in order, without those that change nothing."""
    names = [overload_key(node) for node in _calls(recorded.graph)]
    return [name for name in names if name.split(".")[0].rstrip("_") not in MARKS]


def place_of(node: fx.Node) -> str:
    """The submodule in which an operation happens."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return " ".join(str(part) for part in stack[-1:] for part in (part[0] or "the module", f"({part[1]})"))


def kind_of(node: fx.Node) -> str:
    """The name of an operation in messages."""
    return f"aten.{overload_key(node)}" if isinstance(node.target, torch._ops.OpOverload) else overload_key(node)


def _refused(node: fx.Node, reason: str) -> Refusal:
    return Refusal(node.name, kind_of(node), place_of(node), reason)


def _of_module(reason: str) -> Refusal:
    return Refusal("the module", "forward", "", reason)


def _name(node: fx.Node) -> str:
    """The name of the operator, without its overload and without the mark of working in place."""
    return overload_key(node).split(".")[0].rstrip("_")


def _calls(graph: fx.Graph) -> list[fx.Node]:
    """The operations that make or change tensors, in order."""
    return [node for node in graph.nodes if node.op == "call_function" and _is_operator(node)]


def _is_operator(node: fx.Node) -> bool:
    """Whether a call makes or changes a tensor: it is neither arithmetic of sizes nor an assertion of `torch.export`.

    A call without a value has failed, and the program went on in another way: it is none, either.
    """
    made = node.meta.get("val")
    is_size = isinstance(made, (int, float, torch.SymInt, torch.SymFloat, torch.SymBool))
    is_given_up = made is None and not node.users
    return not is_size and not is_given_up and not _name(node).startswith(("sym_", "_assert", "assert"))


# -- the number of samples left open -----------------------------------------------------------------------------------


def _uses(recorded: Recording) -> tuple[Refusal, ...]:
    """Find every use of the open number of samples other than as the size of axis 0."""
    tensors = [node.meta["val"] for node in recorded.inputs]
    if any(not isinstance(tensor.shape[0], torch.SymInt) for tensor in tensors):
        raise ValueError("the number of samples is not open")
    batch = _Batch()
    shapes = tensors[0].fake_mode.shape_env
    asked = [*shapes.guards, *(one for several in shapes.deferred_runtime_asserts.values() for one in several)]
    found = [_of_module(reason) for condition in asked for reason in batch.conditions(condition)]
    of_inputs = set(recorded.inputs)  # what depends on the inputs
    for node in _calls(recorded.graph):
        is_constant = of_inputs.isdisjoint(read_by(node))
        if not is_constant:
            of_inputs.add(node)
        strange = batch.strange_numbers(node)
        if strange:
            found.append(_refused(node, f"{DEPENDS_ON_BATCH}, got {' and '.join(strange)}"))
        elif is_constant:
            found += [_refused(node, reason) for reason in batch.mixed_rows(node)]
    return tuple(dict.fromkeys(found))


class _Batch:
    """The open number of samples as a symbol; the sizes of all inputs along axis 0, and no other sizes, are open."""

    def __init__(self) -> None:
        import sympy

        self._symbol = sympy.Symbol("batch", integer=True, positive=True)

    def of(self, value: Any) -> Any:
        """A number as an expression in the number of samples; None if it does not depend on that."""
        if not isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            return None
        expression = self._named(value.node.expr)
        return expression if self._symbol in expression.free_symbols else None

    def _named(self, expression: Any) -> Any:
        """The expression with the one symbol in place of the sizes of all inputs.

        Symbols named u0, u1, ... or zu0, zu1, ... stay: they are numbers that depend on values of tensors.
        """
        sizes = [symbol for symbol in expression.free_symbols if not symbol.name.startswith(("u", "zu"))]
        return expression.xreplace(dict.fromkeys(sizes, self._symbol))

    def is_multiple(self, expression: Any) -> bool:
        """Whether an expression is a fixed number times the number of samples."""
        return bool((expression / self._symbol).is_number)

    def conditions(self, condition: Any) -> Iterator[str]:
        """The refusal of a condition that the program asked about the number of samples, if it asked one."""
        asked = self._named(condition.expr)
        if self._symbol not in asked.free_symbols:
            return
        text = f"{asked.lhs} {asked.rel_op} {asked.rhs}" if asked.is_Relational else str(asked)
        where = str(getattr(getattr(condition, "sloc", None), "maybe_user_loc", None) or "")
        line = f" ({_shortened(where)})" if where else ""
        yield f"it does this for {text} alone, where batch is the number of samples{line}; needed the same for any"

    def strange_numbers(self, node: fx.Node) -> list[str]:
        """The numbers among the arguments that depend on the number of samples, although they are no sizes."""
        name = _name(node)
        out = []
        for value, is_listed in _arguments(node):
            found = self.of(value)
            may_be_size = name in SIZES and (is_listed or name not in FILLS)
            if found is not None and not (may_be_size and self.is_multiple(found)):
                out.append(str(found))
        return out

    def mixed_rows(self, node: fx.Node) -> Iterator[str]:
        """The refusals of an operation that might mix the rows of a constant with a row for each sample."""
        read = [part for part in read_by(node) if self._is_open(part.meta.get("val"))]
        made = node.meta.get("val")
        for tensor in made if isinstance(made, (list, tuple)) else [made]:
            if not isinstance(tensor, torch.Tensor):
                continue
            sizes = [self.of(size) for size in tensor.shape]
            is_first = bool(sizes) and sizes[0] is not None and self.is_multiple(sizes[0])
            if any(size is not None for size in sizes[1:]) or (sizes[:1] != [None] and sizes and not is_first):
                yield "the number of samples is the size of another axis than 0 of a constant, or only a part of it"
            elif read and not is_first:
                yield "it makes one value of a constant that has a row for each sample, so that their number matters"
        if read and not self._keeps_rows(node):
            yield "it may mix the rows of a constant that has one for each sample; make it of sizes that are fixed"

    def _is_open(self, tensor: Any) -> bool:
        """Whether the number of samples is in the shape of a tensor."""
        return isinstance(tensor, torch.Tensor) and any(self.of(size) is not None for size in tensor.shape)

    def _keeps_rows(self, node: fx.Node) -> bool:
        """Whether an operator is known not to compute one row of a constant from several."""
        name, target = _name(node), node.target
        schema: Any = getattr(target, "_schema", None)
        if name in ALONG:
            return bool(node.args[1] not in (0, -node.args[0].meta["val"].dim()))
        is_view = schema is not None and any(
            value.alias_info is not None and not value.alias_info.is_write for value in schema.returns
        )
        is_pointwise = torch.Tag.pointwise in getattr(target, "tags", ())
        return is_view or is_pointwise or name in SIZES or name in ROW_BY_ROW or name == "getitem"


def _shortened(where: str) -> str:
    """The place in a program as ``file.py:3 in f``, from the longer text that torch writes about it."""
    found = re.search(r"([^\s/]+\.py):(\d+) in (\S+)", where)
    return f"{found[1]}:{found[2]} in {found[3]}" if found else where


def _arguments(node: fx.Node) -> Iterator[tuple[Any, bool]]:
    """The values of the arguments, and of the items of those that are lists; each with whether it is such an item."""
    for argument in (*node.args, *node.kwargs.values()):
        is_listed = isinstance(argument, (list, tuple))
        for value in argument if is_listed else [argument]:
            yield (value.meta.get("val") if isinstance(value, fx.Node) else value), is_listed


# -- other numbers of samples ------------------------------------------------------------------------------------------


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are the same; NaN equals NaN."""
    if (one.shape, one.dtype, one.layout) != (other.shape, other.dtype, other.layout):
        return False
    return bool(torch.equal(one, other)) or bool(((one == other) | ((one != one) & (other != other))).all())


def _compared(
    recorded: Recording, batch: int, record: Callable[[int], Recording], others: Sequence[int]
) -> tuple[Refusal, ...]:
    """The first differences between the recording and one with another number of samples; empty if there are none."""
    for n in others:
        try:
            other = record(n)
        except MemoryError:
            continue
        except Exception as error:
            cause = error.__cause__ or error
            said = (str(cause).strip().splitlines() or ["no message"])[0]
            return (_of_module(f"it takes {batch} samples and not {n}: {type(cause).__name__}: {said}"),)
        found = _Comparison(batch, n).of(recorded, other)
        if found:
            return found
    return ()


class _Comparison(NamedTuple):
    """The comparison of two recordings of a module, one with `batch` and one with `other` samples."""

    batch: int
    other: int

    def of(self, first: Recording, second: Recording) -> tuple[Refusal, ...]:
        """The differences, other than in sizes that are multiples of the number of samples."""
        ones, others = _calls(first.graph), _calls(second.graph)
        places = self._placed(first), self._placed(second)
        found: list[Refusal] = []
        for one, other in zip(ones, others, strict=False):
            if overload_key(one) != overload_key(other):
                reason = f"with {self.other} samples in place of {self.batch}, {overload_key(other)} comes here"
                return (*dict.fromkeys(found), _refused(one, reason))
            given = [(one.args, other.args), (tuple(one.kwargs.values()), tuple(other.kwargs.values()))]
            if not all(self._agree(a, b, places, _name(one), 0) for a, b in given):
                found.append(_refused(one, DEPENDS_ON_BATCH))
            elif not self._same_shapes(one.meta.get("val"), other.meta.get("val")):
                reason = "sizes of what it makes depend on the number of samples in other places than axis 0"
                found.append(_refused(one, reason))
        if len(ones) != len(others):
            counts = f"{len(ones)} operations on {self.batch} samples and {len(others)} on {self.other}"
            found.append(_of_module(f"it takes {counts}"))
        return tuple(dict.fromkeys(found))

    def _placed(self, recording: Recording) -> dict[fx.Node, Any]:
        """What identifies each node in a comparison.

        This is the number of an operation or input, and the name or the values of a tensor that the module holds.
        """
        calls = {node: place for place, node in enumerate(_calls(recording.graph))}
        inputs = {node: f"input {place}" for place, node in enumerate(recording.inputs)}
        held = {node: recording.constants.get(name, name) for node, name in recording.values.items()}
        return {**calls, **inputs, **held}

    def _agree(self, one: Any, other: Any, places: tuple[dict[fx.Node, Any], ...], name: str, depth: int) -> bool:
        """Whether two arguments of the operator `name` agree; `depth` says in how many lists they lie."""
        if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
            pairs = zip(one, other, strict=False)
            return len(one) == len(other) and all(self._agree(a, b, places, name, depth + 1) for a, b in pairs)
        if isinstance(one, fx.Node) and isinstance(other, fx.Node):
            a, b = places[0].get(one, one.meta.get("val")), places[1].get(other, other.meta.get("val"))
            if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
                return a is b or _equal(a, b)
            return type(a) is type(b) and bool(a == b)
        is_size = name in SIZES and (depth > 1 or name not in FILLS)
        if is_size and self._is_size(one, other):
            return True
        return type(one) is type(other) and bool(one == other or (one != one and other != other))

    def _same_shapes(self, one: Any, other: Any) -> bool:
        """Whether two results have the same shapes, up to sizes that grow as the batch does."""
        if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
            return len(one) == len(other) and all(self._same_shapes(a, b) for a, b in zip(one, other, strict=True))
        if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
            return True
        sizes = zip(one.shape, other.shape, strict=False)
        return len(one.shape) == len(other.shape) and all(self._is_size(a, b) for a, b in sizes)

    def _is_size(self, one: Any, other: Any) -> bool:
        """Whether two whole numbers are equal, or grow as the batch does."""
        return type(one) is int and type(other) is int and (one == other or one * self.other == other * self.batch)
