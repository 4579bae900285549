"""The kernels of Kronecker-sparse products, run on the CPU from the shipped text, against the products of the CPU.

Numbers are small integers, so that sums are exact and equal to the last bit, or rough ones with derived bounds.
"""

import math

import numpy as np
import pytest

import pathgraph as pg
from pathgraph_gpu import products
from pathgraph_gpu.tiles import TILES, choose, lanes, predicted, run_along_l
from tests.cuda_on_cpu.product_checks import (
    FAR_CHECKS,
    gradient_agrees,
    maker,
    product_agrees,
    ragged,
    ragged_batches,
    same,
    small_integers,
)
from tests.cuda_on_cpu.runtime import MODES, ORDERS, cpu_device, here, needs_compiler
from tests.tolerances import gamma, unit

pytestmark = needs_compiler

CHECKED = cpu_device("check", "forward")
EACH = [pytest.param(dtype, tile, id=f"{dtype}-{tile}") for dtype, tiles in TILES.items() for tile in tiles]


@pytest.mark.parametrize(("dtype", "tile"), EACH)
def test_every_tile_at_every_boundary(dtype, tile):
    """All in check mode; the orders of the threads take turns."""
    for i, (pattern, outer, inner, transposed) in enumerate(ragged(tile)):
        device = cpu_device("check", ORDERS[i % 3])
        product_agrees(device, tile, dtype, pattern, outer, inner, transposed=transposed)
    for i, (pattern, batch, part) in enumerate(ragged_batches(tile)):
        gradient_agrees(cpu_device("check", ORDERS[i % 3]), tile, dtype, pattern, batch, batch_first=i % 2, part=part)
