"""Which nodes and tensors does an ONNX file hold? The file is hostile until it has passed.

`read_file` parses the file and checks what every reader relies on: one graph, a known operator set, every tensor made
once and before it is read (nodes in any acyclic order are sorted), every tensor that is read made somewhere. Attributes
are read through `Attributes`, which knows which of them nobody asked for: an attribute with an effect is never ignored
in silence.

Not checked here: what the operators mean (`pathgraph.io.onnx_import`), the numbers (`pathgraph.io.onnx_tensors`).

Source: the ONNX specification (IR.md); the checks are derived here.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from os import PathLike
from pathlib import Path
from typing import Any

from pathgraph.errors import BackendError, FileFormatError, GraphError
from pathgraph.io.onnx_tensors import Folder
from pathgraph.shown import argument_text

__all__ = ["KNOWN_OPSET", "Attributes", "Node", "OnnxFile", "onnx_package", "read_file"]

KNOWN_OPSET = 28
"""The newest operator set whose changes have been looked at."""
DOMAINS = ("", "ai.onnx")
KINDS = {1: "float", 2: "int", 3: "string", 4: "tensor", 6: "floats", 7: "ints", 8: "strings"}
FIELDS = {
    "float": "f",
    "int": "i",
    "string": "s",
    "tensor": "t",
    "floats": "floats",
    "ints": "ints",
    "strings": "strings",
}


def onnx_package() -> Any:
    """The package `onnx`, imported when it is needed.

    Raises
    ------
    BackendError
        If it is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise BackendError(
            "ONNX files need the package onnx, which is not installed; pip install 'pathgraph[onnx]', "
            "or pip install '.[onnx]' in a checkout"
        ) from error


class Attributes:
    """The attributes of a node, each of which somebody has to read.

    Parameters
    ----------
    found : sequence of onnx.AttributeProto
    what : str
        Names the node in messages.
    """

    def __init__(self, found: Sequence[Any], what: str) -> None:
        self._what = what
        self._found = {attribute.name: attribute for attribute in found}
        self._unread = set(self._found)
        if len(self._found) != len(found):
            raise FileFormatError(f"{what}: an attribute is there twice; the file is damaged")

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def read(self, name: str, kind: str, default: Any = None) -> Any:
        """The value of an attribute, or `default` where the node has none of that name.

        Raises
        ------
        FileFormatError
            If it is not of this kind ("float", "int", "string", "tensor", "floats", "ints" or "strings").
        """
        self._unread.discard(name)
        if name not in self._found:
            return default
        attribute = self._found[name]
        came = KINDS.get(attribute.type, f"type {attribute.type}")
        if attribute.type == 0:  # the first files did not say the type
            came = kind if attribute.HasField(FIELDS[kind]) or kind.endswith("s") else "nothing"
        if came != kind:
            raise FileFormatError(f"{self._what}: needed {kind} as attribute {name!r}, got {came}")
        value = getattr(attribute, FIELDS[kind])
        if kind == "string":
            return value.decode("utf-8", errors="replace")
        if kind == "strings":
            return [text.decode("utf-8", errors="replace") for text in value]
        return list(value) if kind in ("floats", "ints") else value

    def ignore(self, *names: str) -> None:
        """These have no effect on what the network computes."""
        self._unread.difference_update(names)

    def unread(self) -> list[str]:
        """The attributes that nobody has read."""
        return sorted(self._unread)


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the file: what it does, under which name, on which tensors; and its documentation string."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes
    doc: str

    def __str__(self) -> str:
        return _shown(self.operator, self.name, self.outputs)


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A file that has passed the checks: its nodes in an order in which each reads what earlier ones made."""

    label: str
    folder: Folder | None
    opset: int
    nodes: tuple[Node, ...]
    dead: int
    tensors: dict[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[str, ...]


def read_file(source: Any) -> OnnxFile:
    """Read and check an ONNX model.

    Parameters
    ----------
    source : path, bytes, binary file or onnx.ModelProto

    Raises
    ------
    FileFormatError
        If it is no ONNX model, or a damaged one.
    GraphError
        If its nodes form a cycle.
    """
    model, label, folder = _parsed(source)
    graph = model.graph
    if not graph.node and not graph.input:
        raise FileFormatError(f"{label}: needed an ONNX model with a graph, got one without nodes and inputs")
    opset = _opset(model, label)
    if model.functions:
        raise FileFormatError(
            f"{label}: needed a model without functions of its own, got {len(model.functions)}; "
            "onnx.inliner.inline_local_functions(model) replaces them by their nodes"
        )
    if graph.sparse_initializer:
        raise FileFormatError(f"{label}: needed dense tensors, got a sparse initializer; make it dense")
    tensors = _named(graph.initializer, "initializer", label)
    inputs = tuple(value for name, value in _named(graph.input, "input", label).items() if name not in tensors)
    outputs = tuple(_named(graph.output, "output", label))
    if not outputs:
        raise FileFormatError(f"{label}: needed a graph with an output, got none")
    nodes, dead = _sorted(graph.node, {*tensors, *(value.name for value in inputs)}, outputs, label)
    return OnnxFile(label, folder, opset, nodes, dead, tensors, inputs, outputs)


def _parsed(source: Any) -> tuple[Any, str, Folder | None]:
    onnx = onnx_package()
    if isinstance(source, onnx.ModelProto):
        return source, "the ONNX model", None
    if isinstance(source, str | PathLike):
        path = Path(source)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FileFormatError(
                f"path_or_model: needed a readable file, got {argument_text(str(path))}: {error.strerror}"
            ) from error
        label, folder = path.name, Folder(path.parent)
    elif isinstance(source, bytes | bytearray | memoryview):
        data, label, folder = bytes(source), "the ONNX model", None
    elif callable(getattr(source, "read", None)):
        data, label, folder = _read(source), "the ONNX model", None
    else:
        raise FileFormatError(
            f"path_or_model: needed a path, bytes, a binary file or an onnx.ModelProto, got {type(source).__name__}"
        )
    decode_error = importlib.import_module("google.protobuf.message").DecodeError
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except decode_error as error:
        raise FileFormatError(f"{label}: needed an ONNX model, got {len(data)} bytes that are none: {error}") from error
    return model, label, folder


def _read(file: Any) -> bytes:
    """What a file that is open for reading bytes holds, from where it stands."""
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # a closed file, one that is open for writing, text that is none
        raise FileFormatError(
            f"path_or_model: needed a file that is open for reading bytes, got {argument_text(file)}: {error}"
        ) from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise FileFormatError(
            f"path_or_model: needed a file that is open for reading bytes, got {argument_text(file)}, which holds "
            f"{type(data).__name__}; open it in the mode 'rb'"
        )
    return bytes(data)


def _opset(model: Any, label: str) -> int:
    """The version of the operators; a model older than versions uses the first."""
    versions = {entry.version for entry in model.opset_import if entry.domain in DOMAINS}
    if not versions and model.ir_version < 3:
        return 1
    if len(versions) != 1 or not 1 <= min(versions) <= KNOWN_OPSET:
        raise FileFormatError(
            f"{label}: needed one version of the ONNX operators, from 1 to {KNOWN_OPSET}, got {sorted(versions)}; "
            "onnx.version_converter.convert_version(model, version) changes it"
        )
    return int(versions.pop())


def _named(found: Sequence[Any], kind: str, label: str) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for position, item in enumerate(found):
        if not item.name:
            raise FileFormatError(f"{label}: {kind} {position} has no name; the file is damaged")
        if item.name in named:
            raise FileFormatError(f"{label}: two {kind}s are named {item.name!r}; names must differ")
        named[item.name] = item
    return named


def _shown(operator: str, name: str, outputs: Sequence[str]) -> str:
    made = f" (makes {outputs[0]!r})" if outputs and outputs[0] != name else ""
    return f"{operator} node {name!r}{made}" if name else f"{operator} node{made}"


def _sorted(protos: Sequence[Any], given: set[str], outputs: Sequence[str], label: str) -> tuple[tuple[Node, ...], int]:
    """The nodes that some output needs, each after those it reads; and how many others there are."""
    makers: dict[str, int] = {}
    for index, proto in enumerate(protos):
        for name in filter(None, proto.output):
            if name in makers or name in given:
                what = _shown(proto.op_type, proto.name, proto.output)
                raise FileFormatError(f"{label}: {what}: the tensor {name!r} is made twice")
            makers[name] = index
    needed: set[int] = set()
    pending = list(outputs)
    while pending:
        name = pending.pop()
        if name in makers and makers[name] not in needed:
            needed.add(makers[name])
            pending.extend(filter(None, protos[makers[name]].input))
        elif name not in makers and name not in given:
            readers = [p for p in protos if name in p.input]
            who = _shown(readers[0].op_type, readers[0].name, readers[0].output) if readers else "the graph's output"
            raise FileFormatError(
                f"{label}: {who} needs the tensor {name!r}, which no node, input or initializer makes"
            )
    order = _order(protos, makers, sorted(needed), label)
    nodes = tuple(_node(protos[index], label) for index in order)
    return nodes, len(protos) - len(order)


def _order(protos: Sequence[Any], makers: dict[str, int], needed: Sequence[int], label: str) -> list[int]:
    """The order of the file where it is a topological one, as the specification asks."""
    reads = {index: [makers[name] for name in protos[index].input if name in makers] for index in needed}
    if all(maker < index for index, found in reads.items() for maker in found):
        return list(needed)
    try:
        return list(TopologicalSorter(reads).static_order())
    except CycleError as error:
        cycle = [_shown(protos[i].op_type, protos[i].name, protos[i].output) for i in error.args[1]]
        shown = " -> ".join(cycle[:6]) + (" -> ..." if len(cycle) > 6 else "")
        raise GraphError(f"{label}: needed an acyclic graph, got the cycle {shown}") from error


def _node(proto: Any, label: str) -> Node:
    inputs, outputs = list(proto.input), list(proto.output)
    while inputs and not inputs[-1]:  # an optional input that is left out
        inputs.pop()
    operator = proto.op_type if proto.domain in DOMAINS else f"{proto.domain}.{proto.op_type}"
    what = f"{label}: {_shown(operator, proto.name, outputs)}"
    return Node(
        operator, proto.name, tuple(inputs), tuple(outputs), Attributes(list(proto.attribute), what), proto.doc_string
    )
