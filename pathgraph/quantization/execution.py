r"""The round-off of evaluating a network in floating point, whatever the order of the sums, over a box of inputs.

Every product and every addition rounds to nearest, with relative error at most u, or with absolute error at most the
smallest normal number, which covers gradual underflow and results flushed to zero. A neuron with n terms, its bias
among them, then computes :math:`\sum_i t_i (1 + \delta_i)` with :math:`|\delta_i| \le g = n u / (1 - n u)`, in any
order and with or without fused multiply-adds. With s the path sums of the absolute values, the error e obeys

.. math:: e_v = a_v + \sum_u |w_{uv}| \big( (1 + g_v)\, e_u + g_v\, s_u \big) ,

a_v being the absolute errors. No partial sum exceeds s + e, so where that is less than the largest number nothing
overflows; otherwise the network is refused.

Source: derived here, from the standard model of floating-point arithmetic.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from pathgraph.errors import ParameterError, RangeError
from pathgraph.metrics.gaps import gamma, roundings
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.preparation import is_safe
from pathgraph.pathsum.semirings import MAX_TIMES
from pathgraph.pathsum.sweep import Term, sweep
from pathgraph.quantization.quantizers import FORMATS, FloatFormat, Quantizer
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array, object_array, to_fraction
from pathgraph.shown import decimal_text, whole_text

__all__ = ["EXECUTIONS", "Execution", "execution_error", "require_representable"]


class Execution(NamedTuple):
    """How a network is executed.

    Attributes
    ----------
    name : str
    kind : FloatFormat or None
        None for real arithmetic.
    """

    name: str
    kind: FloatFormat | None


EXECUTIONS = {
    "real": Execution("real", None),
    "float64": Execution("float64", FORMATS["fp64"]),
    "float32": Execution("float32", FORMATS["fp32"]),
    "float16": Execution("float16", FORMATS["fp16"]),
    "bfloat16": Execution("bfloat16", FORMATS["bf16"]),
}


def require_representable(net: ReluNetwork, execution: Execution) -> None:
    """Refuse entries that are no numbers of the format.

    Raises
    ------
    ParameterError
    """
    if execution.kind is None:
        return
    quantizer = Quantizer(format=execution.kind, saturate=True)
    for place in np.flatnonzero(quantizer(net.values) != net.values)[:1].tolist():
        is_free = net.architecture.parameter[place] >= 0
        hint = (
            "quantize the network first"
            if is_free
            else "it is no parameter, and quantize(..., fixed=True) rounds it, too; or fold batch-norms first"
        )
        raise ParameterError(
            f"other: {net.architecture.describe(place)} = {whole_text(net.values[place])} is no {execution.name}; "
            + hint
        )


def fan_ins(net: ReluNetwork) -> Array:
    """The number of terms of each neuron, by buffer position: its edges and its bias."""
    count = np.zeros(net.dag.size, dtype=np.int64)
    for block in net.dag.blocks():
        count[block.target] += block.degrees()
    return count


def most_terms(net: ReluNetwork, terms_of: Array) -> list[Array]:
    """For each entry the most terms of any neuron that it stands at, in the shapes of the tensors."""
    most = [np.zeros(w.shape, dtype=np.int64) for w in net.tensors]
    for block in net.dag.blocks():
        ends = np.ones((1, block.shape[1])), terms_of[block.target].astype(np.float64)[None]
        found = block.entry_gradient(*ends, most[block.tensor].shape, MAX_TIMES)
        most[block.tensor] = np.maximum(most[block.tensor], found.astype(np.int64))
    return most


def execution_error(net: ReluNetwork, widths: Array, execution: Execution) -> Array:
    """Per output, a bound of the error of evaluating a network on the box: rationals on exact networks, else floats.

    Raises
    ------
    ParameterError
        If a neuron has more terms than the format can add with any accuracy.
    RangeError
        If a sum may overflow.
    """
    kind = execution.kind
    if kind is None:
        zero = to_fraction(0) if net.is_exact else 0.0
        return np.array([zero] * len(net.dag.outputs), dtype=object if net.is_exact else np.float64)
    terms_of = fan_ins(net)
    unit = Fraction(1, 2**kind.precision)
    most = int(terms_of.max())
    if most * unit >= 1:
        raise ParameterError(
            f"execution: {execution.name} adds {most} terms with no accuracy at all; use a wider format"
        )
    growth = [n * unit / (1 - n * unit) for n in range(most + 1)]
    least = Fraction(2) ** kind.least
    exact = net.is_exact
    # in floats each is a rounding away, which `roundings` counts
    kinds = object_array(growth) if exact else np.array([float(g) for g in growth])
    slips = object_array([2 * n * least * (1 + g) for n, g in enumerate(growth)])
    if not exact:
        slips = np.array([float(slip) for slip in slips])
    values = [abs(accelerated(w)) if exact else np.abs(w.astype(np.float64)) for w in net.tensors]
    # an entry that stands at several neurons is taken with the most terms of any
    factors = [accelerated(kinds)[n] for n in most_terms(net, terms_of)]
    apart = [w * factor for w, factor in zip(values, factors, strict=True)]
    large = [w * (1 + factor) for w, factor in zip(values, factors, strict=True)]
    x = np.zeros((2, net.dag.size), dtype=object if exact else np.float64)
    if exact:
        x[...] = accelerated(object_array([Fraction(0)]))[0]
    x[0, CONSTANT] = 1
    x[0, net.dag.inputs] = accelerated(widths)
    inner = np.ones(net.dag.size, dtype=bool)
    inner[[CONSTANT, *net.dag.inputs.tolist()]] = False
    x[1, inner] = accelerated(slips)[terms_of[inner]]
    to_state = np.eye(2, dtype=bool)
    moves: list[Term] = [
        (values, np.array([to_state[0], [False, False]])),
        (apart, np.array([to_state[1], [False, False]])),
        (large, np.array([[False, False], to_state[1]])),
    ]
    x = sweep(net, moves, x, backend="numpy")
    reach, error = x[0] + x[1], x[1]
    if exact:
        reach, error = restored(reach), restored(error)
    elif not is_safe([widths, *values, *apart], x):
        raise RangeError("execution: a bound leaves the range of float64; use net.to_exact()")
    else:
        slack = 2 * gamma(roundings(net, 3, entry=4) + 4)
        reach, error = reach * (1 + slack), error * (1 + slack)
    highest = reach.max()
    if highest >= kind.largest:
        reached, largest = (decimal_text(to_fraction(size), 4) for size in (highest, kind.largest))
        raise RangeError(
            f"execution: a sum may reach {reached}, beyond the largest {execution.name}, {largest}; use a wider format "
            "or a smaller box"
        )
    return np.asarray(error[net.dag.outputs])
