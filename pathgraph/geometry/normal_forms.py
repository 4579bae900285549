r"""Two more normal forms of a rescaling orbit, found by convex minimisation: balanced, and path-conditioned.

Write a rescaling as :math:`\theta_i e^{y_i}` with :math:`y = C^\top z`, z a combination of the potentials of
`pathgraph.geometry.potentials`, and C their differences.

* `balance` minimises :math:`\sum_i \theta_i^2 e^{2 y_i}`. At the minimum every conserved quantity of gradient flow is
zero.
* `path_condition` makes the diagonal :math:`g_i = (\partial\Phi^\top \partial\Phi)_{ii}` as even as it can be: it
  minimises :math:`n \log \sum_i g_i e^{-2 y_i} + 2 \sum_i y_i`, which is n times the logarithm of the ratio of the
  arithmetic to the geometric mean of the rescaled diagonal, up to a constant.

Both are functions of `pathgraph.geometry.orbit_objective`, convex, with a minimum, and one minimiser up to what changes
no parameter. The residual of the result is measured anew, on the parameters that are returned.

`~pathgraph.normalize` is the third normal form: in closed form, and exact.

Sources: ENorm is that of arXiv 1902.10416, path-conditioning that of arXiv 2602.19799; fixed, tied and dead values are
derived here.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from pathgraph.arguments import natural, number
from pathgraph.distinct import distinct
from pathgraph.errors import RangeError, UnsupportedOperatorError
from pathgraph.geometry.orbit_objective import Objective
from pathgraph.geometry.potentials import Potentials, Reach, ends, potentials, reach
from pathgraph.graph.architecture import PARAMETER
from pathgraph.graph.network import Network, require_network
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.preparation import buffer, edge_values
from pathgraph.pathsum.semirings import LOG
from pathgraph.pathsum.sweep import back, sweep
from pathgraph.scalars import Array
from pathgraph.shown import argument_text, article, mapping_text, number_text

__all__ = ["NormalForm", "balance", "path_condition"]


@dataclass(frozen=True, repr=False)
class NormalForm:
    """A normal form, and how well it is one; made by `balance` and `path_condition`.

    Attributes
    ----------
    net : Network
        The network in normal form.
    factors : dict
        The factors of the hidden neurons that were rescaled.
    residual : float
        The largest violation of the conditions of stationarity by ``net``, relative to the terms that cancel in it.
    sweeps : int
        Rounds of coordinate steps that were made.
    tolerance : float

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.balance(pg.from_weights([[[1]], [[4]]])).net.theta
    array([2., 2.])
    """

    net: Network
    factors: Mapping[Hashable, float]
    residual: float
    sweeps: int
    tolerance: float

    def __bool__(self) -> bool:
        return self.residual <= self.tolerance

    def __repr__(self) -> str:
        return (
            f"NormalForm({self.net!r}, factors={mapping_text(self.factors)}, residual={number_text(self.residual, 3)}, "
            f"sweeps={self.sweeps}, tolerance={number_text(self.tolerance, 3)})"
        )


def balance(net: Network, *, tolerance: float | None = None, max_sweeps: int = 1000) -> NormalForm:
    r"""The network of the orbit with the smallest Euclidean norm of the parameters.

    It is the one where gradient flow conserves zeros: at every hidden neuron v,
    :math:`\|\theta^{\to v}\|^2 + b_v^2 = \|\theta^{v \to}\|^2`, if nothing is fixed or tied.

    Parameters
    ----------
    net : Network
        Of floats. Frozen and structural values stay, tied ones stay tied: the orbit is that of the group acting on the
        parameters.
    tolerance : float, optional
        The residual that is good enough; 4096 units of round-off of the network's dtype by default.
    max_sweeps : int
        Stop after this many rounds of coordinate steps. The result is then false, unless they were enough.

    Returns
    -------
    NormalForm
        With ``.net``, ``.factors`` and ``.residual``; true if the residual is at most the tolerance.

    Raises
    ------
    UnsupportedOperatorError
        On exact networks, for which it is irrational (use ``net.to_float()``), and symbolic ones.
    ParameterError
        If `tolerance` is not a finite number > 0, or `max_sweeps` no integer >= 0.
    RangeError
        If a value leaves the range of floats.

    Notes
    -----
    Parameters on no path of non-zero values are set to 0: they are where no minimum is attained, and change neither
    the function nor the path-lifting. The others have one balanced representative: the norm is a strictly convex
    function of their logarithms. One round costs one operation per parameter; the number of rounds grows with the
    depth.

    References
    ----------
    arXiv 1902.10416 (ENorm); existence, fixed, tied and dead values are derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.balance(pg.from_weights([[[3, 0]], [[48]]])).net.theta
    array([12.,  0., 12.])
    """
    limit, rounds = _tolerance(net, "balance", tolerance), natural(max_sweeps, "max_sweeps")
    live = reach(net.architecture, net.values != 0)
    basis = potentials(net.architecture, live.on_path)
    theta = np.where(basis.acts_on, net.theta.astype(np.float64), 0)
    counted = np.flatnonzero(basis.acts_on)
    objective = Objective(basis.on_parameters[:, counted], 2 * np.log(np.abs(theta[counted])), power=2, linear=0)
    z, sweeps = objective.minimise(limit, rounds)
    balanced = net.with_theta(_moved(theta, basis.on_parameters.T @ z, net))
    final = Objective(objective.exponents, 2 * _log_abs(balanced.theta[counted]), power=2, linear=0)
    return NormalForm(balanced, _factors(basis, z), final.residual(np.zeros(len(z))), sweeps, limit)


def path_condition(net: Network, *, tolerance: float | None = None, max_sweeps: int = 1000) -> NormalForm:
    r"""The network of the orbit whose path-lifting is best conditioned, as far as the diagonal tells.

    Parameters
    ----------
    net : Network
        Of floats. Frozen and structural values stay, tied ones stay tied. No path may meet a parameter twice.
    tolerance, max_sweeps
        As in `balance`.

    Returns
    -------
    NormalForm
        With ``.net``, ``.factors`` and ``.residual``; true if the residual is at most the tolerance.

    Raises
    ------
    UnsupportedOperatorError
        On exact and symbolic networks, and if a path meets a tied parameter twice.
    ParameterError
        On a bad `tolerance` or `max_sweeps`, as in `balance`.
    RangeError
        If a value leaves the range of floats.

    Notes
    -----
    :math:`g_i = \partial \|\Phi\|_2^2 / \partial(\theta_i^2)` for a parameter i that no path meets twice: a forward and
    a backward sweep of squares, in logarithms, so that nothing overflows. Rescaling multiplies it by
    :math:`\lambda_i^{-2}`. The condition at a hidden neuron, with nothing fixed or tied, is
    :math:`n\,(\sum_{out} g - \sum_{in} g) / \sum g = \#out - \#in`. Zero parameters count where they
    join inputs, outputs and hidden neurons on paths without a zero: their :math:`g_i` is positive, too. Those on no
    path are set to 0 and do not count.

    References
    ----------
    arXiv 2602.19799; fixed, tied and dead values are derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> form = pg.path_condition(pg.from_weights([[[3]], [[48]]]))
    >>> form.net.theta, bool(form)
    (array([12., 12.]), True)
    """
    limit, rounds = _tolerance(net, "path_condition", tolerance), natural(max_sweeps, "max_sweeps")
    live = reach(net.architecture, net.values != 0)
    counted = _counted(net, live)
    _refuse_repeats(net, counted)
    basis = potentials(net.architecture, counted)
    chosen = np.flatnonzero(basis.acts_on)
    alive = potentials(net.architecture, live.on_path).acts_on
    pruned = net.with_theta(np.where(alive, net.theta, 0))
    exponents = -basis.on_parameters[:, chosen]
    objective = Objective(exponents, _log_diagonal(pruned, counted)[chosen], power=1, linear=1)
    z, sweeps = objective.minimise(limit, rounds)
    conditioned = net.with_theta(_moved(pruned.theta, basis.on_parameters.T @ z / 2, net))
    final = Objective(exponents, _log_diagonal(conditioned, counted)[chosen], power=1, linear=1)
    return NormalForm(conditioned, _factors(basis, z / 2), final.residual(np.zeros(len(z))), sweeps, limit)


def _counted(net: Network, live: Reach) -> Array:
    """The entries on paths, and the zero parameters between inputs, outputs and neurons on paths: shape (n_entries,).

    Inputs and outputs, whose factors are 1, need no path of their own: a minimum is attained all the same.
    """
    tail, head = ends(net.architecture)
    on_neuron = live.on_neuron.copy()
    on_neuron[net.architecture.input + 1] = on_neuron[net.architecture.output + 1] = True
    between = on_neuron[tail] & on_neuron[head] & (net.architecture.role == PARAMETER)
    return np.asarray(live.on_path | (between & (net.values == 0)))


def _refuse_repeats(net: Network, counted: Array) -> None:
    """Refuse parameters that a path may meet twice: their diagonal is no sum over places."""
    architecture = net.architecture
    if not architecture.is_tied:
        return
    import networkx as nx

    tail, head = ends(architecture)
    graph = nx.DiGraph(zip(tail[counted].tolist(), head[counted].tolist(), strict=True))
    places: dict[int, list[int]] = {}
    for e in np.flatnonzero(counted & (architecture.role == PARAMETER)).tolist():
        places.setdefault(int(architecture.parameter[e]), []).append(e)
    for parameter, entries in places.items():
        for e in entries if len(entries) > 1 else []:
            later = nx.descendants(graph, int(head[e])) | {int(head[e])}
            if any(int(tail[f]) in later for f in entries):
                raise UnsupportedOperatorError(
                    "path_condition: a path meets the tied parameter "
                    f"{argument_text(architecture.parameters[parameter])} twice, so "
                    "its diagonal is no sum over places; use balance, or cut the tie"
                )


def _log_diagonal(net: Network, counted: Array) -> Array:
    r"""Per parameter :math:`\log g_i`, summed over the counted places; minus infinity where there is none."""
    architecture = net.architecture
    tail, head = ends(architecture)
    squares = tuple(2 * value for value in edge_values(net, LOG))
    x, y = buffer(net, LOG), buffer(net, LOG)
    x[0, CONSTANT] = x[0, net.dag.inputs] = y[0, net.dag.outputs] = 0
    sweep(net, [(squares, None)], x, ring=LOG)
    back(net, [(squares, None)], y, ring=LOG)
    out = np.full(architecture.n_parameters, -np.inf)
    places = np.flatnonzero(counted & (architecture.role == PARAMETER))
    np.logaddexp.at(out, architecture.parameter[places], x[0, tail[places]] + y[0, head[places]])
    return out


def _log_abs(values: Array) -> Array:
    return np.asarray(np.log(np.abs(values.astype(np.float64))))


def _tolerance(net: Network, function: str, tolerance: float | None) -> float:
    require_network(net)
    if net.scalars != "float":
        what = "for which it is irrational; use net.to_float()" if net.is_exact else "without numbers"
        raise UnsupportedOperatorError(f"{function}: needed a float network, got {article(net.scalars)} one, {what}")
    if tolerance is None:
        return 4096 * float(np.finfo(net.dtype).eps)
    return number(tolerance, "tolerance", "(0, inf)")


def _moved(theta: Array, logs: Array, net: Network) -> Array:
    """The parameters times the exponentials of some logarithms, which may be no floats."""
    is_far = abs(logs) > 700
    factors = np.exp(np.where(is_far, logs / 2, logs))
    with np.errstate(over="ignore", under="ignore"):
        out = (theta * factors * np.where(is_far, factors, 1)).astype(net.dtype)
    if not (np.isfinite(out).all() and ((out == 0) == (theta == 0)).all()):
        raise RangeError(f"normal form: a parameter leaves the range of {net.dtype}; use a wider type")
    return np.asarray(out)


def _factors(basis: Potentials, z: Array) -> dict[Hashable, float]:
    exponents = basis.on_neurons.T @ z
    with np.errstate(over="ignore", under="ignore"):
        factors = np.exp(exponents)
    moved = distinct(basis.on_neurons.indices).tolist()
    nodes = basis.architecture.nodes
    for v in moved:
        if not 0 < factors[v] < np.inf:
            raise RangeError(
                f"normal form: the factor of {argument_text(nodes[v])} leaves the range of float64; rescale net first"
            )
    return {nodes[v]: float(factors[v]) for v in moved}
