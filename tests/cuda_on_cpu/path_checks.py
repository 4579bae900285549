"""Checks of the kernels of path sums and of evaluation, for the kernels as they are shipped and for wrong versions."""

import numpy as np

import pathgraph as pg
from pathgraph_gpu import networks, sources
from tests.cuda_on_cpu.runtime import CpuKernel, sparse
from tests.test_engine import random_dag

QS = (1, 2, 4, 3, np.inf)


def dyadic(net):
    """The same network with multiples of 1/4, so that sums are exact in floats."""
    return net.map_values(lambda values: np.round(4 * values) / 4)


LARGE = dyadic(random_dag(1))
WIDE = dyadic(
    pg.from_weights([np.random.default_rng(0).normal(size=s) for s in ((70, 9), (5, 70))], [None, np.ones(5)])
)


def same(found, expected):
    """Whether an array of the device, or a number, is that of the CPU to the last bit."""
    return np.array_equal(np.asarray(found), np.asarray(expected), equal_nan=False)


def widths_of(net):
    return np.random.default_rng(len(net.nodes)).integers(0, 5, size=len(net.inputs)) / 2


def sums_agree(net, there):
    """Path sums of all kinds on the device are those of the CPU; the sums must be exact in floats."""
    widths = widths_of(net)
    here = there.device.to_device(widths)
    for q in QS:
        assert pg.path_norm(there, q, root=False) == pg.path_norm(net, q, root=False)
        found = pg.path_norm(there, q, root=False, per_output=True, inputs=here)
        assert same(found, pg.path_norm(net, q, root=False, per_output=True, inputs=widths))
    assert pg.path_norm(there, 2, r=3) == pg.path_norm(net, 2, r=3)
    assert pg.log_path_norm(there) == pg.log_path_norm(net)
    for options in ({}, {"biases": False}, {"inputs": -widths}):
        moved = options | ({"inputs": there.device.to_device(-widths)} if "inputs" in options else {})
        assert pg.path_sum(there, **moved) == pg.path_sum(net, **options)
        assert same(pg.path_sum(there, per_output=True, **moved), pg.path_sum(net, per_output=True, **options))
        assert same(pg.path_marginals(there, **moved), pg.path_marginals(net, **options))
    source, target = net.nodes[0], net.nodes[len(net.nodes) // 2]
    assert pg.path_sum(there, source=source) == pg.path_sum(net, source=source)
    assert pg.path_sum(there, target=target) == pg.path_sum(net, target=target)
    if not len(net.architecture.scattered):
        assert same(pg.path_magnitude(there, inputs=here), pg.path_magnitude(net, inputs=widths))


def values_agree(net, there, x):
    """Evaluation on the device is that of the CPU; the values must be exact in floats."""
    rows = there.device.to_device(np.array(x, dtype=net.dtype))
    assert same(there(rows), net(x))
    assert same(there.neuron_values(rows), net.neuron_values(x))
    assert same(there(rows[0]), net(x)[0])


# -- networks at the ends of the range of floats ------------------------------------------------------------------


def chain(*weights):
    return pg.from_weights([[[float(w)]] for w in weights])


DEEP = {
    "large": chain(*[2.0**500] * 60),
    "small": chain(*[2.0**-500] * 60),
    "up and down": chain(*[2.0**900, 2.0**900, 2.0**-900, 2.0**-900] * 5),
    "down and up": chain(*[2.0**-900, 2.0**-900, 2.0**900, 2.0**900] * 5),
    "subnormal weight": chain(2.0**-1070, 2.0**1000, 3),
    "one path lost beside a large one": pg.from_weights([[[2.0**-800], [2.0**800]], [[2.0**-800, 1]], [[1]]]),
    "one output lost": pg.from_weights([[[2.0**-600], [1.0]], [[2.0**-600, 0], [0, 1]]]),
    "sums of two sizes": pg.from_weights([[[2.0**800, 2.0**780], [2.0**780, 2.0**800]], [[2.0**800, 2.0**770]]]),
    "fractions of one exponent": pg.from_weights([[[2.0**800, 0], [0, 1.5 * 2.0**800]], [[2.0**800, 2.0**800]]]),
    "with biases": pg.from_weights([[[2.0**800]], [[2.0**800]]], [[2.0**-900], [2.0**900]]),
}


# -- beyond 2**32 -------------------------------------------------------------------------------------------------
#
# `make(file, name, macros)` gives a kernel with floats and 64-bit indices.

FAR = 2**32 + 8
SUMS = ("-DSUM=float", "-DPOWER=1", "-DSCALED=0")
ONE = np.int64(1)


def far_edges():
    """Neurons 0, 1 and 2, of which the first has FAR edges, and neuron 3 on the next level with three behind them."""
    start, ends = np.array([0, FAR, FAR, FAR, FAR + 3]), np.array([0, 3, 4])
    w = sparse(FAR + 4, np.float32)
    w[FAR : FAR + 4] = [1, -2, 4, 16]
    return start, ends, w


def edges_beyond_32_bits(make, run):
    start, ends, w = far_edges()
    antecedent = sparse(FAR + 3, np.int64)
    antecedent[FAR : FAR + 3] = [0, 1, 2] if run < 0 else 7
    runs, bias = np.array([-1, -1, -1, run]), np.array([-1, -1, -1, FAR + 3])
    x, status = np.array([1, 3, 5, 7, 0], dtype=np.float32), np.zeros(1, dtype=np.int32)
    arrays = (ends, start, antecedent, runs, bias, w, x)
    scalars = (ONE, np.int32(1), np.int32(4), np.float32(1), status)
    make("path_sums", "path_forward", SUMS)((1,), (32,), (ONE, 2 * ONE, *arrays, *scalars))
    assert x[4] == 3 + 10 + 28 + 16
    y, mass = np.array([0, 0, 0, 0, 2], dtype=np.float32), sparse(FAR + 4, np.float32)
    arrays = (start, antecedent, runs, bias, w, x, y, np.int32(0), bias, mass)
    args = (4 * ONE, *arrays, np.int32(4), np.float32(1), status)
    make("path_marginals", "path_masses", SUMS)((4,), (4,), args, blocks=[(3,)])
    assert mass[FAR : FAR + 4].tolist() == [6, 20, 56, 32]


def backward_entries_beyond_32_bits(make, fan):
    start, ends, w = far_edges()
    out_start, target, entry = np.array([0, 1, 2, 3, 3]), np.array([3, 3, 3]), np.array([FAR, FAR + 1, FAR + 2])
    if fan >= 0:
        target[:], entry[:] = 99, 0
    y, status = np.array([0, 0, 0, 0, 5], dtype=np.float32), np.zeros(1, dtype=np.int32)
    arrays = (ends, out_start, target, entry, np.array([fan, fan, fan, -1]), start, np.array([-1, -1, -1, 0]), w, y)
    args = (0 * ONE, 2 * ONE, *arrays, ONE, np.float32(1), status)
    make("path_marginals", "path_backward", SUMS)((1,), (32, 8), args)
    assert y.tolist() == [0, 5, 10, 20, 5]


def neurons_beyond_32_bits(make):
    """Neuron FAR, alone on its level, reads neurons FAR - 2 and FAR - 1, by numbers or as a run."""
    for consecutive in (-1, FAR - 2):
        start, run, bias = sparse(FAR + 2, np.int64), sparse(FAR + 1, np.int64), sparse(FAR + 1, np.int64)
        start[FAR + 1], run[FAR], bias[FAR] = 2, consecutive, -1
        antecedent, w = np.array([FAR - 2, FAR - 1]), np.array([1, 10], dtype=np.float32)
        x, status = sparse(FAR + 2, np.float32), np.zeros(1, dtype=np.int32)
        x[FAR - 1 : FAR + 1] = [3, 4]
        arrays = (np.array([0, FAR, FAR + 1]), start, antecedent, run, bias, w, x)
        args = (ONE, 2 * ONE, *arrays, ONE, np.int32(1), np.int32(2), np.float32(1), status)
        make("path_sums", "path_forward", SUMS)((1,), (32,), args)
        assert x[FAR + 1] == 43


def samples_beyond_32_bits(make):
    """Two inputs and a neuron on 2**31 + 40 samples, of which the last tile is computed."""
    batch = 2**31 + 40
    x = sparse(4 * batch, np.float32)
    rows, out = sparse(2 * batch, np.float32).reshape(batch, 2), sparse(batch, np.float32).reshape(batch, 1)
    rows[-8:] = np.arange(16).reshape(8, 2)
    status, n = np.zeros(1, dtype=np.int32), np.int64(batch)
    load = (n, 2 * ONE, rows, np.array([1, 2]), x, status)
    tiles = -(-batch // 32)
    make("evaluate", "evaluate_load")((tiles,), (32, 8), load, blocks=[(tiles - 1,)])
    assert x[3 * batch - 8 : 3 * batch].tolist() == list(range(1, 16, 2))
    w = np.array([1, 10, 0.5], dtype=np.float32)
    structure = (np.array([0, 2, 3]), np.array([0, 1, 2, 3]), np.array([0, 0, 0, 2]), np.array([0, 1]))
    structure += (np.array([-1, -1, 0]), np.array([-1, -1, 2]), np.array([0, 0, 2], dtype=np.int8), np.array([1, 1, 1]))
    args = (ONE, 2 * ONE, *structure, w, x, n, status)
    blocks = -(-batch // 128)
    make("evaluate", "evaluate_levels")((blocks,), (32, 8), args, blocks=[(blocks - 1,)])
    store = (n, ONE, x, np.array([3]), out)
    make("evaluate", "evaluate_store")((tiles,), (32, 8), store, blocks=[(tiles - 1,)])
    assert out[-8:, 0].tolist() == [i + 10 * (i + 1) + 0.5 for i in range(0, 16, 2)]
    assert status[0] == 0


def parameters_beyond_32_bits(make):
    """Of FAR entries, the last ones: a grid of 2**16 blocks takes them in turns, of which one block is run."""
    out, numbers = sparse(FAR, np.float32), np.array([7, 9], dtype=np.float32)
    place = sparse(FAR, np.int64)
    place[-2:] = [1, -1]
    n_blocks, last = 2**16, [((FAR - 1) // 256 % 2**16,)]
    make("path_values", "path_take")((n_blocks,), (256,), (np.int64(FAR), place, numbers, out), blocks=last)
    assert out[-2:].tolist() == [9, 0]
    values, status = sparse(FAR, np.float32), np.zeros(1, dtype=np.int32)
    values[-1] = np.inf
    args = (np.int64(FAR), values, np.int32(0), place, status)
    make("path_values", "path_check")((n_blocks,), (256,), args, blocks=last)
    assert status[0] == networks.INVALID


FAR_CHECKS = {
    "edges": lambda make: edges_beyond_32_bits(make, -1),
    "edges of a run": lambda make: edges_beyond_32_bits(make, 0),
    "entries": lambda make: backward_entries_beyond_32_bits(make, -1),
    "entries of a fan": lambda make: backward_entries_beyond_32_bits(make, 3),
    "neurons": neurons_beyond_32_bits,
    "samples": samples_beyond_32_bits,
    "parameters": parameters_beyond_32_bits,
}


def maker(mode, change=lambda text: text):
    """Kernels of a text that is changed first."""

    def make(file, name, macros=()):
        return CpuKernel(change(sources.text(file)), name, ("-DVALUE=float", "-DINDEX=long long", *macros), mode=mode)

    return make
