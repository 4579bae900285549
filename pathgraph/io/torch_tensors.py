"""The tensors of a module in a layer graph: handles with the module's names, shapes and ties, and layer names.

A tensor that the module holds keeps its name and shape, whatever the layout in which layers read it. One that is
computed of others, such as the scale of a batch-norm, has a name of its own and a recipe.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import fx

from pathgraph.io.refusals import Refused
from pathgraph.io.torch_arguments import repeated
from pathgraph.io.torch_capture import Capture
from pathgraph.io.torch_constants import Constant, Expressions, Origin, Recipe, Wide, evaluate, key_of, origin
from pathgraph.layers.builder import LayerGraphBuilder, Signal, TensorHandle
from pathgraph.shown import argument_text

__all__ = ["Shape", "Tensors"]

Shape: TypeAlias = "tuple[int, ...]"


class Tensors:
    """The tensors and names of one import.

    Attributes
    ----------
    build : LayerGraphBuilder
    node : fx.Node
        The operation at hand.
    """

    def __init__(self, recorded: Capture) -> None:
        self.build = LayerGraphBuilder()
        self.node: fx.Node = next(iter(recorded.graph.nodes))
        self._recorded = recorded
        self._handles: dict[str, TensorHandle] = {}
        self._names: dict[Any, str] = {}
        self._masks: dict[str, str | None] = {}
        self._bits: dict[str, bool] = {}
        self._expressions = Expressions(recorded.values)
        self._recipes: dict[str, Recipe] = {}
        self._wide = Wide({name: tensor.detach().cpu() for name, tensor in recorded.state.items()})

    # -- names ----------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path of the module that the operation belongs to; empty for the module itself."""
        stack = list(self.node.meta.get("nn_module_stack", {}).values())
        return str(stack[-1][0]) if stack else ""

    @property
    def shape(self) -> Shape:
        """The recorded shape, without the batch axis."""
        return tuple(self.node.meta["val"].shape[1:])

    @property
    def name(self) -> str:
        """A name for the layer of the operation: the module's for the first one there, else the node's."""
        stack = list(self.node.meta.get("nn_module_stack", {}).values())
        name = self.node.name
        if self.path and str(stack[-1][1]).startswith("torch.nn.modules"):
            name = self.path
        return self.build.free_name(name)

    # -- tensors --------------------------------------------------------------------------------------------------

    def origin(self, constant: Constant) -> Origin:
        """What a constant is, seen from the module."""
        names = self._recorded.parameters

        def masks(first: str, second: str) -> bool:
            is_pair = first.endswith("_orig") and second == f"{first.removesuffix('_orig')}_mask"
            return is_pair and first in names and self._holds_bits(second)

        return origin(constant.node, self._recorded.values, masks)

    def _holds_bits(self, name: str) -> bool:
        """Whether a tensor has no entries but 0 and 1: then writing back what it has masked changes nothing."""
        if name not in self._bits:
            tensor = self._recorded.state[name]
            self._bits[name] = bool(((tensor == 0) | (tensor == 1)).all())
        return self._bits[name]

    def number_of(self, node: fx.Node) -> int:
        """The same number for the same expression, such as a weight that is computed at each use of its module."""
        return self._expressions.number(node)

    @property
    def parameters(self) -> frozenset[str]:
        """The names of the module's parameters."""
        return self._recorded.parameters

    def array(self, constant: Constant) -> torch.Tensor:
        """The value of a constant, in double precision, on the processor."""
        return evaluate(constant.node, self._recorded.values, self._wide)

    def wide(self, node: fx.Node, state: Any) -> torch.Tensor:
        """The value of a constant on some state of the module, in double precision."""
        return evaluate(node, self._recorded.values, state).to(torch.float64)

    def tensor(
        self, constant: Constant, shape: Shape | None = None, *, transform: Recipe | None = None, suffix: str = ""
    ) -> TensorHandle:
        """The handle of a constant, with the name that the module has for it where it has one.

        Parameters
        ----------
        constant : Constant
        shape : tuple of int, optional
            In which shape the layer needs it.
        transform : callable, optional
            What is done to it; the result has a name of its own, which ends with the suffix.
        """
        layout = constant.node.meta["val"].layout
        if layout != torch.strided:
            raise Refused(f"needed a dense constant, got one in the layout {layout}; .to_dense() makes one")
        found = self.origin(constant)
        values = self._recorded.values
        role = "parameter" if found.sources & self._recorded.parameters else "structural"
        node = constant.node
        key: Any = (self.number_of(node), suffix)

        def recipe(state: Any) -> Any:
            plain = evaluate(node, values, state)
            if transform is None:
                return plain
            return transform(plain if plain.is_floating_point() else plain.to(torch.float64))

        if found.name is not None and not found.is_transposed:
            self._require_one_mask(found)
            name = f"{found.name}.{suffix}" if suffix else found.name
            key = name
            if transform is None:
                own = self._recorded.state[found.name].shape

                def recipe(state: Any) -> Any:
                    return evaluate(node, values, state).reshape(own)
        else:
            kind = "weight" if len(constant.shape) > 1 else "bias"
            name = f"{self.path}.{kind}" if self.path else constant.node.name
            name = f"{name}.{suffix}" if suffix else name
        handle = self.made(key, name, role, recipe, exact=found.name if transform is None else None)
        return handle.reshaped(constant.shape if shape is None else shape)

    def _require_one_mask(self, found: Origin) -> None:
        """A parameter has one value: with its pruning mask or without, everywhere."""
        assert found.name is not None
        if self._masks.setdefault(found.name, found.mask) != found.mask:
            raise Refused(f"it reads {found.name} with a pruning mask, and others read it without")

    def transposed(self, constant: Constant) -> tuple[TensorHandle, bool]:
        """The handle of a matrix, and whether the module holds its transpose."""
        found = self.origin(constant)
        if not found.is_transposed or found.name is None:
            return self.tensor(constant), False
        self._require_one_mask(found)
        node, values = constant.node, self._recorded.values
        role = "parameter" if found.name in self._recorded.parameters else "structural"
        own = tuple(self._recorded.state[found.name].shape)

        def recipe(state: Any) -> Any:
            return evaluate(node, values, state).t().reshape(own)

        handle = self.made(found.name, found.name, role, recipe, exact=found.name)
        return handle.reshaped(constant.shape[::-1]), True

    def made(self, key: Any, name: str, role: str, recipe: Recipe, *, exact: str | None = None) -> TensorHandle:
        """The handle of a tensor by its recipe, the same one for the same key."""
        if key not in self._names:
            unique = name
            while unique in self._handles or (unique != exact and unique in self._recorded.state):
                unique += "_"
            if exact is None:
                computed = recipe(self._wide).detach()
            else:  # the values as they are, in their own dtype
                computed = recipe(self._recorded.state).detach().cpu()
                if computed.dtype not in (torch.float32, torch.float64):
                    narrow, wide = computed.to(torch.float32), computed.to(torch.float64)
                    computed = narrow if bool((narrow == wide).all() | wide.isnan().any()) else wide
            self._handles[unique] = self.build.tensor(unique, np.array(computed.numpy()), role=role)
            self._recipes[unique] = recipe
            self._names[key] = unique
        return self._handles[self._names[key]]

    def number(self, value: Any, n_axes: int) -> TensorHandle:
        """The handle of a number that the program holds."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise Refused(f"needed a finite real number, got {argument_text(value)}")
        name = f"{self.node.name}.constant"
        while name in self._handles:
            name += "_"
        wide = np.full((1,) * n_axes, float(value))
        narrow = wide.astype(np.float32)
        dtype = self.node.meta["val"].dtype
        fits = dtype != torch.float64 and (narrow == wide).all()
        self._handles[name] = self.build.tensor(name, narrow if fits else wide, role="structural")
        return self._handles[name]

    def broadcast(
        self, x: Signal, constant: Constant, *, transform: Recipe | None = None, suffix: str = ""
    ) -> tuple[Signal, TensorHandle]:
        """A signal and a constant of as many axes, so that the constant broadcasts to the signal.

        The signal is repeated along axes of size 1 where the constant is larger. `transform` and `suffix` are as for
        `tensor`.

        Raises
        ------
        Refused
            If the constant differs from sample to sample.
        """
        n = len(x.shape)
        if len(constant.shape) > n + 1:
            raise Refused(f"a constant of shape {constant.shape} has more axes than the tensor {x.shape} and the batch")
        if len(constant.shape) <= n or constant.shape[0] == 1:
            shape = constant.shape[-n:] if n else ()
            aligned = (1,) * (n - len(shape)) + shape
        else:
            constant, is_repeated = self.of_one_sample(constant)
            shape = constant.shape[1:] if is_repeated else constant.shape[-n:] if n else ()
            aligned = (1,) * (n - len(shape)) + shape
            if is_repeated:
                plain, suffix = transform, f"{suffix}.{self.node.name}" if suffix else self.node.name

                def transform(values: torch.Tensor) -> torch.Tensor:
                    return values[0] if plain is None else plain(values[0])

        wider = tuple(np.broadcast_shapes(aligned, x.shape))
        return repeated(self.build, x, wider), self.tensor(constant, aligned, transform=transform, suffix=suffix)

    def of_one_sample(self, constant: Constant) -> tuple[Constant, bool]:
        """What a batch of constants is made of, whether that is still a batch, the same for all samples.

        Raises
        ------
        Refused
            If it differs from sample to sample.
        """
        node: Any = constant.node
        if key_of(node) in ("expand", "expand_as", "repeat"):
            source = node.args[0]
            tail = tuple(source.meta["val"].shape)
            if len(tail) == len(constant.shape) and tail[0] == 1:
                tail = tail[1:]
            if tail == constant.shape[1:]:
                return Constant(source, tuple(source.meta["val"].shape)), False
        values = self.array(constant)
        if not bool((values == values[:1]).all()):
            raise Refused(f"a constant of shape {constant.shape} that is not the same for all samples")
        return constant, True
