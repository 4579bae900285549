"""Compiled evaluation of ReLU and k-max-pool networks on batches, in the dtype of the network.

Samples are taken a few at a time, as many as fill two vector registers, and every value of a neuron is such a vector.
The sum into a neuron is always made in one order, antecedent by antecedent and then the bias, by fused
multiply-adds where the processor has them: neither the size of a batch nor the number of threads changes a bit of a
result. Neurons of one layer that read the same run of antecedents are computed six at a time in registers.

Vectors are LLVM's own type, made known to Numba here: left to itself, the compiler keeps small arrays in memory.
This file holds every function that it compiles: a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from pathgraph.cache_lines import LINE
from pathgraph.kernel_text import VECTOR
from pathgraph.pathsum.blocks import INPUT, POOL, RELU

WIDTH64 = 2 * VECTOR // 8
"""How many samples of float64 are taken at once: they make a tile."""
WIDTH32 = 2 * VECTOR // 4
"""The same for samples of float32."""
EARLY = 80
"""Edges between the one that is summed and the one whose antecedent is asked for, where the last cache may not keep the
values of a tile."""
U = np.uintp

compiled = njit(cache=True, nogil=True)
inlined = njit(cache=True, nogil=True, inline="always")


# -- vectors ------------------------------------------------------------------------------------------------------


class Vector(types.Type):
    """The type of an LLVM vector of floats."""

    def __init__(self, element: Any) -> None:
        self.element = element
        self.width = WIDTH64 if element == types.float64 else WIDTH32
        super().__init__(name=f"Vector({element}, {self.width})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector lives in registers."""

    def __init__(self, manager: Any, kind: Vector) -> None:
        element = manager.lookup(kind.element).get_data_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.width))


def _element_pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, target: Any) -> Any:
    """The address of an element of an array, as a pointer to what begins there, of the type `target`."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


@intrinsic
def load(typing, array, index):
    """The vector that begins at an index of a contiguous array."""
    kind = Vector(array.dtype)

    def generate(context, builder, signature, args):
        vector = context.get_value_type(kind)
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1], vector)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return kind(array, types.intp), generate


@intrinsic
def store(typing, array, index, vector):
    """Write a vector where an index of a contiguous array begins."""

    def generate(context, builder, signature, args):
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1], args[2].type)
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


def _spread(builder: Any, scalar: Any, vector: Any) -> Any:
    """A vector whose elements are all one number."""
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, empty, places)


@intrinsic
def fma(typing, scalar, vector, total):
    """``scalar * vector + total``, rounded once if the processor can."""

    def generate(context, builder, signature, args):
        kind = args[1].type
        name = f"llvm.fmuladd.v{kind.count}f{64 if isinstance(kind.element, ir.DoubleType) else 32}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(function, [_spread(builder, args[0], kind), args[1], args[2]])

    return total(scalar, vector, total), generate


@intrinsic
def fma_scalar(typing, scalar, factor, total):
    """`fma` of three numbers."""

    def generate(context, builder, signature, args):
        kind = args[1].type
        name = f"llvm.fmuladd.f{64 if isinstance(kind, ir.DoubleType) else 32}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(function, [args[0], args[1], args[2]])

    return total(total, total, total), generate


@intrinsic
def clipped(typing, vector):
    """The elements that are not negative, and zero for the others; NaN stays."""

    def generate(context, builder, signature, args):
        zero = ir.Constant(args[0].type, [0.0] * args[0].type.count)
        return builder.select(builder.fcmp_ordered("<", args[0], zero), zero, args[0])

    return vector(vector), generate


@intrinsic
def will_read(typing, array, index):
    """Ask for the cache lines of the vector that begins at an index of a contiguous array, at the begin of a line."""
    kind = Vector(array.dtype)

    def generate(context, builder, signature, args):
        number, byte = ir.IntType(32), ir.IntType(8)
        place = _element_pointer(context, builder, signature.args[0], args[0], args[1], byte)
        returns_nothing = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", (place.type,), returns_nothing)
        is_written, keep_close, is_data = number(0), number(3), number(1)
        for at in range(0, kind.width * array.dtype.bitwidth // 8, LINE):
            line = builder.gep(place, [ir.IntType(64)(at)])
            builder.call(prefetch, [line, is_written, keep_close, is_data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def zeros(typing, array):
    """A vector of zeros, for this array's dtype."""
    kind = Vector(array.dtype)

    def generate(context, builder, signature, args):
        vector = context.get_value_type(kind)
        return ir.Constant(vector, [0.0] * vector.count)

    return kind(array), generate


def width(array: Any) -> int:
    """How many elements of this array's dtype a vector has."""
    return WIDTH64 if array.dtype == np.float64 else WIDTH32


@overload(width)
def _compiled_width(array):
    return (lambda array: WIDTH64) if array.dtype == types.float64 else (lambda array: WIDTH32)


# -- many samples -------------------------------------------------------------------------------------------------
#
# The buffer of some tiles has shape (tiles, N, width), flattened: the weights of a neuron are read once for them all.


@inlined
def finish(v, base, total, bias, w, x, activation, poison):
    """Add the bias of a neuron, let what is not finite poison a vector, clip it if it is a ReLU, and write it."""
    b = bias[v]
    if b >= 0:
        total = fma(w[b], load(x, base), total)
    store(poison, 0, fma(x.dtype.type(0), total, load(poison, 0)))
    if activation[v] == RELU:
        total = clipped(total)
    store(x, base + (v + 1) * width(x), total)


@compiled
def six_neurons(v, base, lo, degree, first, bias, w, x, activation, poison):
    """Six neurons with the same run of antecedents, which begins at neuron `first`, on one tile."""
    n = width(x)
    a0, a1, a2, a3, a4, a5 = zeros(x), zeros(x), zeros(x), zeros(x), zeros(x), zeros(x)
    d = U(degree)
    e = U(lo)
    at = base + (first + 1) * n
    for _ in range(degree):
        u = load(x, at)
        a0 = fma(w[e], u, a0)
        a1 = fma(w[e + d], u, a1)
        a2 = fma(w[e + U(2) * d], u, a2)
        a3 = fma(w[e + U(3) * d], u, a3)
        a4 = fma(w[e + U(4) * d], u, a4)
        a5 = fma(w[e + U(5) * d], u, a5)
        e += U(1)
        at += n
    finish(v, base, a0, bias, w, x, activation, poison)
    finish(v + 1, base, a1, bias, w, x, activation, poison)
    finish(v + 2, base, a2, bias, w, x, activation, poison)
    finish(v + 3, base, a3, bias, w, x, activation, poison)
    finish(v + 4, base, a4, bias, w, x, activation, poison)
    finish(v + 5, base, a5, bias, w, x, activation, poison)


@compiled
def pooled(v, base, lo, hi, rank, antecedent, w, x, scratch):
    """Write the rank-th largest candidate of a pool neuron, for each sample of a tile."""
    n = width(x)
    for s in range(n):
        scratch[:rank] = -np.inf
        for e in range(lo, hi):  # the largest `rank` candidates, sorted by insertion
            candidate = w[e] * x[base + (antecedent[e] + 1) * n + s]
            i = rank
            while i > 0 and scratch[i - 1] < candidate:
                if i < rank:
                    scratch[i] = scratch[i - 1]
                i -= 1
            if i < rank:
                scratch[i] = candidate
        x[base + (v + 1) * n + s] = scratch[rank - 1]


@compiled
def same_run(v, start, run, activation):
    """Whether the six neurons from v, which reads a run, read that same one, which lies below, and none is a pool."""
    degree = start[v + 1] - start[v]
    if run[v] + degree > v or v + 6 >= len(start):
        return False
    for i in range(v, v + 6):
        if run[i] != run[v] or start[i + 1] - start[i] != degree or activation[i] == POOL:
            return False
    return True


@compiled
def plain_neurons(first, stop, base, start, antecedent, bias, w, x, activation, poison, asks_early):
    """Some neurons that are no pools, one by one, on one tile; `asks_early` is that of `evaluate_tiles`."""
    n = width(x)
    last = U(len(antecedent) - 1)
    poisoned = load(poison, 0)
    hi = start[first]
    for v in range(first, stop):
        lo, hi = hi, start[v + 1]
        kind = activation[v]
        if kind == INPUT:
            continue
        total = zeros(x)
        for e in range(U(lo), U(hi)):
            if asks_early:
                will_read(x, base + (np.int64(antecedent[min(e + U(EARLY), last)]) + 1) * n)
            total = fma(w[e], load(x, base + (np.int64(antecedent[e]) + 1) * n), total)
        b = bias[v]
        if b >= 0:
            total = fma(w[b], load(x, base), total)
        poisoned = fma(x.dtype.type(0), total, poisoned)
        if kind == RELU:
            total = clipped(total)
        store(x, base + (v + 1) * n, total)
    store(poison, 0, poisoned)


@compiled
def plain_until(v, start, run, activation):
    """The neuron behind v at which something else begins than plain neurons: a pool, or six of one run."""
    v += 1
    while v < len(run) and activation[v] != POOL and not (run[v] >= 0 and same_run(v, start, run, activation)):
        v += 1
    return v


@compiled
def sweep_tiles(tiles, start, antecedent, run, bias, activation, rank, w, x, scratch, poison, asks_early):
    """Evaluate every neuron on the samples in the buffer; `asks_early` is that of `evaluate_tiles`."""
    n = width(x)
    size = len(start) * n
    v = 0
    while v < len(run):
        lo, hi = start[v], start[v + 1]
        if activation[v] == POOL:
            for t in range(tiles):
                pooled(v, t * size, lo, hi, rank[v], antecedent, w, x, scratch)
                finish(v, t * size, load(x, t * size + (v + 1) * n), bias, w, x, activation, poison)
            v += 1
        elif run[v] >= 0 and same_run(v, start, run, activation):
            for t in range(tiles):
                six_neurons(v, t * size, lo, hi - lo, run[v], bias, w, x, activation, poison)
            v += 6
        else:
            stop = plain_until(v, start, run, activation)
            for t in range(tiles):
                plain_neurons(v, stop, t * size, start, antecedent, bias, w, x, activation, poison, asks_early)
            v = stop


@compiled
def evaluate_tiles(
    first, stop, start, antecedent, run, bias, activation, rank, w, rows, inputs, wanted, out, x, asks_early
):
    """Evaluate the samples of some tiles; returns whether all values are finite.

    `inputs` and `wanted` are buffer positions: of the inputs, in the order of the columns of `rows`, and of the neurons
    whose values go to the columns of `out`. The buffer `x` has room for one tile or more, and begins with a cache line.
    `asks_early`: the last cache may not keep the values of a tile, so those of scattered antecedents are asked for
    before.
    """
    n = width(w)
    size = len(start) * n
    together = len(x) // size
    scratch = np.empty(max(1, rank.max()), dtype=w.dtype)
    poison = np.zeros(n, dtype=w.dtype)
    for tile in range(first, stop, together):
        tiles = min(together, stop - tile)
        for t in range(tiles):
            low, high = (tile + t) * n, min((tile + t + 1) * n, len(rows))
            x[t * size : t * size + n] = 1
            for s in range(n):
                for i in range(len(inputs)):
                    x[t * size + inputs[i] * n + s] = rows[low + s, i] if low + s < high else 0
        sweep_tiles(tiles, start, antecedent, run, bias, activation, rank, w, x, scratch, poison, asks_early)
        for t in range(tiles):
            low, high = (tile + t) * n, min((tile + t + 1) * n, len(rows))
            for s in range(high - low):
                for j in range(len(wanted)):
                    out[low + s, j] = x[t * size + wanted[j] * n + s]
    return np.isfinite(poison).all()


# -- one sample ---------------------------------------------------------------------------------------------------


@compiled
def six_sums(lo, degree, first, w, x, sums):
    """The sums into six neurons of one run, side by side: each has to wait for its own additions."""
    zero = x.dtype.type(0)
    a0, a1, a2, a3, a4, a5 = zero, zero, zero, zero, zero, zero
    d = U(degree)
    e = U(lo)
    at = U(first + 1)
    for _ in range(degree):
        u = x[at]
        a0 = fma_scalar(w[e], u, a0)
        a1 = fma_scalar(w[e + d], u, a1)
        a2 = fma_scalar(w[e + U(2) * d], u, a2)
        a3 = fma_scalar(w[e + U(3) * d], u, a3)
        a4 = fma_scalar(w[e + U(4) * d], u, a4)
        a5 = fma_scalar(w[e + U(5) * d], u, a5)
        e += U(1)
        at += U(1)
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = a0, a1, a2, a3, a4, a5


@compiled
def pooled_one(lo, hi, rank, antecedent, w, x, scratch):
    """The rank-th largest candidate of a pool neuron."""
    scratch[:rank] = -np.inf
    for e in range(lo, hi):
        candidate = w[e] * x[antecedent[e] + 1]
        i = rank
        while i > 0 and scratch[i - 1] < candidate:
            if i < rank:
                scratch[i] = scratch[i - 1]
            i -= 1
        if i < rank:
            scratch[i] = candidate
    return scratch[rank - 1]


@compiled
def evaluate_one(start, antecedent, run, bias, activation, rank, w, x):
    """Evaluate every neuron on one sample, to the same bits as in a batch; returns whether all values are finite."""
    scratch = np.empty(max(1, rank.max()), dtype=w.dtype)
    sums = np.empty(6, dtype=w.dtype)
    zero = x.dtype.type(0)
    poison = zero
    ready = 0  # how many sums there are of neurons from v on
    for v in range(len(run)):
        lo, hi = start[v], start[v + 1]
        kind = activation[v]
        if kind == INPUT:
            continue
        if ready == 0 and run[v] >= 0 and same_run(v, start, run, activation):
            six_sums(lo, hi - lo, run[v], w, x, sums)
            ready = 6
        if ready > 0:
            total = sums[6 - ready]
            ready -= 1
        elif kind == POOL:
            total = pooled_one(lo, hi, rank[v], antecedent, w, x, scratch)
        else:
            total = zero
            for e in range(U(lo), U(hi)):
                total = fma_scalar(w[e], x[U(antecedent[e]) + U(1)], total)
        b = bias[v]
        if b >= 0:
            total = fma_scalar(w[b], x[0], total)
        poison += zero * total
        if kind == RELU:
            total = zero if total < 0 else total
        x[v + 1] = total
    return np.isfinite(poison)
