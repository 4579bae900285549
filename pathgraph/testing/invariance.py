"""Is a quantity of a network invariant, under rescaling or anything else? A search for the smallest counterexample.

A *move* turns a network into another one: a mapping of factors (`pathgraph.rescale`), a network, or a function. A
strategy of moves for each network, such as `rescalings`, is what a quantity is held against. That nothing was found
is no proof; what is found is a counterexample, as small as Hypothesis can make it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.graph.network import Network
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array
from pathgraph.shown import argument_text
from pathgraph.symmetry import rescale
from pathgraph.testing.networks import mlps
from pathgraph.testing.search import smallest
from pathgraph.testing.shown import told, value_text
from pathgraph.testing.values import rescalings

__all__ = ["Counterexample", "Invariance", "check_invariance"]

SLACK = 2.0**-30
"""Far above the round-off of some thousand operations, far below what a factor of two changes."""


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A network, a move, and the two values that differ.

    Attributes
    ----------
    net : Network, LayerGraph or torch module
    move : mapping, network or function
        What was done to it.
    moved : Network, LayerGraph or torch module
    before, after : object
        What the function gives.
    """

    net: Any
    move: Any
    moved: Any
    before: Any
    after: Any

    def __str__(self) -> str:
        lines = [
            told(self.net),
            _move(self.move),
            f"before: {value_text(self.before)}",
            f"after:  {value_text(self.after)}",
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Invariance:
    """What a search found.

    Attributes
    ----------
    holds : bool
        Whether no counterexample was found; it is also the truth value of the object.
    examples : int
        How many pairs of networks were compared.
    counterexample : Counterexample or None
    """

    holds: bool
    examples: int
    counterexample: Counterexample | None

    def __bool__(self) -> bool:
        return self.holds

    def __repr__(self) -> str:
        if self.counterexample is None:
            return f"Invariance(no counterexample in {self.examples} examples)"
        return f"Invariance(refuted)\n{self.counterexample}"


def check_invariance(
    function: Callable[[Any], Any],
    *,
    under: Callable[[Any], SearchStrategy[Any]] = rescalings,
    networks: SearchStrategy[Any] | ReluNetwork | None = None,
    module: Any = None,
    input_shape: Any = None,
    exact: bool = False,
    tolerance: float | Fraction | None = None,
    max_examples: int = 200,
    raises: bool = True,
) -> Invariance:
    """Check that a function of a network does not change when the network is moved.

    Parameters
    ----------
    function : callable
        Takes a network; gives a number, an array, a mapping or sequence of such, or anything that has ``==``.
    under : callable
        Takes a network; gives a strategy of moves. A mapping is a rescaling, a network stands for itself, and a
        function is called with the network. `rescalings` by default.
    networks : SearchStrategy, Network or LayerGraph, optional
        Networks to search among, or the one to look at; perceptrons with biases by default.
    module : torch.nn.Module, optional
        Check a function of this module instead: it is read by `from_torch`, moved, and the function gets a copy with
        the new parameters. The module itself is not changed.
    input_shape : sequence of int, optional
        For `module`.
    exact : bool
        Hand networks over Fractions to the function, instead of floats. Sums and products are then exact, and the
        function must do with them.
    tolerance : number, optional
        The largest difference that counts as none, relative to the larger absolute value in the array. By default 0 for
        integers and Fractions, and ``2**-30`` for floats.
    max_examples : int
    raises : bool
        Whether a counterexample is an error, or only in the result.

    Returns
    -------
    Invariance

    Raises
    ------
    AssertionError
        On a counterexample: the smallest one found, with both values.
    ParameterError
        If an argument is none of these, or the function gave None for all networks.

    Notes
    -----
    The search is the same at every call. An error that the function raises is passed on, and refutes nothing.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> from pathgraph.testing import check_invariance
    >>> check_invariance(pg.path_norm)
    Invariance(no counterexample in 200 examples)
    >>> found = check_invariance(lambda net: np.abs(net.theta).sum(), raises=False)
    >>> bool(found), len(found.counterexample.net.hidden)
    (False, 1)
    """
    natural(max_examples, "max_examples", least=1)
    if not callable(function):
        raise ParameterError(f"function: needed a function of a network, got {argument_text(function)}")
    is_number = isinstance(tolerance, (int, float, Fraction)) and not isinstance(tolerance, bool)
    if tolerance is not None and not (is_number and tolerance >= 0):
        raise ParameterError(f"tolerance: needed a number >= 0, got {argument_text(tolerance)}")
    if not callable(under):
        raise ParameterError(
            f"under: needed a function from a network to a strategy of moves, got {argument_text(under)}"
        )
    if module is None and input_shape is not None:
        raise ParameterError(f"input_shape: needed None without module=, got {argument_text(input_shape)}")
    start = _starts(networks, module, input_shape, exact)
    count = 0
    has_value = False

    def differs(pair: tuple[Any, Any]) -> bool:
        nonlocal count, has_value
        count += 1
        net, move = pair
        moved = _moved(net, move)
        before, after = function(_given(net, module)), function(_given(moved, module))
        has_value = has_value or before is not None
        return not _same(before, after, tolerance)

    pairs = start.flatmap(lambda net: st.tuples(st.just(net), _moves(under, net)))
    refuted = smallest(pairs, differs, max_examples)
    if not refuted:
        if not has_value:
            raise ParameterError("function: needed a value to compare, got None for all networks; is a return missing?")
        return Invariance(True, count, None)
    [(net, move)] = refuted
    moved = _moved(net, move)
    ours, theirs = _given(net, module), _given(moved, module)
    found = Counterexample(ours, move, theirs, function(ours), function(theirs))
    if raises:
        raise AssertionError(f"{getattr(function, '__name__', 'the function')} is not invariant:\n{found}")
    return Invariance(False, count, found)


def _given(net: Any, module: Any) -> Any:
    """What the function gets: a network itself, or a copy of the module with its parameters."""
    if module is None:
        return net
    other = copy.deepcopy(module)
    net.apply_to(other)
    return other


def _starts(networks: Any, module: Any, input_shape: Any, exact: bool) -> SearchStrategy[Any]:
    if module is not None:
        if networks is not None:
            raise ParameterError("networks: needed None beside module=, got both")
        if input_shape is None:
            raise ParameterError("input_shape: needed the shape of one input of the module, got None")
        from pathgraph.io.torch import from_torch

        return st.just(from_torch(module, input_shape))
    if networks is None:
        networks = mlps()
    if isinstance(networks, (Network, LayerGraph)):
        return st.just(networks.to_exact() if exact and not networks.is_exact else networks)
    if isinstance(networks, SearchStrategy) and networks.is_empty:
        raise ParameterError("networks: needed a strategy that draws something, got an empty one")
    if not isinstance(networks, SearchStrategy):
        raise ParameterError(f"networks: needed a strategy, a network or None, got {argument_text(networks)}")
    return networks.map(lambda net: _converted(net, exact))


def _converted(net: Any, exact: bool) -> Any:
    if not isinstance(net, (Network, LayerGraph)):
        raise ParameterError(f"networks: needed a strategy of networks, got one that draws {argument_text(net)}")
    if exact == net.is_exact:
        return net
    return net.to_exact() if exact else net.to_float()


def _moves(under: Callable[[Any], Any], net: Any) -> SearchStrategy[Any]:
    moves = under(net)
    if not isinstance(moves, SearchStrategy):
        raise ParameterError(
            f"under: needed a function that gives a strategy of moves, got one that gives {argument_text(moves)}"
        )
    return moves


def _moved(net: Any, move: Any) -> Any:
    if isinstance(move, (Network, LayerGraph)):
        return move
    if isinstance(move, Mapping):
        return rescale(net, move)
    if callable(move):
        return move(net)
    raise ParameterError(f"under: needed moves that are mappings, networks or functions, got {argument_text(move)}")


def _same(a: Any, b: Any, tolerance: float | Fraction | None) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key], tolerance) for key in a)
    if isinstance(a, (str, bytes, Network, LayerGraph)):
        return bool(a == b)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    ours, theirs = np.asarray(a), np.asarray(b)
    if ours.shape != theirs.shape:
        return False
    numbers = [*ours.ravel().tolist(), *theirs.ravel().tolist()]
    if all(isinstance(x, (int, Fraction)) for x in numbers):
        slack = Fraction(tolerance or 0)
        size = max(map(abs, numbers), default=0)
        return all(abs(x - y) <= slack * size for x, y in zip(numbers[: ours.size], numbers[ours.size :], strict=True))
    if not all(isinstance(x, (int, Fraction, float, complex)) for x in numbers):
        return bool(np.all(ours == theirs))
    try:
        return _close(ours.astype(complex), theirs.astype(complex), tolerance)
    except OverflowError:  # floats beside rationals that no float holds
        return bool(np.all(ours == theirs))


def _close(ours: Array, theirs: Array, tolerance: float | Fraction | None) -> bool:
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return False
    known = np.isfinite(ours) & np.isfinite(theirs)
    if not np.all((ours == theirs) | np.isnan(ours) | known):
        return False
    size = max(np.abs(ours[known]).max(initial=0.0), np.abs(theirs[known]).max(initial=0.0))
    slack = SLACK if tolerance is None else float(min(tolerance, 2))  # no two numbers are farther apart
    with np.errstate(over="ignore"):
        return bool((np.abs(ours[known] / 2 - theirs[known] / 2) <= slack * (size / 2)).all())


def _move(move: Any) -> str:
    if isinstance(move, Mapping):
        changed = {name: factor for name, factor in move.items() if factor != 1}
        return "rescaled: " + (", ".join(f"{name} by {value_text(f)}" for name, f in changed.items()) or "nothing")
    return f"moved: {told(move)}" if isinstance(move, Network) else f"moved by {move!r}"
