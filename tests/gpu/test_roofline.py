"""The roofline model: costs, limits, and which signs of energy it predicts."""

import numpy as np
import pytest

import pathgraph as pg
from pathgraph_gpu.roofline import (
    A100,
    H100,
    Cost,
    Gpu,
    Limit,
    break_even,
    energy_sign,
    limit,
    network_cost,
    permuted_cost,
    product_cost,
)

UNIT = Gpu("unit", {"float32": 8.0, "float64": 4.0}, 2.0, 1, 1 / 128)


def test_the_cost_of_a_product_is_that_of_its_matrix():
    pattern = pg.KSPattern(2, 3, 4, 5)
    cost = product_cost((2, 3, 4, 5), 7, np.float32)
    assert cost.flops == 2 * pattern.nnz * 7
    assert cost.bytes == 4 * (sum(pattern.shape) * 7 + pattern.nnz)
    assert product_cost((2, 3, 4, 5), 7, np.float16) == Cost(cost.flops, cost.bytes / 2, "float32", cost.instructions)
    assert product_cost((2, 3, 4, 5), 7, np.float64).bytes == 2 * cost.bytes
    for dtype, parts in ((np.complex64, np.float32), (np.complex128, np.float64)):
        real = product_cost((2, 3, 4, 5), 7, parts)
        wanted = Cost(4 * real.flops, 2 * real.bytes, np.dtype(parts).name, 4 * real.instructions)
        assert product_cost((2, 3, 4, 5), 7, dtype) == wanted
    assert product_cost((2, 3, 4, 5), 7, np.float32, per_other=4).instructions == 1.25 * pattern.nnz * 7
    assert permuted_cost((2, 3, 4, 5), 7, np.float32).bytes == cost.bytes + 8 * sum(pattern.shape) * 7


def test_the_cost_of_a_network():
    assert network_cost(10, 4, np.float32) == Cost(20, 40 + 64, "float64")
    assert network_cost(10, 4, np.float32, indexed=True).bytes == 80 + 64
    assert network_cost(10, 4, np.float64, batch=3, per_edge=5) == Cost(60, 80 + 192, "float64", 150)


def test_the_slowest_of_the_three_is_the_limit():
    assert limit(Cost(16, 2, "float32", 1), UNIT) == Limit(2, "arithmetic")
    assert limit(Cost(16, 8, "float32", 1), UNIT) == Limit(4, "memory")
    assert UNIT.issue == 1
    assert limit(Cost(16, 8, "float32", 5), UNIT).by == "instructions"
    assert limit(Cost(16, 2, "float64"), UNIT).seconds == 4
    with pytest.raises(pg.ParameterError, match="float16"):
        limit(Cost(1, 1, "float16"), UNIT)


def test_peaks_are_one_multiply_add_per_lane_and_clock():
    """The data sheets agree with themselves: 64 or 128 lanes of a processor, at the boost clock."""
    half = 0.05e12  # a unit of the last digit of the peaks, halved
    assert abs(64 * 2 * A100.processors * A100.clock - A100.peak["float32"]) <= half
    assert abs(128 * 2 * H100.processors * H100.clock - H100.peak["float32"]) <= half
    for gpu in (A100, H100):
        assert abs(gpu.peak["float32"] - 2 * gpu.peak["float64"]) <= 3 * half


def test_energy_is_predicted_where_no_price_can_change_its_sign():
    ours, other = Cost(2, 3, "float32"), Cost(2, 9, "float32")
    assert energy_sign(ours, 1, other, 1) == 1
    assert energy_sign(other, 2, ours, 1) == -1
    assert energy_sign(ours, 2, other, 1) == 0
    prices = np.random.default_rng(0).exponential(size=(100, 3))
    energies = [prices @ np.array([cost.flops, cost.bytes, seconds]) for cost, seconds in ((ours, 1), (other, 1))]
    assert (energies[0] <= energies[1]).all()


def test_at_the_break_even_share_both_are_as_fast():
    cost = product_cost((1, 64, 64, 64), 25088, np.float32)
    share = break_even(cost, A100, 2.0**-8)
    assert limit(cost, A100).seconds / share == 2.0**-8
