"""The traffic of Kronecker-sparse products, counted while the kernels run on the CPU, for the docs.

``python -m tests.cuda_on_cpu.traffic docs/benchmarks/gpu-traffic.json`` writes the table; `make gpu-report` calls it,
and `test_product_tuning` counts again.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

import pathgraph as pg
from pathgraph_gpu import products, sources
from pathgraph_gpu.tiles import TILES, choose
from tests.cuda_on_cpu.runtime import CpuKernel, aligned

FILE = Path(__file__).parents[2] / "docs" / "benchmarks" / "gpu-traffic.json"

LARGE = 25_088
"""Vectors for which tiles are chosen; fewer are counted."""

PATTERNS = {
    (1, 2, 2, 1): 2048,
    (8, 2, 2, 2): 512,
    (4, 4, 4, 1): 512,
    (1, 4, 4, 64): 256,
    (2, 4, 8, 3): 512,
    (1, 4, 4, 9): 512,
    (1, 4, 4, 31): 256,
    (2, 16, 16, 5): 256,
    (1, 16, 16, 16): 256,
    (16, 16, 16, 1): 256,
    (1, 32, 32, 8): 256,
    (1, 64, 64, 16): 128,
    (1, 128, 128, 8): 128,
}
"""With the vectors that are counted."""


def counted(problem, tile, dtype, sizes):
    """Bytes that warps ask for, and that memory moves behind a cache of 1 MiB."""
    kernels = []

    class Counting:
        def kernel(self, file, name, options):
            kernels.append(CpuKernel(sources.text(file), name, options, mode="count"))
            return kernels[-1]

    arrays = [aligned(np.zeros(size, dtype=dtype)) for size in sizes]
    products.launch(Counting(), problem, *arrays, tile)
    traffic = kernels[-1].traffic
    return sum(t.read + t.written for t in traffic), sum(t.fetched + t.stored for t in traffic)


def ratios(pattern, dtype, *, first):
    """Bytes asked for and moved, by what is compulsory: of the product, and of the gradient of the values.

    By the tiles that are chosen for a large batch. None for the gradient of float16, whose sums are wider.
    """
    batch, pattern = PATTERNS[tuple(pattern)], pg.KSPattern(*pattern)
    (rows, columns), nnz = pattern.shape, pattern.nnz
    sizes = nnz, batch * columns, batch * rows
    compulsory = sum(sizes) * np.dtype(dtype).itemsize
    sides, many = ((batch, 1), (LARGE, 1)) if first else ((1, batch), (1, LARGE))
    large = products.product_problem(pattern, *many)
    tile = choose(large, np.dtype(dtype))
    found = [counted(products.product_problem(pattern, *sides), tile, dtype, sizes)]
    if dtype != "float16":
        large = products.gradient_problem(pattern, LARGE, batch_first=first)
        problem = products.gradient_problem(pattern, batch, batch_first=first)._replace(part=batch)
        found.append(counted(problem, choose(large, np.dtype(dtype)), dtype, (batch * rows, batch * columns, nnz)))
    both = [[round(number / compulsory, 3) for number in one] for one in found]
    return both if len(both) == 2 else [*both, None]


def table():
    """All of them, by dtype and layout: lists of the pattern and its ratios."""
    return {
        dtype: {
            layout: [[list(pattern), *ratios(pattern, dtype, first=layout == "first")] for pattern in PATTERNS]
            for layout in ("last", "first")
        }
        for dtype in TILES
    }


def main(file):
    """Write the table."""
    with tempfile.TemporaryDirectory() as kept:
        os.environ.setdefault("CUDA_ON_CPU_CACHE", kept)
        text = json.dumps(table())
    Path(file).write_text(text.replace(", [[", ",\n[[") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
