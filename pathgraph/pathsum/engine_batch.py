"""The compiled back end on batches of inputs: the values of neurons, some samples at a time, on some threads."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pathgraph import threads
from pathgraph.cache_lines import aligned_empty
from pathgraph.pathsum import engine
from pathgraph.pathsum.blocks import CONSTANT, BlockNetwork

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["evaluate"]

TOGETHER = 1 << 21
"""Bytes of neuron values from which the samples of a batch are computed a few at a time, and not all together."""

PART = 4
"""The part of `engine.VAST`, one in so many, from which on the values of a tile are asked for early.

A request brings the values of a whole line of samples. If nothing else uses the last cache, asking costs a twentieth;
if other programs do, it saves a sixth (tiles of 6 MB, on an AMD Zen 3 with 32 MB).
"""


def evaluate(net: BlockNetwork, rows: Array, wanted: Array) -> tuple[Array, bool]:
    """The values of the neurons at some buffer positions on a batch, and whether all values are finite.

    Parameters
    ----------
    rows : ndarray, shape (batch, n_inputs)
        In the dtype of the network.
    wanted : ndarray, shape (n,)

    Returns
    -------
    values : ndarray, shape (batch, n)
    finite : bool
    """
    from pathgraph.pathsum import numba_batch as kernels

    dag = engine.flat_of(net)
    w = np.ascontiguousarray(engine.flattened(net, net.tensors, rows.dtype))
    graph = (dag.start, dag.antecedent, dag.run, dag.bias, dag.activation, dag.rank, w)
    inputs = net.dag.inputs
    if len(rows) == 1:
        x = np.zeros(net.dag.size, dtype=rows.dtype)
        x[CONSTANT], x[inputs] = 1, rows[0]
        finite = kernels.evaluate_one(*graph, x)
        return x[None, wanted], bool(finite)
    out = np.empty((len(rows), len(wanted)), dtype=rows.dtype)
    tile = net.dag.size * kernels.width(w)
    tiles = -(-len(rows) // kernels.width(w))
    asks_early = PART * tile * w.itemsize >= engine.VAST
    n = min(threads.count(), tiles) if dag.n_edges * len(rows) >= engine.WIDE else 1
    together = max(1, min(-(-tiles // n), TOGETHER // (tile * w.itemsize)))
    # by NumPy, which asks for large pages: scattered antecedents would miss small ones
    buffers = [aligned_empty((together * tile,), w.dtype) for _ in range(n)]
    parts = pairwise(tiles * np.arange(n + 1) // n)
    finite = threads.run(
        [
            partial(kernels.evaluate_tiles, first, stop, *graph, rows, inputs, wanted, out, buffer, asks_early)
            for (first, stop), buffer in zip(parts, buffers, strict=True)
        ]
    )
    return out, all(finite)
