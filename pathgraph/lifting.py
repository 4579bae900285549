r"""The path-lifting :math:`\Phi(\theta)` and the path-activations :math:`A(\theta, x)`, path by path.

Both have one row per path, in one order: output by output, and for each neuron first the paths through its
antecedents, in canonical order, then its bias. They are made by one recursion over the DAG,

.. math:: \Phi^{\to v} = \big(\theta^{u \to v}\,\Phi^{\to u}\big)_{u \in ant(v)} \text{ followed by } b_v ,

with other entries for the activations. The number of paths grows exponentially with the depth, so it is counted
first, exactly, and refused beyond `max_paths`.

Source: arXiv 2310.01225 and 2405.15006.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from pathgraph.arguments import natural
from pathgraph.errors import BackendError, ParameterError, PathCountError, RangeError
from pathgraph.graph.network import Network, require_network, require_numbers
from pathgraph.path_sums import depth
from pathgraph.paths import Path, Paths
from pathgraph.pathsum.blocks import POOL, RELU
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_product, scaled_to_float
from pathgraph.pathsum.semirings import SCALED
from pathgraph.scalars import Array, frozen, object_array
from pathgraph.shown import decimal_text

if TYPE_CHECKING:
    import sympy

    from pathgraph.geometry.exactmatrix import ExactMatrix

__all__ = [
    "PathLifting",
    "entries_on_paths",
    "entry_activations",
    "guarded_paths",
    "lift",
    "path_activations",
    "path_lifting",
    "starts",
]

FEASIBLE = 10**9
"""Nobody can list more paths than this."""


def path_lifting(net: Network, *, node: Hashable | None = None, max_paths: int = 100_000) -> PathLifting:
    r"""The path-lifting :math:`\Phi(\theta)`: for every path, the product of the weights on it.

    A path that starts at an input has the product of its weights; one that starts at another neuron stands for the
    bias of that neuron, times the weights behind it.

    Parameters
    ----------
    net : Network
    node : node, optional
        Lift the paths that end at this neuron, :math:`\Phi^{\to v}`, instead of those that end at the outputs.
    max_paths : int
        Refuse to list more paths than this.

    Returns
    -------
    PathLifting
        Lazy: values and paths are made when they are asked for.

    Raises
    ------
    PathCountError
        If there are more than `max_paths` paths; the message says how many.

    Notes
    -----
    Time and memory grow with the number of paths. Sums over paths (norms, counts, scores) never need the lifting:
    `path_sum` makes them in one sweep.

    References
    ----------
    arXiv 2310.01225, definition of the path-lifting for DAG networks with pooling, biases and skips.

    Examples
    --------
    >>> import pathgraph as pg
    >>> lifting = pg.path_lifting(pg.from_weights([[[1, 2]], [[3]]], [[4], None]))
    >>> lifting
    PathLifting(3 paths of Network(4 neurons: 2 inputs, 1 hidden, 1 output; 3 edges, 1 bias; 4 parameters; float64))
    >>> lifting.values
    array([ 3.,  6., 12.])
    >>> lifting.paths[2], list(lifting.paths)[0]
    (((1, 0), (2, 0)), ((0, 0), (1, 0), (2, 0)))
    """
    paths = guarded_paths(net, node, max_paths)
    return PathLifting(net, paths)


def guarded_paths(net: Network, node: Hashable | None, max_paths: int) -> Paths:
    """The paths, if there are at most `max_paths` of them."""
    require_network(net)
    natural(max_paths, "max_paths")
    paths = Paths(net, node)
    if paths.total > max_paths:
        total = paths.total
        count = str(total) if total < FEASIBLE else decimal_text(Fraction(total), 2)
        advice = "raise max_paths if they fit in memory, or use" if total < FEASIBLE else "too many to list: use"
        raise PathCountError(
            f"the network has {count} paths, more than max_paths={max_paths}; {advice} path_sum, path_norm, "
            "count_paths, which need no list of paths"
        )
    return paths


class PathLifting:
    r"""The path-lifting of a network; made by `path_lifting`.

    Attributes
    ----------
    net : Network
    paths : Paths
        The paths, each a tuple of neurons; one that starts at a non-input stands for that neuron's bias.
    values : ndarray, shape (n_paths,)
        :math:`\Phi_p(\theta)`, in the scalars of the network.

    Examples
    --------
    >>> import pathgraph as pg
    >>> lifting = pg.path_lifting(pg.from_weights([[[1]], [[3]]], [[4], None]))
    >>> dict(zip(lifting.paths, lifting.values.tolist()))
    {((0, 0), (1, 0), (2, 0)): 3.0, ((1, 0), (2, 0)): 12.0}
    """

    def __init__(self, net: Network, paths: Paths) -> None:
        self.net = net
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def values(self) -> Array:
        """The path products, in the scalars of the network. Read-only."""
        net = self.net
        if net.scalars != "float":
            lifted = lift(net, self.paths, accelerated(net.values))
            return frozen(restored(lifted) if net.is_exact else lifted)
        size = np.abs(net.values[net.values != 0].astype(np.float64))
        if (depth(net) + 1) * np.abs(np.log2(size)).max(initial=0) < -np.finfo(net.dtype).minexp:
            return frozen(lift(net, self.paths, net.values))
        lifted = scaled_to_float(lift(net, self.paths, scaled(net.values)), net.dtype)  # products may leave the range
        if np.isinf(lifted).any():
            raise RangeError(f"path_lifting: a product leaves the range of {net.dtype}; use net.to_exact()")
        return frozen(lifted)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PathLifting):
            return NotImplemented
        return np.array_equal(self.values, other.values) and self.paths == other.paths

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PathLifting({self.paths.total} path{'' if self.paths.total == 1 else 's'} of {self.net!r})"

    def jacobian(self) -> csr_array | ExactMatrix:
        r"""The derivative of the path products with respect to the parameters; see `pathgraph.geometry.rank.jacobian`.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.path_lifting(pg.from_weights([[[1]], [[3]]], [[4], None])).jacobian().toarray()
        array([[3., 0., 1.],
               [0., 3., 4.]])
        """
        from pathgraph.geometry.rank import jacobian

        return jacobian(self)

    def to_sympy(self) -> sympy.Matrix:
        """The lifting as a column of monomials in symbols, one symbol per parameter and per fixed value.

        Needs SymPy (extra ``symbolic``).

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.path_lifting(pg.from_weights([[[1, 2]], [[3]]])).to_sympy()
        Matrix([
        [w_(0, 0)_(1, 0)*w_(1, 0)_(2, 0)],
        [w_(0, 1)_(1, 0)*w_(1, 0)_(2, 0)]])
        """
        try:
            import sympy
        except ImportError:
            raise BackendError(
                "to_sympy needs SymPy, which is not installed; pip install 'pathgraph[symbolic]', "
                "or pip install '.[symbolic]' in a checkout"
            ) from None

        owner = self.net.architecture.parameter.tolist()
        symbols: dict[Any, Any] = {}
        taken: set[str] = set()
        for entry, parameter in enumerate(owner):
            key, name = (parameter, entry)[parameter < 0], self._symbol(entry)
            if (parameter < 0, key) not in symbols:
                symbols[parameter < 0, key] = sympy.Dummy(name) if name in taken else sympy.Symbol(name)
                taken.add(name)
        entries = object_array(symbols[p < 0, (p, e)[p < 0]] for e, p in enumerate(owner))
        return sympy.Matrix(lift(self.net, self.paths, entries).tolist())

    def _symbol(self, entry: int) -> str:
        architecture = self.net.architecture
        if entry in architecture.ties:
            return str(architecture.ties[entry])
        name = architecture.entry_name(entry)
        return f"w_{name[0]}_{name[1]}" if entry < architecture.n_edges else f"b_{name}"

    def to_latex(self, max_rows: int = 20) -> str:
        r"""The lifting as a LaTeX column vector of products, for a lecture or a paper.

        Parameters
        ----------
        max_rows : int
            Longer liftings end with dots.

        Examples
        --------
        >>> import pathgraph as pg
        >>> print(pg.path_lifting(pg.from_weights([[[1]], [[3]]], [[4], None])).to_latex())
        \Phi(\theta) = \begin{pmatrix}
        \theta_{0,0 \to 1,0}\,\theta_{1,0 \to 2,0} \\
        b_{1,0}\,\theta_{1,0 \to 2,0}
        \end{pmatrix}
        """
        rows = [self._monomial(path) for path in self.paths[: max(1, max_rows)]]
        if len(rows) < self.paths.total:
            rows.append(r"\vdots")
        body = " \\\\\n".join(rows)
        return f"\\Phi(\\theta) = \\begin{{pmatrix}}\n{body}\n\\end{{pmatrix}}"

    def _monomial(self, path: Path) -> str:
        architecture, ties = self.net.architecture, self.net.architecture.ties
        factors = []
        bias = architecture.bias_entry(path[0])
        if path[0] not in architecture.inputs and bias is not None:
            factors.append(_tie_latex(ties[bias]) if bias in ties else f"b_{{{_latex(path[0])}}}")
        for u, v in pairwise(path):
            entry = architecture.edge_entry(u, v)
            factors.append(_tie_latex(ties[entry]) if entry in ties else rf"\theta_{{{_latex(u)} \to {_latex(v)}}}")
        return r"\,".join(factors) or "1"


def _latex(name: Hashable) -> str:
    if isinstance(name, tuple):
        return ",".join(map(_latex, name))
    if isinstance(name, (int, float)):
        return str(name)
    escaped = str(name).replace("\\", r"\backslash ")
    for character in "_{}%&#$":
        escaped = escaped.replace(character, "\\" + character)
    return rf"\mathrm{{{escaped}}}" if len(escaped) > 1 else escaped


def _tie_latex(name: Hashable) -> str:
    return rf"\theta_{{{_latex(name)}}}"


def path_activations(
    net: Network, x: ArrayLike | Sequence[Any], *, node: Hashable | None = None, max_paths: int = 100_000
) -> csr_array:
    r"""The path-activations :math:`A(\theta, x)`: which paths are active on the input x, and where they start.

    A path is active if all its neurons are: a ReLU neuron when it is strictly positive, an edge into a k-max-pool
    when its candidate is the selected one (the first in canonical order among equals), everything else always. The
    network is then :math:`R_\theta(x) = \langle \Phi(\theta), A(\theta, x) (x, 1) \rangle`.

    Parameters
    ----------
    net : Network
    x : array_like, shape (n_inputs,)
    node : node, optional
        Rows for the paths that end at this neuron instead of the outputs.
    max_paths : int
        Refuse to list more paths than this.

    Returns
    -------
    scipy.sparse.csr_array of int8, shape (n_paths, n_inputs + 1)
        Row p has a one, if p is active, in the column of the input where it starts, or in the last column if it
        starts at a bias. Rows in the order of ``path_lifting(net).paths``. SciPy's sparse arrays multiply integers and
        floats; for a rational x write ``A.toarray() @ np.array([*x, 1], dtype=object)``.

    Raises
    ------
    PathCountError
        If there are more than `max_paths` paths.
    ParameterError
        If `x` is not one finite input vector.

    References
    ----------
    arXiv 2310.01225.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2], [-1, -1]], [[3, 1]]], [[4, 0], [1]])
    >>> A = pg.path_activations(net, [1, 1])
    >>> A.toarray().tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]
    >>> float(pg.path_lifting(net).values @ (A @ [1, 1, 1])), net([1, 1]).item()
    (22.0, 22.0)
    """
    require_numbers(net, "path_activations")
    shape = np.shape(np.asarray(x, dtype=object))
    if shape != (len(net.inputs),):
        raise ParameterError(f"x: needed one input vector of shape ({len(net.inputs)},), got shape {shape}")
    paths = guarded_paths(net, node, max_paths)
    active = lift(net, paths, entry_activations(net, x))
    column = starts(net, paths)
    rows = np.flatnonzero(active)
    ones = np.ones(len(rows), dtype=np.int8)
    return csr_array((ones, (rows, column[rows])), shape=(paths.total, len(net.inputs) + 1))


def entry_activations(net: Network, x: ArrayLike | Sequence[Any]) -> Array:
    """For each entry, 1 if its edge (or, for a bias, its neuron) is active on x, else 0."""
    architecture = net.architecture
    value = net.neuron_values(x)
    alive = np.ones(architecture.n_nodes, dtype=np.int8)
    is_relu = architecture.activation == RELU
    alive[is_relu] = (value[is_relu] > 0).astype(np.int8)
    active: Array = alive[architecture.target]
    for v in np.flatnonzero(architecture.activation == POOL).tolist():
        edges = slice(architecture.start[v], architecture.start[v + 1])
        candidates = net.values[edges] * value[architecture.antecedent[edges]]
        selected = np.sort(candidates)[-architecture.rank[v]]
        active[edges] = 0
        active[edges.start + int(np.argmax(candidates == selected))] = 1
    return active


def lift(net: Network, paths: Paths, entries: Array) -> Array:
    """Products of `entries` along each path, in the order of `paths`."""
    one, mul = (SCALED.one, scaled_product) if entries.dtype == SCALED_DTYPE else (1, np.multiply)
    return _recursion(
        net, paths, entries.dtype, lambda i: one, lambda e: entries[e], lambda part, e: mul(part, entries[e])
    )


def entries_on_paths(net: Network, paths: Paths) -> Array:
    """The entries on each path as a tuple, from its start to its end: object array of shape (n_paths,)."""

    def extend(part: Array, entry: int) -> Array:
        return object_array([(*before, entry) for before in part])

    return _recursion(net, paths, np.dtype(object), lambda i: (), lambda e: (e,), extend)


def starts(net: Network, paths: Paths) -> Array:
    """The column of the start of each path: its input, or n_inputs for a bias."""
    return _recursion(net, paths, np.dtype(np.int64), lambda i: i, lambda e: len(net.inputs), lambda part, e: part)


def _recursion(
    net: Network,
    paths: Paths,
    dtype: np.dtype[Any],
    start: Callable[[int], Any],
    bias: Callable[[int], Any],
    extend: Callable[[Array, int], Array],
) -> Array:
    """One value per path, made from the path without its last edge: ``extend(values of the antecedent, edge)``."""
    architecture = net.architecture
    ends = [end - 1 for end in paths.ends]
    needed, uses = set(ends), np.zeros(architecture.n_nodes, dtype=np.int64)
    for v in range(max(ends), -1, -1):
        if v in needed:
            before = architecture.antecedent[architecture.start[v] : architecture.start[v + 1]]
            needed.update(before.tolist())
            uses[before] += 1
    column = {int(v): i for i, v in enumerate(architecture.input)}
    known: dict[int, Array] = {}
    for v in sorted(needed):
        parts = [_single(start(column[v]), dtype)] if v in column else []
        for entry in architecture.entries_into(v).tolist():
            if entry >= architecture.n_edges:
                parts.append(_single(bias(entry), dtype))
                continue
            u = int(architecture.antecedent[entry])
            parts.append(extend(known[u], entry))
            uses[u] -= 1
            if not uses[u] and u not in ends:
                del known[u]
        known[v] = np.concatenate(parts) if parts else np.empty(0, dtype=dtype)
    return np.concatenate([known[end] for end in ends])


def _single(value: Any, dtype: np.dtype[Any]) -> Array:
    out = np.empty(1, dtype=dtype)
    out[0] = value
    return out
