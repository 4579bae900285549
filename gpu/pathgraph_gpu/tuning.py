"""Tiles of Kronecker-sparse products, measured on the GPU at hand and kept on disk.

Without measurements `pathgraph_gpu.tiles.choose` picks tiles by a model. `tune` times every tile for one matrix, batch
and layout, and keeps the fastest ones: in this process, and in a file for each kind of GPU, which later processes read
at their first product. A tile is used for the very pattern that it was tuned for, and for batches up to the next power
of two. It changes no bit of a result. A folder that cannot be read or written is a warning: then tiles are chosen by
the model, or used in this process only.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import BackendError, ParameterError
from pathgraph.shown import argument_text
from pathgraph_gpu.tiles import TILES, Problem, Tile, choose

if TYPE_CHECKING:
    from pathgraph.kronecker.device_operators import DeviceKSMatrix
    from pathgraph_gpu.device import Device

__all__ = ["Tuning", "chosen", "folder", "key", "tune"]

FORMAT = 2
"""The version of the files: those of another version are read as if they were empty."""


@dataclass(frozen=True, repr=False)
class Tuning:
    """What `tune` measured.

    Attributes
    ----------
    device : str
        The kind of GPU.
    seconds : dict of str to dict of Tile to float
        For the product, that of the transpose and the gradient of the values, the median time of each tile.
    """

    device: str
    seconds: dict[str, dict[Tile, float]]

    def best(self, what: str) -> Tile:
        """The fastest tile for one of them."""
        return min(self.seconds[what], key=self.seconds[what].__getitem__)

    def __repr__(self) -> str:
        lines = [
            f"{what}: {tuple(self.best(what))}, {min(times.values()):.3g} s; others up to {max(times.values()):.3g} s"
            for what, times in self.seconds.items()
        ]
        return "\n".join([f"tiles on {self.device}", *lines])


def key(problem: Problem, dtype: np.dtype[Any]) -> str:
    """What problems with one tile have in common: type, pattern, order of the strides, and nearly the batch.

    Of the sizes, the batch makes the depth of gradients, and else the columns and, in batches along two sides of the
    vectors, the groups. These count up to the next power of two.
    """
    a, groups, d, m, n, depth, *_ = problem
    outer = _power_of_two(groups // a)
    n, depth = (n, _power_of_two(depth)) if problem.is_batch_depth else (_power_of_two(n), depth)
    sizes = a, outer, d, m, n, depth
    orders = ["".join(map(str, np.argsort(operand, kind="stable"))) for operand in (problem.A, problem.B, problem.C)]
    return " ".join(map(str, (dtype.name, *sizes, *orders)))


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def folder() -> Path:
    """Where the files are: ``pathgraph`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.

    Raises
    ------
    RuntimeError
        If there is no such variable and no home.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pathgraph"


def _file(identity: str) -> Path:
    return folder() / f"tiles-{''.join(c if c.isalnum() else '-' for c in identity)}.json"


def _load(identity: str) -> dict[str, Tile]:
    """The tiles of a kind of GPU that were kept; those that no longer exist are left out."""
    try:
        content = json.loads(_file(identity).read_text(encoding="utf-8"))
        listed = content["tiles"].items() if content["format"] == FORMAT else ()
        found = {name: Tile(*tile) for name, tile in listed}
    except (FileNotFoundError, NotADirectoryError, RuntimeError):  # no file, no folder, no home
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        warnings.warn(
            f"{_file(identity)} is no file of tiles ({type(error).__name__}), so a model chooses them; delete it, or "
            "tune again",
            stacklevel=2,
        )
        return {}
    return {name: tile for name, tile in found.items() if tile in TILES.get(name.partition(" ")[0], ())}


def _keep(identity: str, tiles: dict[str, Tile]) -> None:
    """Write the file of a kind of GPU anew, in one step, those of other tiles kept; warn if it cannot be written."""
    kept = _load(identity) | tiles
    content = {"format": FORMAT, "device": identity, "tiles": {name: list(tile) for name, tile in kept.items()}}
    try:
        _write(_file(identity), json.dumps(content, indent=1))
    except (OSError, RuntimeError) as error:
        warnings.warn(
            f"the tiles cannot be kept ({type(error).__name__}: {error}), so this process uses them and no other one; "
            "set XDG_CACHE_HOME to a folder that can be written, or pass save=False",
            stacklevel=3,
        )


def _write(target: Path, text: str) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=target.parent, suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.replace(unfinished, target)
    except BaseException:
        os.unlink(unfinished)
        raise


def _tuned(device: Device) -> dict[str, Tile]:
    identity = device.identity()
    if identity not in device.tiles:
        device.tiles[identity] = _load(identity)
    return device.tiles[identity]


def chosen(device: Device, problem: Problem, dtype: np.dtype[Any]) -> Tile:
    """The tile that was measured to be fastest on a device, or that the model chooses."""
    tiles = _tuned(device)
    return (tiles.get(key(problem, dtype)) if tiles else None) or choose(problem, dtype)


def tune(matrix: DeviceKSMatrix, batch: int, *, axis: int = 0, repeats: int = 10, save: bool = True) -> Tuning:
    """Time every tile for the products and gradients of a matrix on its device, and use the fastest from now on.

    Parameters
    ----------
    matrix : DeviceKSMatrix
        Its pattern and type count.
    batch : int
        Number of vectors, at least 1.
    axis : {0, -1}
        0 for batch last, -1 for batch first, as in `DeviceKSMatrix.apply`.
    repeats : int
        How often each is timed, after one run that is not.
    save : bool
        Whether later processes use them, too: they are written to a file for this kind of GPU, in the folder
        ``pathgraph`` of ``$XDG_CACHE_HOME`` or ``~/.cache``. If that fails it is a warning, and nothing that was
        measured is lost.

    Returns
    -------
    Tuning
        Its representation is a report.

    Raises
    ------
    BackendError
        If the device has no kernels.
    ParameterError
        For another matrix, another axis, and numbers below 1.

    Notes
    -----
    A tile changes no bit of a result. The function waits for the device. Complex matrices are multiplied by the
    kernels for real ones, of which one launch is timed; a product takes two.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.gpu.tune(pg.hadamard(2).factors[0].to_device(pg.gpu.loopback()), 100)
    Traceback (most recent call last):
    ...
    pathgraph.errors.BackendError: matrix: its device, loopback, has no kernels to be timed
    """
    from pathgraph.kronecker.device_operators import DeviceKSMatrix
    from pathgraph_gpu import products
    from pathgraph_gpu.complex_products import real_form

    if not isinstance(matrix, DeviceKSMatrix):
        raise ParameterError(
            f"matrix: needed a DeviceKSMatrix, got {type(matrix).__name__}; to_device() of a KSMatrix makes one"
        )
    device: Any = matrix.device
    if not hasattr(device, "clock"):
        raise BackendError(f"matrix: its device, {device.name}, has no kernels to be timed")
    natural(batch, "batch", least=1)
    natural(repeats, "repeats", least=1)
    if axis not in (0, -1):
        raise ParameterError(f"axis: needed 0 (batch last) or -1 (batch first), got {argument_text(axis)}")
    outer, inner = (1, batch) if axis == 0 else (batch, 1)
    pattern, values, turned = matrix.factor
    if matrix.dtype.kind == "c":
        pattern, outer, inner = real_form(pattern, outer, inner)
        values = device.xp.zeros(pattern.values_shape, dtype=values.real.dtype)
    xp, dtype = device.xp, np.dtype(values.dtype)
    own = pattern.T if turned else pattern
    x, y = (xp.zeros((outer, size, inner), dtype=dtype) for size in reversed(own.shape))
    product, transpose = (
        products.product_problem(pattern, outer, inner, transposed=which) for which in (turned, not turned)
    )
    gradient = products.gradient_problem(own, outer * inner, batch_first=inner == 1)
    parts = xp.empty((gradient.parts, *own.values_shape), dtype=products.total_of(dtype))
    problems = {
        "product": (product, values, x, xp.empty(y.shape, dtype)),
        "transpose": (transpose, values, y, xp.empty(x.shape, dtype)),
        "gradient": (gradient, y, x, parts),
    }
    seconds: dict[str, dict[Tile, float]] = {}
    fastest: dict[str, Tile] = {}
    for what, (problem, A, B, C) in problems.items():
        seconds[what] = {}
        for tile in TILES[dtype.name]:
            work = partial(products.launch, device, problem, A, B, C, tile)
            work()
            seconds[what][tile] = float(np.median([device.clock(work) for _ in range(repeats)]))
        fastest[key(problem, dtype)] = min(seconds[what], key=seconds[what].__getitem__)
    _tuned(device).update(fastest)
    if save:
        _keep(device.identity(), fastest)
    return Tuning(device.identity(), seconds)
