"""Layer graphs as ONNX files: `to_onnx`.

Every layer becomes the operator it came from, under its own name, and every tensor an initializer under its own name,
so that a pruned, rescaled or quantized network runs wherever ONNX runs, and `from_onnx` reads the same network back.

onnxruntime convolves in float32 only. The tensors of a float64 graph are therefore written as they are, without loss,
and cast to float32 by the file: the runtime computes with rounded values, `from_onnx`, for which casts between float
types are identities, reads the exact ones.

ONNX has no words for a few things: that Identity stands for identity neurons, that a tensor has another role than
`from_onnx` would give it, that a batch-norm has no shift, that some nodes are one pool. They are in the documentation
strings of nodes and tensors, which runtimes ignore.

Source: the ONNX operator specifications, operator set 18.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.errors import ParameterError, RangeError, UnsupportedOperatorError
from pathgraph.io import onnx_export_maps, onnx_export_pools
from pathgraph.io.onnx_file import onnx_package
from pathgraph.io.onnx_writers import LAYER_WRITERS
from pathgraph.io.refusals import Unwritable
from pathgraph.scalars import float_type
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.layers import Layer, LayerGraph
    from pathgraph.scalars import Array

__all__ = ["Writer", "to_onnx"]

_WRITERS = (onnx_export_maps, onnx_export_pools)
"""The modules whose functions are registered as writers of layers."""

OPSET, IR_VERSION = 18, 8
LARGEST_FILE = 2**31 - 2**24
"""Protobuf ends at 2 GiB; beyond, the tensors go into a file of their own."""


def to_onnx(graph: LayerGraph, path: str | PathLike[str] | IO[bytes], *, dtype: DTypeLike = np.float32) -> None:
    """Write a layer graph as an ONNX file.

    Parameters
    ----------
    graph : LayerGraph
        In floats.
    path : path or binary file
        Where to write. Tensors of more than 2 GiB together go into a file ``path.data`` beside it, and need a path.
    dtype : {float32, float64}
        In which type a runtime shall compute. onnxruntime has no convolutions and pools in float64.

    Raises
    ------
    UnsupportedOperatorError
        If a layer has no ONNX operator, like a convolution whose padding cuts its input; the message names them all.
    ParameterError
        If the graph is exact: `LayerGraph.to_float` rounds it. If `path` is neither a path nor a file that is open for
        writing bytes.
    RangeError
        If a value lies beyond the range of `dtype`.
    FileNotFoundError
        If the folder does not exist.

    Notes
    -----
    The values are written without loss: a float64 graph as float64 tensors, which the file casts to `dtype`.
    Pools of rank 2 and more, and max-pools that are none of ONNX's, are written as a table of their windows and TopK.
    `from_onnx` gives back the same neurons, edges and values; fixed matrices that are no pooling, padding or usual
    resizing come back as linear layers of the same function and path-norms.

    Examples
    --------
    >>> import tempfile, pathlib, pathgraph as pg
    >>> build = pg.LayerGraphBuilder()
    >>> x = build.relu(build.linear(build.input((2,)), build.tensor("first", [[1.0, -2.0], [3.0, 1.0]])))
    >>> graph = build.build([build.linear(x, build.tensor("last", [[1.0, 1.0]]))])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     graph.to_onnx(pathlib.Path(folder, "net.onnx"))
    ...     pg.from_onnx(pathlib.Path(folder, "net.onnx")) == graph
    True
    """
    if graph.is_exact:
        raise ParameterError("graph: needed floats, got exact numbers; round them by graph.to_float()")
    target = _target(path)
    writer = Writer(graph, float_type(dtype))
    unwritable = []
    for layer in graph.layers:
        try:
            writer.layer(layer)
        except Unwritable as reason:
            unwritable.append(f"\n  {layer.kind} layer {layer.name!r}: {reason}")
    if unwritable:
        raise UnsupportedOperatorError(
            f"graph: {len(unwritable)} of its {len(graph.layers)} layers have no ONNX operator:{''.join(unwritable)}"
        )
    model, size = writer.model(), sum(tensor.nbytes for tensor in graph.tensors)
    if not isinstance(target, Path):
        if size >= LARGEST_FILE:
            raise ParameterError(
                f"path: needed a path, since tensors of {size} bytes go into a file beside the model, got "
                f"{argument_text(path)}"
            )
        _write(target, model.SerializeToString())
    elif size < LARGEST_FILE:
        target.write_bytes(model.SerializeToString())
    else:
        writer.onnx.save_model(model, str(target), save_as_external_data=True, location=f"{target.name}.data")


def _target(path: Any) -> Path | IO[bytes]:
    """A path in a folder that exists, or something with a method `write`."""
    if isinstance(path, str | PathLike):
        target = Path(path)
        if not target.parent.is_dir():
            raise FileNotFoundError(f"path: there is no folder {str(target.parent)!r} to write {target.name!r} in")
        return target
    if not callable(getattr(path, "write", None)):
        raise ParameterError(f"path: needed a path or a file that is open for writing bytes, got {argument_text(path)}")
    file: IO[bytes] = path
    return file


def _write(file: IO[bytes], data: bytes) -> None:
    """All bytes, also where one call takes only some of them."""
    rest = data
    while rest:
        try:
            taken = file.write(rest)
        except (TypeError, ValueError) as error:  # a file of text, a closed one, one that is open for reading
            raise ParameterError(
                f"path: needed a file that is open for writing bytes, got {argument_text(file)}: {error}"
            ) from error
        rest = rest[taken if isinstance(taken, int) and taken > 0 else len(rest) :]


class Writer:
    """The nodes and tensors of a file on their way.

    Parameters
    ----------
    graph : LayerGraph
    dtype : numpy dtype
        In which the file computes.
    """

    def __init__(self, graph: LayerGraph, dtype: np.dtype[Any]) -> None:
        self.onnx = onnx_package()
        self.graph, self.dtype = graph, dtype
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._written: dict[int, str] = {}
        names = graph.architecture.tensor_names
        self._taken = {*names, *(layer.name for layer in graph.layers)}
        self._values = {layer.name: layer.name for layer in graph.layers}
        for name in self._values:
            if name in names:  # tensors and activations share their names in ONNX
                self._values[name] = self.fresh(f"{name}:value")
        self._batch: str | None = None

    # -- what the writers of layers use -----------------------------------------------------------------------------

    def fresh(self, name: str) -> str:
        """A name that nothing has yet."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def value(self, layer: str) -> str:
        """The tensor of the file that holds what a layer or view makes."""
        return self._values[layer]

    def shape(self, layer: str) -> tuple[int, ...]:
        """The shape of a layer, without the batch axis."""
        return self.graph.architecture.layer(layer).shape

    def node(
        self,
        operator: str,
        inputs: list[str],
        output: str,
        name: str,
        doc: str = "",
        more: Sequence[str] = (),
        **attributes: Any,
    ) -> str:
        """Another node; returns its output. `more` are outputs that nothing reads."""
        made = self.onnx.helper.make_node(operator, inputs, [output, *more], name=name, **attributes)
        if doc:
            made.doc_string = doc
        self._nodes.append(made)
        return output

    def helper_node(self, operator: str, inputs: list[str], layer: str, what: str, **attributes: Any) -> str:
        """A node beside the one that has the layer's name."""
        name = self.fresh(f"{layer}:{what}")
        return self.node(operator, inputs, name, name, **attributes)

    def fixed(self, array: Any, layer: str, what: str, *, doc: str = "") -> str:
        """A tensor that is no tensor of the graph: shapes and the like, and matrices; without loss."""
        found = np.asarray(array)
        if found.dtype.kind != "f":
            return self._initializer(self.fresh(f"{layer}:{what}"), found, doc)
        with np.errstate(over="ignore", under="ignore"):
            near = found.astype(self.dtype)
        exact = found.astype(self.graph.dtype)
        if np.array_equal(near, exact):
            return self._initializer(self.fresh(f"{layer}:{what}"), near, doc)
        self._require_finite(near, layer)
        return self._cast(self._initializer(self.fresh(f"{layer}:{what}"), exact, doc))

    def tensor(self, place: int, default: str) -> str:
        """A tensor of the graph, in the type of computation; `default` is the role that `from_onnx` would give it."""
        if place not in self._written:
            architecture = self.graph.architecture
            name, role = architecture.tensor_names[place], architecture.roles[place]
            array = self.graph.tensors[place]
            self._initializer(name, array, "" if role == default else f"role: {role}")
            if array.dtype != self.dtype:
                with np.errstate(over="ignore", under="ignore"):
                    self._require_finite(array.astype(self.dtype), name)
                name = self._cast(name)
            self._written[place] = name
        return self._written[place]

    def _cast(self, name: str) -> str:
        """A tensor in the type of computation."""
        to = self.onnx.helper.np_dtype_to_tensor_dtype(self.dtype)
        return self.helper_node("Cast", [name], name, str(self.dtype), to=to)

    def _require_finite(self, array: Array, name: str) -> None:
        if not np.isfinite(array).all():
            raise RangeError(f"{name}: a value lies beyond the range of {self.dtype}; use dtype='float64'")

    def batch(self) -> str:
        """The size of the batch, as a vector of one entry."""
        if self._batch is None:
            first = self.graph.architecture.inputs[0]
            self._batch = self.helper_node("Shape", [self.value(first)], first, "batch", start=0, end=1)
        return self._batch

    # -- the file ---------------------------------------------------------------------------------------------------

    def layer(self, layer: Layer) -> None:
        """Write a layer, and the ReLU that follows."""
        if layer.activation == "input":
            return
        output = self.value(layer.name)
        writer = LAYER_WRITERS.get(layer.kind)
        if writer is None:
            raise Unwritable("this kind of layer is not written")
        if layer.activation == "relu" and layer.kind != "relu":
            inner = self.fresh(f"{layer.name}:sum")
            writer(self, layer, inner)
            self.node("Relu", [inner], output, self.fresh(f"{layer.name}:relu"))
        else:
            writer(self, layer, output)

    def model(self) -> Any:
        """The whole file."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        ends = [
            [helper.make_tensor_value_info(self.value(name), kind, ["batch", *self.shape(name)]) for name in names]
            for names in (self.graph.architecture.inputs, self.graph.architecture.outputs)
        ]
        graph = helper.make_graph(self._nodes, "pathgraph", *ends, list(self._initializers.values()))
        return helper.make_model(
            graph,
            producer_name="pathgraph",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )

    def _initializer(self, name: str, array: Array, doc: str) -> str:
        made = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        if doc:
            made.doc_string = doc
        self._initializers[name] = made
        return name
