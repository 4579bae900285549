"""Networks from and to arrays: millions of edges, without an object for each.

The edges come as two arrays, antecedent and weight, and a third one that says where they lead: ``indptr``, if they are
grouped by target (compressed sparse rows: the matrices of `scipy.sparse` whose rows are the targets), or ``targets``,
if they are in any order. Neurons are numbered 0, ..., n - 1 and may have names.

Nothing that the caller holds is kept or changed. NumPy cannot protect an array against a view that was made before,
so every array is copied, node numbers into 32 bits where that is enough: an edge costs 8 to 12 bytes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pathgraph.errors import GraphError, ParameterError
from pathgraph.graph import array_arguments as given
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.compilation import EntryOrder, compile_architecture
from pathgraph.graph.names import is_numbered
from pathgraph.graph.network import Network, require_network
from pathgraph.graph.ordering import grouped, has_successor, index_type, longest_distances
from pathgraph.pathsum.blocks import INPUT
from pathgraph.scalars import as_values, finite, float_type
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["from_arrays", "to_arrays"]


def from_arrays(
    antecedents: ArrayLike,
    weights: ArrayLike | Sequence[Any],
    *,
    indptr: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    activation: ArrayLike,
    rank: ArrayLike | None = None,
    bias: ArrayLike | Sequence[Any] | None = None,
    biased: ArrayLike | None = None,
    outputs: ArrayLike | None = None,
    roles: ArrayLike | None = None,
    bias_roles: ArrayLike | None = None,
    ties: Mapping[int, Hashable] | None = None,
    names: Sequence[Hashable] | None = None,
    dtype: DTypeLike | None = None,
) -> Network:
    r"""A network from arrays, without networkx.

    The contract is that of `from_networkx`; neurons are numbered 0, ..., n_nodes - 1 in the order of insertion.

    Parameters
    ----------
    antecedents : array_like of int, shape (n_edges,)
        The neuron at which each edge starts.
    weights : array_like, shape (n_edges,)
        Finite numbers. Floats and integers make a float network, Fractions an exact one.
    indptr : array_like of int, shape (n_nodes + 1,), optional
        The edges into neuron v are ``indptr[v]:indptr[v + 1]``. A `scipy.sparse.csr_array` M with M[v, u] the weight
        of u -> v comes as ``from_arrays(M.indices, M.data, indptr=M.indptr, ...)``.
    targets : array_like of int, shape (n_edges,), optional
        The neuron at which each edge ends. Give either `indptr` or `targets`. With `targets`, the number of neurons
        is the length of `names` or `activation`, and otherwise the largest number that occurs, plus one.
    activation : array_like of str or int
        One of "input", "identity", "relu", "pool", or its place in that list, for each neuron: shape (n_nodes,). A
        single one is that of the neurons that have both antecedents and successors; neurons without antecedents are
        then inputs and the others, outputs among them, identity neurons.
    rank : int or array_like of int, shape (n_nodes,), optional
        For pools: the k-th largest candidate is selected; 1, the maximum, by default. An array holds 1 elsewhere.
    bias : number or array_like, shape (n_biases,), optional
        The biases; a single one for all `biased`. Neurons that are not biased have none: no path starts there.
    biased : array_like of int, shape (n_biases,), or of bool, shape (n_nodes,), optional
        The neurons with a bias; by default all that are no inputs.
    outputs : array_like of int, shape (n_outputs,), or of bool, shape (n_nodes,), optional
        The outputs, in increasing order; by default the neurons without successors that are no inputs.
    roles, bias_roles : array_like of str or int, optional
        "parameter" (the default), "frozen" or "structural", or its place in that list: one for each edge and bias, or
        a single one for all of them.
    ties : mapping from int to name, optional
        Entries with one name are one parameter: i is the i-th edge as given, n_edges + j the j-th bias.
    names : sequence of hashables, optional
        One name per neuron. By default their numbers, which are not stored.
    dtype : {float32, float64, object}, optional
        Convert the values: object means exact rationals.

    Returns
    -------
    Network

    Raises
    ------
    GraphError
        Naming the node or edge: cycles, edges that came twice, and everything else that `from_networkx` refuses.
    ParameterError
        On arrays of a wrong shape or type, numbers out of range, `outputs` out of order, and on values that are NaN,
        infinite or no numbers.

    Notes
    -----
    Edges that are in canonical order already (neurons numbered by level, antecedents increasing for each) are only
    copied: time and memory are linear, with 8 to 12 bytes for an edge and some 20 for a neuron. Other edges are sorted
    by counting, also in linear time, with some 25 bytes more for an edge meanwhile. From two million edges on the
    orders are made by Numba where it is installed.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_arrays([0, 1, 2], [2.0, -1.0, 3.0], indptr=[0, 0, 0, 2, 3], activation="relu", bias=5, biased=[3])
    >>> net
    Network(4 neurons: 2 inputs, 1 hidden, 1 output; 3 edges, 1 bias; 4 parameters; float64)
    >>> net.nodes, net([1, 1])
    (range(0, 4), array([8.]))
    >>> same = pg.from_arrays([2, 1, 0], [3, -1, 2], targets=[3, 2, 2], activation="relu", bias=[5], biased=[3])
    >>> same == net
    True
    """
    before, names = given.integers(antecedents, "antecedents"), given.distinct_names(names)
    n_nodes, start, sources, by_target = _edges(before, indptr, targets, activation, names)
    if names is not None and len(names) != n_nodes:
        raise ParameterError(f"names: needed {n_nodes} names, one per neuron, got {len(names)}")
    level = longest_distances(start, sources, names)
    ends = ~has_successor(n_nodes, sources)
    codes = given.activation_codes(activation, np.diff(start), ends)
    output = np.flatnonzero(ends & (codes != INPUT))
    if outputs is not None:
        output = given.chosen_neurons(outputs, "outputs", n_nodes)
    if (output[1:] <= output[:-1]).any():
        raise ParameterError("outputs: needed neurons in increasing order, each once; the outputs keep it: sort them")
    of_edges = given.numbers(weights, "weights", len(before))
    with_bias, biases = given.neurons_and_biases(bias, biased, codes)
    if dtype is None and type(bias) in (int, float) and of_edges.dtype == np.float32:
        dtype = np.float32
    architecture, order = compile_architecture(
        nodes=names,
        activation=codes,
        rank=given.pool_ranks(rank, codes),
        level=level,
        start=start,
        antecedent=sources,
        role=given.role_codes(roles, "roles", len(before)),
        biased=with_bias,
        bias_role=given.role_codes(bias_roles, "bias_roles", len(with_bias)),
        output=output,
        ties=given.names_by_entry(ties, len(before) + len(with_bias)),
        edges=by_target,
    )
    _refuse_ambiguous(architecture)
    return Network._of(architecture, _stored(of_edges, biases, order, architecture, dtype))


def to_arrays(net: Network) -> dict[str, Any]:
    """The arrays of a network, as `from_arrays` takes them: ``from_arrays(**to_arrays(net)) == net``.

    Parameters
    ----------
    net : Network

    Returns
    -------
    dict
        The keyword arguments: edges by target, neurons in the order of insertion. That need not be the order of
        `theta`, of scores and of masks, which `Network.parameters` names. Arrays may be read-only views of the
        network's own. A neuron graph that `from_arrays` numbered has no "names"; "ties" is there if there are any.

    Examples
    --------
    >>> import pathgraph as pg
    >>> arrays = pg.to_arrays(pg.from_weights([[[1, 2]], [[3]]], [[4], None]))
    >>> arrays["indptr"], arrays["antecedents"], arrays["weights"], arrays["names"][:2]
    (array([0, 0, 0, 2, 3]), array([0, 1, 2], dtype=int32), array([1., 2., 3.]), ((0, 0), (0, 1)))
    """
    require_network(net)
    architecture, values = net.architecture, net.values
    insertion, n_edges = architecture.insertion, architecture.n_edges
    activation, rank, role = architecture.activation, architecture.rank, architecture.role
    start, antecedent, order = architecture.start, architecture.antecedent, None
    if not isinstance(architecture.nodes, range) and (insertion[1:] < insertion[:-1]).any():
        back = np.argsort(insertion)
        degree = np.diff(start)[back]
        activation, rank = activation[back], rank[back]
        order = np.repeat(start[back] - (np.cumsum(degree) - degree), degree) + np.arange(n_edges)
        start = np.concatenate([[0], np.cumsum(degree)])
        antecedent = insertion[antecedent[order]]
    edges = slice(0, n_edges) if order is None else order
    arrays = {
        "antecedents": antecedent,
        "weights": values[edges],
        "indptr": start,
        "activation": activation,
        "rank": rank,
        "bias": values[n_edges:],
        "biased": insertion[architecture.biased],
        "outputs": insertion[architecture.output],
        "roles": role[edges],
        "bias_roles": role[n_edges:],
        "dtype": net.dtype,
    }
    if not is_numbered(architecture.nodes):
        arrays["names"] = tuple(architecture.nodes[i] for i in np.argsort(insertion).tolist())
    if architecture.ties:
        place = np.empty(n_edges, dtype=np.int64)
        place[edges] = np.arange(n_edges)
        arrays["ties"] = {
            int(place[entry]) if entry < n_edges else entry: name for entry, name in architecture.ties.items()
        }
    return arrays


# -- edges ---------------------------------------------------------------------------------------------------------


def _edges(
    before: Array, indptr: Any, targets: Any, activation: Any, names: Any
) -> tuple[int, Array, Array, Array | None]:
    """The number of neurons, the edges in compressed rows, and where each came from."""
    if (indptr is None) == (targets is None):
        raise ParameterError("indptr, targets: needed one of them, got " + ("neither" if indptr is None else "both"))
    if indptr is not None:
        ends = given.integers(indptr, "indptr")
        n_nodes = given.at_least_one(len(ends) - 1)
        given.check_indptr(ends, len(before))
        given.refuse_beyond(before, "antecedents", n_nodes)
        return n_nodes, ends.astype(np.int64), before.astype(index_type(n_nodes)), None
    behind = given.integers(targets, "targets")
    if len(behind) != len(before):
        raise ParameterError(f"targets: needed {len(before)} numbers, one per antecedent, got {len(behind)}")
    n_nodes = given.at_least_one(given.number_of_neurons(before, behind, activation, names))
    given.refuse_beyond(before, "antecedents", n_nodes)
    given.refuse_beyond(behind, "targets", n_nodes)
    integer = index_type(n_nodes)
    return n_nodes, *grouped(n_nodes, before.astype(integer), behind.astype(integer, copy=False))


def _refuse_ambiguous(architecture: Architecture) -> None:
    for name in set(architecture.ties.values()):
        for what, is_there in (("an edge", _is_edge), ("a neuron with a bias", _is_biased)):
            if is_there(architecture, name):
                raise GraphError(
                    f"ties: the parameter's name {argument_text(name)} is also the name of {what}; choose another"
                )


def _is_edge(architecture: Architecture, name: Hashable) -> bool:
    try:
        return isinstance(name, tuple) and len(name) == 2 and architecture.edge_entry(*name) >= 0
    except GraphError:
        return False


def _is_biased(architecture: Architecture, name: Hashable) -> bool:
    try:
        return architecture.bias_entry(name) is not None
    except GraphError:
        return False


def _stored(
    of_edges: Array, biases: Array, order: EntryOrder, architecture: Architecture, dtype: DTypeLike | None
) -> Array:
    """The values of all entries, checked."""

    def describe(entry: int) -> str:
        return f"{'weights' if entry < architecture.n_edges else 'bias'}: {architecture.describe(entry)}"

    types = {array.dtype for array in (of_edges, biases) if len(array)}
    is_exact = dtype is not None and (dtype is object or dtype == np.dtype(object))
    if is_exact or any(kind.kind not in "fiu" for kind in types):
        return as_values(order.apply(of_edges, biases, object), describe, dtype)
    if dtype is None:
        dtype = np.float32 if types == {np.dtype(np.float32)} else np.float64
    with np.errstate(over="ignore"):
        return finite(order.apply(of_edges, biases, float_type(dtype, " or object (exact rationals)")), describe)
