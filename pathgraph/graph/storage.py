"""Networks on disk: one .npz file of plain arrays and a JSON header, read without pickle.

Names of neurons and parameters may be strings, integers, floats, booleans, None, and tuples of those; neurons that
`from_arrays` numbered are written as their count. Floats keep every bit and Fractions are written as "p/q", so a
network read back equals the one written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Hashable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pathgraph.errors import FileFormatError, ParameterError, PathgraphError
from pathgraph.graph.architecture import ACTIVATIONS, ROLES
from pathgraph.graph.compilation import compile_architecture
from pathgraph.graph.names import is_numbered
from pathgraph.graph.network import Network, require_network
from pathgraph.graph.ordering import grouped, longest_distances
from pathgraph.scalars import Array, object_array
from pathgraph.shown import argument_text

__all__ = ["load", "save"]

FORMAT = "pathgraph network, version 1"
RATIONAL = re.compile(r"-?\d+(/\d+)?")
ARRAYS = ("activation", "rank", "source", "target", "biased", "role", "output", "values")


def save(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to a file that `load` reads back unchanged.

    The file is an .npz archive of NumPy, whatever its suffix. It is written beside its final place and then moved
    there, so an interrupted call loses nothing.

    Parameters
    ----------
    net : Network
    path : str or path

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ParameterError
        If the network is symbolic, a name cannot be written, or `path` is no path.

    Examples
    --------
    >>> import tempfile, pathlib, pathgraph as pg
    >>> net = pg.from_weights([[[1, 2]], [[3]]], dtype=object)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pg.save(net, pathlib.Path(folder, "net.npz"))
    ...     pg.load(pathlib.Path(folder, "net.npz")) == net
    True
    """
    require_network(net, instead="; net.to_onnx(path) writes the layers as a file that from_onnx reads")
    if net.scalars == "symbolic":
        raise ParameterError("net: a network of SymPy expressions cannot be saved; substitute numbers first")
    architecture = net.architecture
    insertion = architecture.insertion
    in_order = np.argsort(insertion)
    header = {
        "format": FORMAT,
        "nodes": [_encode(architecture.nodes[i]) for i in in_order.tolist()]
        if not is_numbered(architecture.nodes)
        else {"count": architecture.n_nodes},
        "ties": [[entry, _encode(name)] for entry, name in sorted(architecture.ties.items())],
    }
    arrays: dict[str, Any] = {
        "header": np.array(json.dumps(header)),
        "activation": architecture.activation[in_order],
        "rank": architecture.rank[in_order],
        "source": insertion[architecture.antecedent],
        "target": insertion[architecture.target[: architecture.n_edges]],
        "biased": insertion[architecture.biased],
        "role": architecture.role,
        "output": insertion[architecture.output],
        "values": np.array([str(v) for v in net.values], dtype=str) if net.is_exact else net.values,
    }
    destination = _path(path)
    if not destination.parent.is_dir():
        raise FileNotFoundError(
            f"path: there is no folder {str(destination.parent)!r} to write {destination.name!r} in"
        )
    partial = destination.with_name(destination.name + ".partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)


def _path(path: Any) -> Path:
    """A path; numbers are none, though `open` would take them for files that are open already, and close those."""
    if not isinstance(path, (str, os.PathLike)):
        raise ParameterError(f"path: needed the path of a file, a string or a pathlib.Path, got {argument_text(path)}")
    return Path(path)


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `save` wrote.

    Nothing in the file is executed, and the structure is checked anew.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Network

    Raises
    ------
    FileFormatError
        If the file is damaged or holds something else.
    FileNotFoundError
        If there is no such file.
    ParameterError
        If `path` is no path.

    Examples
    --------
    >>> import tempfile, pathlib, pathgraph as pg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.npz")
    ...     pg.save(pg.from_weights([[[1, 2]], [[3]]]), path)
    ...     pg.load(path)
    Network(4 neurons: 2 inputs, 1 hidden, 1 output; 3 edges, 0 biases; 3 parameters; float64)
    """
    with _path(path).open("rb") as handle:
        try:
            with np.load(handle, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                arrays = {name: file[name] for name in ARRAYS}
            if header["format"] != FORMAT:
                raise FileFormatError(f"needed the format {FORMAT!r}, got {header['format']!r}")
            return _rebuild(header, arrays)
        except Exception as error:  # a damaged archive raises nearly anything, from zipfile, zlib, tokenize and NumPy
            reason = error if isinstance(error, PathgraphError) else type(error).__name__
            raise FileFormatError(f"{path}: not a network that pathgraph.save wrote, or damaged ({reason})") from error


def _rebuild(header: dict[str, Any], arrays: dict[str, Any]) -> Network:
    is_numbered = isinstance(header["nodes"], dict)
    nodes = None if is_numbered else [_decode(node) for node in header["nodes"]]
    if nodes is not None and (len(set(nodes)) != len(nodes) or None in nodes):
        raise ValueError("two neurons have one name, or one has none")
    n_nodes = header["nodes"]["count"] if nodes is None else len(nodes)
    if not len(arrays["activation"]) == len(arrays["rank"]) == n_nodes:
        raise ValueError("the arrays of neurons have other lengths")
    source, target, biased, output = (
        _indices(arrays[name], n_nodes) for name in ("source", "target", "biased", "output")
    )
    role, values = _indices(arrays["role"], len(ROLES)), arrays["values"]
    n_edges = len(source)
    if len(target) != n_edges or not len(role) == len(values) == n_edges + len(biased):
        raise ValueError("the arrays of entries have other lengths")
    ties = {int(entry): _decode(name) for entry, name in header["ties"]}
    if not all(0 <= entry < len(role) for entry in ties):
        raise ValueError("a name belongs to no entry")
    start, antecedent, edges = grouped(n_nodes, source, target)
    architecture, order = compile_architecture(
        nodes=nodes,
        activation=_indices(arrays["activation"], len(ACTIVATIONS)),
        rank=_indices(arrays["rank"], n_edges + 2),
        level=longest_distances(start, antecedent),
        start=start,
        antecedent=antecedent,
        role=role[:n_edges],
        biased=biased,
        bias_role=role[n_edges:],
        output=output,
        ties=ties,
        edges=edges,
    )
    if values.ndim != 1 or values.dtype.kind not in "fU":
        raise ValueError(f"the values have shape {values.shape} and dtype {values.dtype}")
    if values.dtype.kind == "U":
        if not all(map(RATIONAL.fullmatch, values.tolist())):  # Fraction would also read, and expand, exponents
            raise ValueError("a value is no quotient of integers")
        values = object_array(Fraction(text) for text in values.tolist())
    return Network(architecture, order.apply(values[:n_edges], values[n_edges:]))


def _indices(array: Array, size: int) -> Array:
    if array.ndim != 1 or array.dtype.kind not in "iu" or (len(array) and not 0 <= array.min() <= array.max() < size):
        raise ValueError("an array of indices is out of range")
    return array.astype(np.int64)


def _encode(name: Hashable) -> Any:
    if name is None or type(name) in (str, int, float, bool):
        return name
    if type(name) is tuple:
        return [_encode(part) for part in name]
    if isinstance(name, np.integer):
        return int(name)
    raise ParameterError(
        f"name: needed strings, numbers, None or tuples of them to save a network, got {argument_text(name)} of type "
        f"{type(name).__name__}; relabel the graph"
    )


def _decode(name: Any) -> Hashable:
    if isinstance(name, dict):
        raise TypeError(f"a name cannot be the object {name}")
    return tuple(_decode(part) for part in name) if isinstance(name, list) else name
