"""The last steps of a builder: fuse ReLUs, give outputs neurons of their own, bring values to one kind of scalars."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.layers.drafting import Draft, Tensor, TensorHandle
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.layers.operations import Diagonal
from pathgraph.layers.structure import Layer, LayerArchitecture
from pathgraph.scalars import object_array, to_fraction

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Compilation"]


class Compilation:
    """The drafts and tensors of a builder while they become a layer graph; the builder's own stay as they are."""

    def __init__(self, drafts: Mapping[str, Draft], tensors: Mapping[str, Tensor]) -> None:
        self._drafts = {name: replace(draft, readers=list(draft.readers)) for name, draft in drafts.items()}
        self._tensors = dict(tensors)

    def graph(self, outputs: list[str], notes: tuple[str, ...]) -> LayerGraph:
        """The layer graph whose outputs are the layers of these names, or copies of them."""
        outputs = self._fuse(outputs)
        outputs = self._with_copies(outputs)
        used = list(
            dict.fromkeys(
                name
                for draft in self._drafts.values()
                for name in (*draft.tensors, *([draft.bias] if draft.bias is not None else []))
            )
        )
        place = {name: index for index, name in enumerate(used)}
        layers = tuple(
            replace(
                draft.layer,
                tensors=tuple(place[name] for name in draft.tensors),
                bias=None if draft.bias_map is None or draft.bias is None else (draft.bias_map, place[draft.bias]),
            )
            for draft in self._drafts.values()
        )
        kept = [self._tensors[name] for name in used]
        architecture = LayerArchitecture(
            layers,
            tuple(outputs),
            tuple(used),
            tuple(tensor.handle.shape for tensor in kept),
            tuple(tensor.handle.role for tensor in kept),
        )
        return LayerGraph(architecture, _converted(kept), notes=notes)

    def _fuse(self, outputs: list[str]) -> list[str]:
        """Make each ReLU the activation of the layer that it alone reads; return the new names of the outputs."""
        renamed: dict[str, str] = {}
        for name, draft in list(self._drafts.items()):
            layer = draft.layer
            if layer.kind != "relu":
                continue
            source = self._drafts[layer.sources[0]]
            is_alone = source.readers == [name] and source.layer.name not in outputs
            if source.layer.activation != "identity" or source.layer.is_view or not is_alone:
                continue
            source.layer = replace(source.layer, activation="relu")
            source.readers = list(draft.readers)
            for reader in dict.fromkeys(draft.readers):
                other = self._drafts[reader]
                other.layer = replace(
                    other.layer,
                    sources=tuple(source.layer.name if s == name else s for s in other.layer.sources),
                )
            del self._drafts[name]
            renamed[name] = source.layer.name
        return [renamed.get(name, name) for name in outputs]

    def _with_copies(self, outputs: list[str]) -> list[str]:
        """Give every output that is read, or is no identity, an identity copy; return the new names of the outputs."""
        out = []
        for place, name in enumerate(outputs):
            if not self._is_end(name, outputs):
                layer, copy = self._drafts[name].layer, self._fresh(f"output{place + 1}" if place else "output")
                handle = TensorHandle(f"{copy}.skip0", (1,), "structural")
                self._tensors[handle.name] = Tensor(handle, object_array([1]), follows=True)
                operation = Diagonal(layer.shape, layer.shape, (1,) * len(layer.shape))
                self._drafts[copy] = Draft(Layer(copy, "copy", (name,), layer.shape, (operation,)), (handle.name,))
                self._drafts[name].readers.append(copy)
                name = copy
            out.append(name)
        return out

    def _is_end(self, name: str, outputs: list[str]) -> bool:
        """Whether a layer, or what a view shows, can be an output: identity neurons, each once, that nothing reads."""
        draft = self._drafts[name]
        if draft.readers or outputs.count(name) > 1:
            return False
        todo = [name]
        while todo:
            layer = self._drafts[todo.pop()].layer
            if not layer.is_view:
                if layer.activation != "identity":
                    return False
                continue
            if layer.view is not None and layer.view.kind == "take":
                return False
            for source in layer.sources:
                if len(self._drafts[source].readers) > 1 or source in outputs:
                    return False
                todo.append(source)
        return True

    def _fresh(self, name: str) -> str:
        while name in self._drafts or f"{name}.skip0" in self._tensors:
            name += "_"
        return name


def _converted(tensors: Sequence[Tensor]) -> list[Array]:
    """The values in one kind of scalars: Fractions, float32 or float64.

    Tensors of integers, and those that layers made by themselves, have no say.
    """
    kinds: set[Hashable] = set()
    for tensor in tensors:
        if tensor.values.dtype.kind == "f":
            kinds.add(tensor.values.dtype)
        elif not tensor.follows and any(isinstance(v, Fraction) for v in tensor.values.flat):
            kinds.add("exact")
    if "exact" in kinds:
        if len(kinds) > 1:
            names = [t.handle.name for t in tensors if t.values.dtype.kind == "f"]
            raise ParameterError(f"tensors: needed exact numbers beside Fractions, got floats in {names[0]!r}")
        return [_exact(tensor) for tensor in tensors]
    dtype = np.float32 if kinds and kinds <= {np.dtype(np.float32), np.dtype(np.float16)} else np.float64
    return [_floats(tensor, dtype) for tensor in tensors]


def _exact(tensor: Tensor) -> Array:
    name = tensor.handle.name
    values = [to_fraction(v, f"{name}[{i}]") for i, v in enumerate(tensor.values.ravel().tolist())]
    return object_array(values).reshape(tensor.values.shape)


def _floats(tensor: Tensor, dtype: Any) -> Array:
    if tensor.values.dtype == object:
        return np.array([float(v) for v in tensor.values.flat]).astype(dtype).reshape(tensor.values.shape)
    return tensor.values
