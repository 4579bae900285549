"""Networks on disk: one .npz file of plain arrays and a JSON header, read without pickle.

Names of neurons and parameters may be strings, integers, floats, booleans, None, and tuples of those. Floats keep
every bit and Fractions are written as "p/q", so a network read back equals the one written.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Hashable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pathgraph.errors import FileFormatError, GraphError, ParameterError
from pathgraph.graph.compilation import compile_architecture
from pathgraph.graph.network import Network
from pathgraph.graph.scalars import object_array

__all__ = ["load", "save"]

FORMAT = "pathgraph network, version 1"
ARRAYS = ("activation", "rank", "level", "start", "antecedent", "biased", "role", "output", "insertion")


def save(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to a file that `load` reads back unchanged.

    The file is written beside its final place and then moved there, so an interrupted call loses nothing.

    Raises
    ------
    ParameterError
        If the network is symbolic, or a name cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib, pathgraph as pg
    >>> net = pg.from_weights([[[1, 2]], [[3]]], dtype=object)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pg.save(net, pathlib.Path(folder, "net.npz"))
    ...     pg.load(pathlib.Path(folder, "net.npz")) == net
    True
    """
    if net.scalars == "symbolic":
        raise ParameterError("net: a network of SymPy expressions cannot be saved; substitute numbers first")
    architecture = net.architecture
    header = {
        "format": FORMAT,
        "nodes": [_encode(node) for node in architecture.nodes],
        "ties": [[entry, _encode(name)] for entry, name in sorted(architecture.ties.items())],
    }
    values = np.array([str(v) for v in net.values]) if net.is_exact else net.values
    arrays = {name: getattr(architecture, name) for name in ARRAYS}
    destination = Path(path)
    partial = destination.with_name(destination.name + ".partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), values=values, **arrays)
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `save` wrote.

    Nothing in the file is executed, and the structure is checked anew.

    Raises
    ------
    FileFormatError
        If the file is damaged or holds something else.
    FileNotFoundError
        If there is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header.get("format") != FORMAT:
                raise FileFormatError(f"{path}: needed the format {FORMAT!r}, got {header.get('format')!r}")
            return _rebuild(header, {name: file[name] for name in (*ARRAYS, "values")})
    except (FileNotFoundError, IsADirectoryError, PermissionError, FileFormatError):
        raise
    except (
        GraphError,
        ParameterError,
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        MemoryError,
        ZeroDivisionError,
        OverflowError,
        RecursionError,
        zipfile.error,
    ) as error:
        raise FileFormatError(f"{path}: not a network that pathgraph.save wrote, or damaged ({error})") from error


def _rebuild(header: dict[str, Any], arrays: dict[str, Any]) -> Network:
    nodes = [_decode(node) for node in header["nodes"]]
    if len(set(nodes)) != len(nodes):
        raise ValueError("two neurons have one name")
    insertion, start = arrays["insertion"], arrays["start"]
    n_edges = len(arrays["antecedent"])
    in_order = np.argsort(insertion)
    if not np.array_equal(insertion[in_order], np.arange(len(nodes))):
        raise ValueError("the insertion order is no permutation")
    target = np.repeat(np.arange(len(nodes)), np.diff(start))
    level = arrays["level"]
    if np.any(level[arrays["antecedent"]] >= level[target]):
        raise ValueError("an edge does not lead to a higher level")
    architecture, order = compile_architecture(
        [nodes[i] for i in in_order.tolist()],
        arrays["activation"][in_order],
        arrays["rank"][in_order],
        level[in_order],
        insertion[arrays["antecedent"]],
        insertion[target],
        arrays["role"][:n_edges],
        insertion[arrays["biased"]],
        arrays["role"][n_edges:],
        insertion[arrays["output"]],
        {int(entry): _decode(name) for entry, name in header["ties"]},
    )
    values = arrays["values"]
    if values.dtype.kind == "U":
        values = object_array(Fraction(text) for text in values.tolist())
    return Network(architecture, values[order])


def _encode(name: Hashable) -> Any:
    if name is None or type(name) in (str, int, float, bool):
        return name
    if type(name) is tuple:
        return [_encode(part) for part in name]
    if isinstance(name, np.integer):
        return int(name)
    raise ParameterError(
        f"name: needed strings, numbers, None or tuples of them to save a network, got {name!r} of type "
        f"{type(name).__name__}; relabel the graph"
    )


def _decode(name: Any) -> Hashable:
    if isinstance(name, dict):
        raise TypeError(f"a name cannot be the object {name}")
    return tuple(_decode(part) for part in name) if isinstance(name, list) else name
