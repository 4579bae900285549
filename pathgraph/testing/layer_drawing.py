"""A strategy for layer graphs: small, exact or in floats, with every kind of layer that the builder has.

A graph is drawn as flat lists of small integers. A layer reads one of the tensors made so far and takes its sizes from
its integers, modulo what fits; whatever Hypothesis deletes or lowers, the rest still fits together, so that minimal
examples are minimal. A layer that would take the expansion beyond its bound is left out.
"""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.errors import ParameterError
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.shown import argument_text
from pathgraph.testing.layer_kinds import KINDS, OFTEN, Limits, Making, Step
from pathgraph.testing.values import at_least, dyadics, subset

__all__ = ["layer_graphs"]

ROLES = ("parameter", "frozen", "structural")


def layer_graphs(
    *,
    layers: Collection[str] | None = None,
    max_layers: int = 4,
    max_inputs: int = 2,
    max_outputs: int = 2,
    max_axes: int = 3,
    max_channels: int = 2,
    max_size: int = 4,
    max_edges: int = 100,
    roles: Collection[str] = ROLES,
    biases: bool = True,
    ties: bool = True,
    exact: bool = True,
) -> SearchStrategy[LayerGraph]:
    """Layer graphs of every kind of layer, which shrink to a single linear map.

    Drawn on purpose: strides, paddings, dilations and groups; pools of every rank, over ties; sums and concatenations
    of a tensor with another one or itself; broadcasting; tensors that are read twice, or reach no output; zero,
    opposite and repeated entries; frozen, structural and tied tensors; several inputs and outputs.

    Parameters
    ----------
    layers : collection of str, optional
        Methods of `LayerGraphBuilder` that make layers, such as "convolution", "max_pool" or "add"; by default all of
        them. ReLUs follow layers of any kind.
    max_layers : int
        How many layers are drawn; identity copies and views come to them where they are needed.
    max_inputs, max_outputs : int
    max_axes : int
        Of the inputs: one for features or channels, the others of space.
    max_channels, max_size : int
        Sizes of the first axis and of the others, as inputs and convolutions have them; concatenations and
        upsamplings make larger ones.
    max_edges : int
        Of the expansion.
    roles : collection of {"parameter", "frozen", "structural"}
        Of tensors; "parameter" is always possible.
    biases, ties : bool
        Whether layers may have biases, and whether tensors may be shared.
    exact : bool
        Fractions; else the same values as floats, rounded to float64 where a third or the like needs it.

    Returns
    -------
    SearchStrategy of LayerGraph
        Inputs are named ``x0, x1, ...``.

    Raises
    ------
    ParameterError
        If an option has a wrong value.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import layer_graphs
    >>> find(layer_graphs(layers=["convolution"], max_layers=1, max_axes=1), lambda graph: len(graph.theta) == 2)
    LayerGraph(3 layers: x0 (2,) -> convolution1 (1, 1); 2 parameters, 3 neurons; exact)
    """
    max_layers, max_inputs, max_outputs, max_axes = at_least(
        1, max_layers=max_layers, max_inputs=max_inputs, max_outputs=max_outputs, max_axes=max_axes
    )
    max_channels, max_size, max_edges = at_least(1, max_channels=max_channels, max_size=max_size, max_edges=max_edges)
    kinds = list(KINDS)
    if layers is not None:
        subset(kinds, layers=layers)
        kinds = [kind for kind in kinds if kind in layers]
        if not kinds:
            raise ParameterError(f"layers: needed some of {', '.join(KINDS)}, got none")
    subset(ROLES, roles=roles)
    for name, option in {"biases": biases, "ties": ties, "exact": exact}.items():
        if not isinstance(option, bool):
            raise ParameterError(f"{name}: needed a bool, got {argument_text(option)}")
    chosen = ["parameter", *(role for role in ROLES[1:] if role in roles)]
    steps = st.builds(
        Step,
        st.sampled_from([*kinds, *(kind for kind in OFTEN if kind in kinds)]),
        st.sampled_from((0, 0, 0, 1, 2, 3)),
        st.lists(st.integers(0, 11), min_size=4, max_size=12),
        st.lists(dyadics(), min_size=1, max_size=6),
        st.booleans(),
        st.booleans() if biases else st.just(False),
        st.sampled_from(["parameter", "parameter", *chosen]),
        st.booleans() if ties else st.just(False),
    )
    first = st.integers(1, max_channels) if max_axes > 1 else st.integers(1, max_size)
    shapes = st.tuples(first, st.lists(st.integers(1, max_size), max_size=max_axes - 1)).map(lambda s: (s[0], *s[1]))
    limits = Limits(max_channels, max_size, max_edges)
    graphs = st.builds(
        lambda shapes, steps, others: _decode(shapes, steps, others, limits),
        st.lists(shapes, min_size=1, max_size=max_inputs),
        st.lists(steps, min_size=1, max_size=max_layers),
        st.lists(st.integers(0, max_layers), max_size=max_outputs - 1),
    )
    return graphs if exact else graphs.map(lambda graph: graph.to_float())


def _decode(shapes: list[tuple[int, ...]], steps: list[Step], others: list[int], limits: Limits) -> LayerGraph:
    kept = list(steps)
    while True:
        making = Making(limits)
        for number, shape in enumerate(shapes):
            making.input(shape, f"x{number}")
        for place, step in enumerate(kept):
            making.add(step)
            if not making.has_room(making.signals[-1:]):
                del kept[place]
                break
        else:
            return making.graph(others)
