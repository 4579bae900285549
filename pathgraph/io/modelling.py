r"""Activations that are no ReLUs, as sums of ReLUs: what importers do when the caller opts in.

.. math:: ReLU6(z) = ReLU(z) - ReLU(z - 6), \qquad Leaky(z) = ReLU(z) - a \, ReLU(-z).

Both are exact. The constant 6 is a bias, so the capped unit is no longer positively homogeneous, and path sums see two
ReLU neurons per unit.
"""

from __future__ import annotations

from typing import Any

from pathgraph.errors import ParameterError
from pathgraph.layers.builder import LayerGraphBuilder, Signal, TensorHandle
from pathgraph.shown import argument_text

__all__ = ["LEAKY_RELU", "RELU6", "capped_relu", "checked_option", "leaky_relu"]

RELU6 = (None, "relu", "exact")
"""What callers may say about ReLU6: refuse it, take it for a ReLU, or model it exactly."""

LEAKY_RELU = (None, "exact")
"""What callers may say about leaky ReLUs: refuse them, or model them exactly."""


def checked_option(value: Any, name: str, options: tuple[str | None, ...]) -> str | None:
    """One of some options.

    Raises
    ------
    ParameterError
    """
    if not (value is None or isinstance(value, str)) or value not in options:
        raise ParameterError(f"{name}: needed one of {', '.join(map(repr, options))}, got {argument_text(value)}")
    return value


def capped_relu(build: LayerGraphBuilder, x: Signal, cap: TensorHandle, *, name: str | None = None) -> Signal:
    """min(max(z, 0), c) as ReLU(z) - ReLU(z - c).

    Parameters
    ----------
    build : LayerGraphBuilder
    x : Signal
    cap : TensorHandle
        It holds -c, and broadcasts to x.
    name : str, optional
        Of the layer that takes the difference.

    Examples
    --------
    >>> import pathgraph as pg
    >>> build = pg.LayerGraphBuilder()
    >>> x = build.input((3,))
    >>> build.build([capped_relu(build, x, build.tensor("cap", [-6], role="structural"))])([[-1, 4, 9]])
    array([[0., 4., 6.]])
    """
    beyond = build.relu(build.shift(x, cap))
    return build.add([build.relu(x), beyond], signs=[1, -1], name=name)


def leaky_relu(build: LayerGraphBuilder, x: Signal, slope: TensorHandle, *, name: str | None = None) -> Signal:
    """max(z, 0) + a min(z, 0) as ReLU(z) - a ReLU(-z).

    Parameters
    ----------
    build : LayerGraphBuilder
    x : Signal
    slope : TensorHandle
        It holds a, and broadcasts to x.
    name : str, optional
        Of the layer that takes the difference.

    Examples
    --------
    >>> import pathgraph as pg
    >>> build = pg.LayerGraphBuilder()
    >>> x = build.input((2,))
    >>> build.build([leaky_relu(build, x, build.tensor("slope", [0.5], role="structural"))])([[-4, 3]])
    array([[-2.,  3.]])
    """
    negative = build.relu(build.add([x], signs=[-1]))
    return build.add([build.relu(x), build.scale(negative, slope)], signs=[1, -1], name=name)
