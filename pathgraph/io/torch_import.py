"""From a recorded module to a layer graph: the walk over its operators.

Values on the way are signals (they depend on the inputs), `Constant` (they depend on parameters and buffers alone),
Python numbers, and lists of these. The operators themselves are in `torch_operators` and `torch_shapes`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import fx

from pathgraph.errors import ParameterError
from pathgraph.io.modelling import LEAKY_RELU, RELU6, checked_option
from pathgraph.io.refusals import Refusals, Refused
from pathgraph.io.torch_arguments import MIXES
from pathgraph.io.torch_batches import kind_of, place_of
from pathgraph.io.torch_capture import BATCH, Capture, capture
from pathgraph.io.torch_constants import UNWRITTEN, Constant, Recipe, key_of, overload_key, read_by, rounds, shape_only
from pathgraph.io.torch_reasons import reason_of
from pathgraph.io.torch_tensors import Shape, Tensors
from pathgraph.layers.builder import Signal
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.shown import argument_text

__all__ = ["UNKNOWN", "Imported", "Importer", "import_module"]

MAYBE_ITSELF = frozenset({"alpha_dropout", "dropout", "expand_as", "feature_alpha_dropout", "feature_dropout"})
"""Operators that may give their tensor itself without saying so."""

Rule: TypeAlias = "Callable[..., Any]"


class Unknown:
    """The value of an operation that was refused."""


UNKNOWN = Unknown()


class Imported(NamedTuple):
    """A layer graph, and how its tensors come from the module.

    Attributes
    ----------
    graph : LayerGraph
    recipes : dict from str to Recipe
        For every tensor of the graph that comes from the module's state.
    constants : dict from str to torch.Tensor
        What recipes need besides the parameters and buffers.
    """

    graph: LayerGraph
    recipes: dict[str, Recipe]
    constants: dict[str, torch.Tensor]


def import_module(
    module: Any, input_shape: Any, *, relu6: str | None = None, leaky_relu: str | None = None
) -> Imported:
    """The layer graph of a module; see `pathgraph.from_torch`."""
    from pathgraph.io import torch_contractions, torch_operators, torch_pools, torch_resizing, torch_shapes

    checked_option(relu6, "relu6", RELU6)
    checked_option(leaky_relu, "leaky_relu", LEAKY_RELU)
    recorded = capture(module, _shapes(input_shape))
    parts = (torch_contractions, torch_operators, torch_pools, torch_resizing, torch_shapes)
    rules = {operator: rule for part in parts for operator, rule in part.RULES.items()}
    return Importer(recorded, rules, relu6, leaky_relu).run(_shapes(input_shape))


def _shapes(input_shape: Any) -> list[Shape]:
    """One shape per input."""
    try:
        listed: list[Any] = [input_shape] if isinstance(input_shape, (int, np.integer)) else list(input_shape)
        several = bool(listed) and not any(isinstance(item, (int, np.integer)) for item in listed)
        shapes: list[tuple[Any, ...]] = [tuple(shape) for shape in listed] if several else [tuple(listed)]
    except TypeError:
        shapes = [("?",)]
    if not shapes or not all(shape and all(_is_size(n) for n in shape) for shape in shapes):
        raise ParameterError(
            "input_shape: needed positive integers, the shape of one input without the batch axis, or a list of such "
            f"shapes, one per input; got {argument_text(input_shape)}"
        )
    return [tuple(int(n) for n in shape) for shape in shapes]


def _is_size(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and bool(n >= 1)


class Importer(Tensors):
    """What the rules work with.

    Attributes
    ----------
    relu6, leaky_relu : str or None
        What the caller opted into.
    notes : list of str
        What was left out or changed.
    """

    def __init__(self, recorded: Capture, rules: dict[str, Rule], relu6: str | None, leaky_relu: str | None) -> None:
        super().__init__(recorded)
        self.relu6, self.leaky_relu = relu6, leaky_relu
        self.notes = list(recorded.notes)
        self._rules = rules
        self._refusals = Refusals("from_torch")
        self._values: dict[fx.Node, Any] = {}
        self._order = {node: place for place, node in enumerate(recorded.graph.nodes)}
        self._twins: dict[fx.Node, list[fx.Node]] = {}

    # -- the walk -------------------------------------------------------------------------------------------------

    def run(self, shapes: Sequence[Shape]) -> Imported:
        """The layer graph of everything that was recorded.

        Raises
        ------
        UnsupportedOperatorError
            That names every operation that was refused.
        """
        recorded = self._recorded
        self._refusals.found += recorded.refusals
        for place, (node, shape) in enumerate(zip(recorded.inputs, shapes, strict=True)):
            self._values[node] = self.build.input(shape, name=f"input{place + 1}" if place else "input")
        for node in recorded.graph.nodes:
            self.node = node
            if node in recorded.values:
                self._values[node] = Constant(node, tuple(recorded.state[recorded.values[node]].shape))
            elif node.op == "call_function":
                self._values[node] = self._called(node)
            elif node.op != "output" and node not in self._values:
                held = getattr(recorded.graph.owning_module, str(node.target), None)
                # a part of the program is refused with the call that takes it
                if not isinstance(held, torch.nn.Module):
                    self._refuse(node, "needed a tensor with entries of its own")
                self._values[node] = UNKNOWN
        outputs = [self._values[value] if isinstance(value, fx.Node) else value for value in recorded.outputs]
        self._refusals.raise_if_any()
        strange = [str(place + 1) for place, value in enumerate(outputs) if not isinstance(value, Signal)]
        if strange or not outputs:
            which = f"output {' and '.join(strange)} of {len(outputs)} is not" if strange else "there is none"
            raise ParameterError(f"module: needed outputs that are tensors and depend on the inputs, but {which}")
        graph = self.build.build(outputs, notes=tuple(dict.fromkeys(self.notes)))
        used = graph.roles
        recipes = {name: recipe for name, recipe in self._recipes.items() if name in used}
        return Imported(graph, recipes, recorded.constants)

    def _called(self, node: fx.Node) -> Any:
        if _shares_memory(node):
            self._alias(node)
        if node.meta.get("val") is None and not node.users and _makes_tensors(node):
            return UNKNOWN  # it failed, and the program went on in another way
        if key_of(node) in UNWRITTEN:
            return self.value(node.args[0])
        if all(isinstance(self._values.get(part), Constant) for part in read_by(node)):
            return self._constant(node)
        if node.target is operator.getitem:
            parts, index = node.args
            whole = self.value(parts)
            return whole if whole is UNKNOWN else whole[index]
        rule = self._rules.get(overload_key(node), self._rules.get(key_of(node)))
        is_size = not isinstance(node.meta.get("val"), (torch.Tensor, list, tuple))
        if rule is None and is_size and any(self._values.get(part) is UNKNOWN for part in node.all_input_nodes):
            return UNKNOWN  # a size of what was refused, and what is done with it
        if rule is None:
            self._refuse(node, reason_of(overload_key(node)))
            return self._stand_in(node)
        arguments = self._arguments(node)
        if any(part is UNKNOWN for part in _leaves(list(arguments.values()))):
            return UNKNOWN
        try:
            found = rule(self, **arguments)
            self._require_batch(node, found)
            self._write_in_place(node, found)
        except (Refused, ParameterError) as refusal:
            self._refuse(node, str(refusal))
            return self._stand_in(node)
        return found

    def _stand_in(self, node: fx.Node) -> Any:
        """Something of the shape of a refused value, so that what reads it is examined as well."""
        recorded = node.meta.get("val")
        parts = list(recorded) if isinstance(recorded, (list, tuple)) else [recorded]
        values = [
            self.build.input(tuple(part.shape[1:]), name=self.build.free_name(f"instead of {node.name}"))
            if isinstance(part, torch.Tensor) and _is_batch(part) and 0 not in part.shape
            else UNKNOWN
            for part in parts
        ]
        return values if isinstance(recorded, (list, tuple)) else values[0]

    def _constant(self, node: fx.Node) -> Any:
        """An operation on constants, which is computed when its value is needed."""
        if overload_key(node).split(".")[0].endswith("_"):
            self._refuse(node, "it changes a parameter, buffer or constant in place")
            return UNKNOWN
        tags = getattr(node.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags:
            self._refuse(node, "it is random")
            return UNKNOWN
        found = node.meta.get("val")
        if isinstance(found, torch.Tensor) and not all(isinstance(n, int) for n in found.shape):
            self._refuse(node, "its shape depends on the values of a tensor")
            return UNKNOWN
        if isinstance(found, torch.Tensor):
            is_batch = _is_batch(found) and self._is_batch_of_constants(node)
            if not is_batch and any(self._values[part].is_batch for part in read_by(node)):
                self._refuse(node, MIXES)
                return UNKNOWN
            return Constant(node, tuple(found.shape), is_batch)
        if isinstance(found, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            self._refuse(node, "it makes a Python number of the value of a tensor; leave it a tensor")
            return UNKNOWN
        return Constant(node, ()) if isinstance(found, (list, tuple)) else found

    def _is_batch_of_constants(self, node: fx.Node) -> bool:
        """Whether a constant has a row for each sample, because it was made like an activation or of such ones."""
        place = shape_only(node)
        like = None if place is None else node.args[place]
        read = [self._values.get(part) for part in read_by(node)]
        is_like = isinstance(like, fx.Node) and isinstance(self._values.get(like), Signal)
        return is_like or any(isinstance(value, Constant) and value.is_batch for value in read)

    def _arguments(self, node: fx.Node) -> dict[str, Any]:
        """The arguments of a call by the names of its schema, values in place of nodes."""
        schema: Any = getattr(node.target, "_schema", None)
        if schema is None:
            raise Refused("needed an operator with a schema")
        out = {}
        for place, argument in enumerate(schema.arguments):
            name = "x" if argument.name in ("self", "input") else argument.name
            if place < len(node.args):
                out[name] = self.value(node.args[place])
            elif argument.name in node.kwargs:
                out[name] = self.value(node.kwargs[argument.name])
            elif argument.has_default_value():
                out[name] = argument.default_value
        return out

    def value(self, item: Any) -> Any:
        """What stands for a node, or for nodes in lists."""
        if isinstance(item, fx.Node):
            return self._values[item]
        return [self.value(part) for part in item] if isinstance(item, (list, tuple)) else item

    def _refuse(self, node: fx.Node, reason: str) -> None:
        self._refusals.add(node.name, kind_of(node), place_of(node), reason)

    def _require_batch(self, node: fx.Node, found: Any) -> None:
        """Axis 0 is the batch, everywhere; the other axes have the recorded sizes, and nothing is rounded."""
        recorded = node.meta.get("val")
        pairs = zip(found, recorded, strict=False) if isinstance(found, list) else [(found, recorded)]
        for value, tensor in pairs:
            if not isinstance(value, Signal) or not isinstance(tensor, torch.Tensor):
                continue
            if not _is_batch(tensor):
                raise Refused(MIXES)
            if value.shape != tuple(tensor.shape[1:]):
                raise Refused(f"it makes the shape {tuple(tensor.shape[1:])}, where {value.shape} was expected")
            if 0 in value.shape:
                raise Refused(f"it makes a tensor without entries, of shape {value.shape} for a sample")
            read = [part for part in node.all_input_nodes if isinstance(self._values.get(part), Signal)]
            before = [part.meta["val"].dtype for part in read if isinstance(part.meta.get("val"), torch.Tensor)]
            if any(rounds(dtype, tensor.dtype) for dtype in before):
                raise Refused(f"it rounds to {tensor.dtype}")

    # -- writing in place -----------------------------------------------------------------------------------------

    def _alias(self, node: fx.Node) -> None:
        """Note that a value may share memory with the first thing that it is made of."""
        group = self._twins.setdefault(node, [node])
        for other in node.all_input_nodes[:1]:
            if other in self._recorded.values:
                continue
            for member in self._twins.setdefault(other, [other]):
                if member not in group:
                    group.append(member)
        for member in group:
            self._twins[member] = group

    def _write_in_place(self, node: fx.Node, found: Any) -> None:
        """After ``x.relu_()`` and the like, x is the new value, and other views of x must not be read again."""
        if not overload_key(node).split(".")[0].endswith("_"):
            return
        changed = node.args[0]
        assert isinstance(changed, fx.Node), node
        if changed in self._recorded.values:
            raise Refused("it changes a parameter, buffer or constant in place")
        self._values[changed] = found
        group = self._twins.setdefault(changed, [changed])
        for other in group:
            later = [user for user in other.users if self._order[user] > self._order[node]]
            if other is not changed and other is not node and later:
                raise Refused(f"it writes in place into what {later[0].name} reads by another view; write x = f(x)")
        if node not in group:
            group.append(node)
        self._twins[node] = group


def _shares_memory(node: fx.Node) -> bool:
    """Whether what an operation gives may be a view of what it reads, or that itself."""
    if node.target is operator.getitem or key_of(node) in MAYBE_ITSELF:
        return True
    schema: Any = getattr(node.target, "_schema", None)
    return schema is not None and any(
        value.alias_info is not None and not value.alias_info.is_write for value in schema.returns
    )


def _makes_tensors(node: fx.Node) -> bool:
    schema: Any = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.returns)


def _is_batch(tensor: torch.Tensor) -> bool:
    """Whether axis 0 of a recorded tensor has the size of the batch, and no size depends on values."""
    sizes: Any = tensor.shape
    return all(isinstance(n, int) for n in sizes) and len(sizes) > 0 and bool(sizes[0] == BATCH)


def _leaves(items: Any) -> list[Any]:
    return [leaf for item in items for leaf in (_leaves(item) if isinstance(item, list) else [item])]
