"""Pools that ONNX has no operator for, by operators that it has: a table of windows, and TopK.

A pool of rank k, windows of different sizes, and padding as wide as a window become ::

    Reshape   (batch, channels, *space) -> (batch, channels, positions)
    Pad       one more position, minus infinity: what is read in the padding (left out where no window reads it)
    Gather    a table (windows, entries of a window) of positions
    TopK      the k largest entries of each window, in order
    Gather    the last of these
    Reshape   -> (batch, channels, *windows)

and the documentation string of TopK, which runtimes ignore, says which pool they are. `from_onnx` reads the chain as
that pool only if table, rank and shapes are exactly those that this pool is written with: the string chooses a name,
never what is computed.

Source: the ONNX operator specifications, operator set 18; the form is derived here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pathgraph.io.onnx_values import Activation, Constant
from pathgraph.io.refusals import Refused, Unwritable
from pathgraph.layers.windows import adaptive_axis, pool_axis, pool_size

if TYPE_CHECKING:
    from pathgraph.io.onnx_export import Writer
    from pathgraph.io.onnx_file import Node
    from pathgraph.io.onnx_reading import Reading
    from pathgraph.layers import Layer
    from pathgraph.layers.axes import WeightedAxis
    from pathgraph.scalars import Array

__all__ = ["LARGEST_TABLE", "Selection", "read_selection", "selections", "write_selection"]

MARK = "pool: "
LARGEST_TABLE = 2**24
LARGEST_NUMBER = 2**31

GEOMETRY = ("kernel", "stride", "padding", "dilation")


class Selection(NamedTuple):
    """The nodes of such a pool, and what TopK says of them."""

    flat: Node
    edge: Node | None
    windows: Node
    top: Node
    chosen: Node
    shaped: Node

    @property
    def inner(self) -> list[Node]:
        """All but the last."""
        return [node for node in self[:-1] if node is not None]


def _table(maps: Sequence[WeightedAxis]) -> Array:
    """What each window reads, as flat positions, one past the end in the padding: shape (windows, entries)."""
    table, is_read, positions = np.zeros((1, 1), dtype=np.int64), np.ones((1, 1), dtype=bool), 1
    for axis in (m.taps for m in maps):
        row = np.repeat(np.arange(axis.n_out), axis.degree)
        place = row, np.arange(len(axis.index)) - axis.start[row]
        shape = axis.n_out, int(axis.degree.max(initial=1))
        index, is_there = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        index[place], is_there[place] = axis.index, True
        sizes = len(table) * shape[0], -1
        table = (table[:, None, :, None] * axis.n_in + index[None, :, None, :]).reshape(sizes)
        is_read = (is_read[:, None, :, None] & is_there[None, :, None, :]).reshape(sizes)
        positions *= axis.n_in
    return np.where(is_read, table, positions)


# -- writing ------------------------------------------------------------------------------------------------------


def write_selection(file: Writer, layer: Layer, output: str) -> None:
    """Write a pool in this form.

    Raises
    ------
    Unwritable
        If the table would be too large.
    """
    (operation,) = layer.operations
    maps: Sequence[WeightedAxis] = operation.maps  # type: ignore[attr-defined]
    n_windows = math.prod(m.taps.n_out for m in maps)
    n_entries = math.prod(int(m.taps.degree.max(initial=1)) for m in maps)
    if n_windows * n_entries > LARGEST_TABLE:
        raise Unwritable(
            f"it selects the entry of rank {layer.rank}, for which ONNX has no pool, and a table of its windows would "
            f"have {n_windows} x {n_entries} entries, more than {LARGEST_TABLE}"
        )
    name, table, channels = layer.name, _table(maps), layer.shape[0]
    positions = math.prod(file.shape(layer.sources[0])[1:])
    shape = file.fixed(np.array([-1, channels, positions], dtype=np.int64), name, "flat_shape")
    x = file.helper_node("Reshape", [file.value(layer.sources[0]), shape], name, "flat")
    if (table == positions).any():
        pads = file.fixed(np.array([0, 0, 0, 0, 0, 1], dtype=np.int64), name, "pads")
        nothing = file.fixed(np.array(-np.inf), name, "nothing")
        x = file.helper_node("Pad", [x, pads, nothing], name, "edge")
    x = file.helper_node("Gather", [x, file.fixed(table, name, "table")], name, "windows", axis=2)
    said = dict(layer.options) | {"rank": layer.rank}
    if "ceil_mode" in said:
        said["ceil_mode"] = bool(said["ceil_mode"])
    rank = file.fixed(np.array([layer.rank], dtype=np.int64), name, "rank")
    made, places = file.fresh(f"{name}:largest"), file.fresh(f"{name}:places")
    doc = MARK + json.dumps(said, sort_keys=True)
    file.node("TopK", [x, rank], made, name, doc, more=[places], axis=3, largest=1, sorted=1)
    last = file.fixed(np.array(layer.rank - 1, dtype=np.int64), name, "last")
    x = file.helper_node("Gather", [made, last], name, "chosen", axis=3)
    shape = file.fixed(np.array([-1, *layer.shape], dtype=np.int64), name, "shape")
    file.node("Reshape", [x, shape], output, file.fresh(f"{name}:reshape"))


# -- reading ------------------------------------------------------------------------------------------------------


def selections(ctx: Reading) -> list[Selection]:
    """The chains of nodes of a file that may be such pools."""
    makers = {name: node for node in ctx.file.nodes for name in node.outputs if name}

    def maker(node: Node, operator: str) -> Node | None:
        found = makers.get(node.inputs[0]) if node.inputs else None
        is_alone = found is not None and found.operator == operator and ctx.uses[found.outputs[0]] == 1
        return found if is_alone else None

    def reader(node: Node, operator: str) -> Node | None:
        found = ctx.readers.get(node.outputs[0], [])
        is_alone = len(found) == 1 and ctx.uses[node.outputs[0]] == 1 and found[0].operator == operator
        return found[0] if is_alone and found[0].inputs[0] == node.outputs[0] else None

    out = []
    for top in ctx.file.nodes:
        if top.operator != "TopK" or not top.doc.startswith(MARK) or any(ctx.uses[name] for name in top.outputs[1:]):
            continue
        windows, chosen = maker(top, "Gather"), reader(top, "Gather")
        shaped = None if chosen is None else reader(chosen, "Reshape")
        edge = None if windows is None else maker(windows, "Pad")
        before = windows if edge is None else edge
        flat = None if before is None else maker(before, "Reshape")
        if windows is not None and chosen is not None and shaped is not None and flat is not None:
            out.append(Selection(flat, edge, windows, top, chosen, shaped))
    return out


def read_selection(ctx: Reading, found: Selection) -> Activation | None:
    """The pool that the nodes are; None if what they read has no value.

    Raises
    ------
    Refused
        If they are not what that pool is written with.
    """
    value = ctx.values.get(found.flat.inputs[0])
    if value is None:
        return None
    x = ctx.channels_first(value)
    options = _said(found.top.doc, len(x.shape) - 2)
    rank, table = options.pop("rank"), _constant(ctx, found.windows, 1)
    maps = _maps(ctx, options, x.shape[2:], table)
    sizes, positions, channels = tuple(m.taps.n_out for m in maps), math.prod(x.shape[2:]), x.shape[1]
    expected = _table(maps)
    wanted: list[tuple[Node, Mapping[str, Any], list[Any]]] = [
        (found.flat, {"allowzero": 0}, [[-1, channels, positions]]),
        (found.windows, {"axis": 2}, [expected]),
        (found.top, {"axis": 3, "largest": 1, "sorted": 1}, [[rank]]),
        (found.chosen, {"axis": 3}, [rank - 1]),
        (found.shaped, {"allowzero": 0}, [[-1, channels, *sizes]]),
    ]
    if found.edge is not None:
        wanted.append((found.edge, {"mode": "constant"}, [[0, 0, 0, 0, 0, 1], -np.inf]))
    is_padded = bool((expected == positions).any())
    is_same = is_padded == (found.edge is not None) and all(_is_written_so(ctx, *each) for each in wanted)
    if not is_same:
        raise Refused(
            f"it and the nodes around it say that they are a pool ({found.top.doc.removeprefix(MARK)[:200]}), and are "
            "not what pathgraph writes for one; without that they select entries by their size at run time"
        )
    ctx.reserve((channels, *sizes))
    name = ctx.name(found.top)
    if "size" in options:
        return ctx.made(ctx.build.adaptive_max_pool(x.signal, options["size"], rank=rank, name=name), x)
    return ctx.made(ctx.build.max_pool(x.signal, **options, rank=rank, name=name), x)


def _said(doc: str, n: int) -> dict[str, Any]:
    """The geometry that TopK says, checked."""
    try:
        said = json.loads(doc.removeprefix(MARK)[:4096])
        options: dict[str, Any] = {"rank": _number(said["rank"], 1)}
        if "size" in said:
            return options | {"size": _numbers(said["size"], n)}
        for key in ("kernel", "stride", "dilation"):
            options[key] = _numbers(said[key], n)
        pairs = [tuple(_numbers(pair, 2, -LARGEST_NUMBER)) for pair in said["padding"]]
        if len(pairs) != n:
            raise ValueError
        return options | {"padding": pairs, "ceil_mode": bool(said["ceil_mode"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(f"needed the geometry of a pool behind {MARK!r}, got {doc[:200]!r}") from None


def _number(given: Any, least: int) -> int:
    if type(given) is not int or not least <= given < LARGEST_NUMBER:
        raise ValueError
    return given


def _numbers(given: Any, n: int, least: int = 1) -> list[int]:
    if not isinstance(given, list) or len(given) != n:
        raise ValueError
    return [_number(one, least) for one in given]


def _maps(ctx: Reading, options: Mapping[str, Any], space: Sequence[int], table: Array) -> list[WeightedAxis]:
    """The windows along each axis, if there are as many as the table has, so that a small file asks for little."""
    n_windows = len(table) if table.ndim == 2 else -1
    if "size" in options:
        sizes = options["size"]
        if math.prod(sizes) != n_windows:
            raise Refused(f"needed a table of {math.prod(sizes)} windows, got one of shape {table.shape}")
        ctx.require_short(*(n + m for n, m in zip(space, sizes, strict=True)))
        return [adaptive_axis(n, m, average=False) for n, m in zip(space, sizes, strict=True)]
    geometry = [options[key] for key in GEOMETRY]
    axes = [(n, k, s, p[0], p[1], d) for n, k, s, p, d in zip(space, *geometry, strict=True)]
    ceil_mode = options["ceil_mode"]
    counts = [pool_size(*axis, ceil_mode=ceil_mode) for axis in axes]
    if math.prod(counts) != n_windows:
        raise Refused(f"needed a table of {math.prod(counts)} windows, got one of shape {table.shape}")
    ctx.require_short(*(count * k for count, k in zip(counts, options["kernel"], strict=True)))
    return [pool_axis(*axis, ceil_mode=ceil_mode) for axis in axes]


def _constant(ctx: Reading, node: Node, place: int) -> Array:
    found = ctx.values.get(node.inputs[place]) if len(node.inputs) > place else None
    if not isinstance(found, Constant):
        raise Refused(f"needed a constant as input {place} of {node}")
    return found.array


def _is_written_so(ctx: Reading, node: Node, attributes: Mapping[str, Any], constants: Sequence[Any]) -> bool:
    """Whether a node has these attributes and constants, and no others."""
    for name, wanted in attributes.items():
        kind = "string" if isinstance(wanted, str) else "int"
        if node.attributes.read(name, kind, None if name == "axis" else wanted) != wanted:
            return False
    if node.attributes.unread() or len(node.inputs) != 1 + len(constants):
        return False
    return all(
        np.array_equal(_constant(ctx, node, place), np.asarray(wanted))
        for place, wanted in enumerate(constants, start=1)
    )
