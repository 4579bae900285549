r"""How far the output of a network can move when its parameters move: bounds over a box of inputs.

Without sign flips, :math:`|R_v(\theta, x) - R_v(\theta', x)| \le \sum_{p \to v} D_p |\Phi_p(\theta) - \Phi_p(\theta')|`
on the box :math:`|x_i| \le D_i`: the path-metric weighted by the box. With flips the metric can vanish while the output
moves, and the bounds through the meet and by telescoping take its place. All of them may be taken on the networks
without what stays silent on the box (`pathgraph.metrics.silence`).

Source: arXiv 2405.15006 for the theorem on equal signs; the rest is derived here.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from pathgraph.arguments import Inputs, exponent, half_widths, natural, require_same_structure
from pathgraph.bounds import Bound
from pathgraph.errors import ParameterError, PathCountError
from pathgraph.metrics.gaps import total, zeros
from pathgraph.metrics.output_bounds import differences_found, output_bound
from pathgraph.metrics.path_changes import PathChanges
from pathgraph.metrics.path_differences import Pair, differences, has_few_paths
from pathgraph.metrics.path_metrics import l1_gap, meet_sums, telescoped
from pathgraph.numbers import product, upper_floats
from pathgraph.pathsum.exact import restored
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array, object_array
from pathgraph.shown import argument_text

__all__ = ["parameter_lipschitz"]

Method = Literal["auto", "path-metric", "weighted-metric", "general-signs", "meet", "max-telescope"]


def parameter_lipschitz(
    net: ReluNetwork,
    other: ReluNetwork,
    *,
    inputs: Inputs | None = None,
    r: float = 1,
    per_output: bool = False,
    method: Method = "auto",
    drop_silent: bool = True,
    max_paths: int = 10_000,
) -> Bound:
    r"""A bound on :math:`\|R_\theta(x) - R_{\theta'}(x)\|_r` for all x in a box.

    Parameters
    ----------
    net, other : Network or LayerGraph
        Of one architecture and one kind of scalars.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths :math:`D_i \ge 0` of the box :math:`|x_i| \le D_i`; ones by default.
    r : number in [1, inf]
        The norm over the outputs.
    per_output : bool
        One bound per output instead.
    method : {"auto", "path-metric", "weighted-metric", "general-signs", "meet", "max-telescope"}
        * "path-metric": the theorem, max(1, D) times the path-metric, D being the largest half-width (D alone if no
          neuron has a bias);
        * "weighted-metric": the path-metric weighted by the box, per output, never worse;
        * "general-signs": likewise, with :math:`|\Phi_p| + |\Phi'_p|` for the difference on paths with sign flips;
        * "meet": the bound U2 of `path_metric`, which is the previous one where no path mixes shrinking and growing;
        * "max-telescope": the smaller of the two telescoped bounds U4, from either network, with maxima at pools.

        The first two need that no path with two non-zero products has an even number of sign flips (but for 0), and,
        like the third, few paths or none that mixes shrinking and growing. "auto" takes, output by output, the least
        one whose hypotheses hold, and names it.
    drop_silent : bool
        Whether neurons that are dead on the box in both networks, and pool candidates that are never selected in
        either, are dropped first. Not done by "path-metric".
    max_paths : int
        The most paths that are enumerated.

    Returns
    -------
    Bound
        The lower end is the largest difference of outputs found at x = 0 and at a few corners of the box. `exact`:
        whether the ends agree, on exact networks or at 0; `rigorous`: whether the network is exact and r an integer
        up to 64, or infinite.

    Raises
    ------
    ParameterError
        On networks of different architectures or scalars, and on sign flips that a method does not allow.
    PathCountError
        If a method needs to enumerate more than `max_paths` paths.
    RangeError
        If the bound leaves the range of floats.

    Notes
    -----
    ``weighted-metric <= general-signs <= meet``; "max-telescope" may beat them all if there are pools; in networks
    of more than 100,000 entries it takes sums for the maxima where floats leave their range. The weighted
    metric is attained at x = D by networks without negative parameters and without pools, all parameters moving one
    way. An l2 norm of the difference of liftings is no bound, nor is the metric when two signs flip on a path: for one
    ReLU neuron and the parameters (1, 1) and (-1, -1) it is 0, and the outputs differ by 1.

    References
    ----------
    arXiv 2405.15006 ("path-metric"); the rest is derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2], [3, -4]], [[1, 1]]], dtype=object)
    >>> pruned = net.with_theta([1, 0, 3, -4, 1, 1])
    >>> pg.parameter_lipschitz(net, pruned)
    Bound(2 <= . <= 2, exact, rigorous, by weighted-metric)
    >>> flipped = net.with_theta([1, 2, -3, 4, 1, -1])
    >>> pg.parameter_lipschitz(net, flipped), pg.path_metric(net, flipped).value
    (Bound(7 <= . <= 14, rigorous, by general-signs), Fraction(0, 1))
    """
    require_same_structure(net, other, "parameter_lipschitz")
    if method not in get_args(Method):
        raise ParameterError(
            f"method: needed one of {', '.join(map(repr, get_args(Method)))}, got {argument_text(method)}"
        )
    r = exponent(r, "r", least=1)
    natural(max_paths, "max_paths")
    pair = Pair.of(net, other, half_widths(net, inputs))
    found = differences_found(pair)
    names: list[str]
    if method == "path-metric":
        names, upper = [method], _as_ends(_theorem(pair, max_paths), pair)
    else:
        live = pair.without_silent() if drop_silent else None
        kept = pair if live is None else live
        candidates = {name: _as_ends(bound, pair) for name, bound in _candidates(kept, method, max_paths).items()}
        upper = np.minimum.reduce(list(candidates.values()))
        names = [name for name, bound in candidates.items() if (bound == upper).any()]
        if (candidates[names[0]] == upper).all():
            names = names[:1]
        if live is not None:
            names[-1] += " without the silent"
    return output_bound(found, upper, r, per_output, net.is_exact, " and ".join(names), "parameter_lipschitz")


def _candidates(pair: Pair, method: Method, max_paths: int) -> dict[str, Array]:
    """The bounds per output whose hypotheses hold, by name."""
    if method == "meet":
        return {"meet": total(*meet_sums(pair))}
    if method == "max-telescope":
        return {"max-telescope": _max_telescope(pair)}
    changes = pair.changes()
    name = "general-signs" if method == "general-signs" or changes.even.any() else "weighted-metric"
    if method == "weighted-metric":
        _require_signs(changes, method)
    metric = _sign_metric(pair, changes, max_paths)
    if method != "auto":
        if metric is None:
            raise PathCountError(
                f"method: {method!r} needs all parameters on a path to move one way, or at most max_paths={max_paths} "
                "paths; raise max_paths, or use 'meet'"
            )
        return {name: metric}
    candidates = {"meet": total(*meet_sums(pair))} if metric is None else {name: metric}
    if any(node.pools for node in pair.net.dag.nodes):
        candidates["max-telescope"] = _max_telescope(pair)
    return candidates


def _theorem(pair: Pair, max_paths: int) -> Array:
    """The unweighted metric, times the size of the inputs."""
    everywhere = pair._replace(widths=zeros(pair.widths) + 1)
    _require_signs(everywhere.changes(), "path-metric")
    gap = l1_gap(everywhere, "auto", max_paths)
    if not gap.exact:
        raise PathCountError(
            f"method: 'path-metric' needs the metric itself, and there are more than max_paths={max_paths} paths; "
            "raise max_paths, or use 'meet'"
        )
    reach = restored(pair.widths).max(keepdims=True)
    if any(node.biases for node in pair.net.dag.nodes):
        reach = np.maximum(reach, zeros(reach) + 1)
    return product(gap.upper, reach)


def _require_signs(changes: PathChanges, method: Method) -> None:
    if changes.even.any():
        raise ParameterError(
            f"method: {method!r} needs paths with no sign flip or an odd number of them, got an even number on some "
            "path; use 'auto', 'general-signs' or 'meet'"
        )


def _sign_metric(pair: Pair, changes: PathChanges, max_paths: int) -> Array | None:
    """The metric with sums instead of differences on paths with flips, per output; None if it cannot be computed."""
    if not changes.mixed.any():
        return total(*meet_sums(pair))
    if not has_few_paths(pair.net, max_paths):
        return None
    return restored(object_array(sum(each.without_signs().tolist()) for each in differences(pair, max_paths)))


def _max_telescope(pair: Pair) -> Array:
    """The smaller of the two telescoped bounds with maxima at pools, per output."""
    here, there = (_as_ends(telescoped(one, pools="max"), one) for one in (pair, pair.swapped()))
    return np.minimum(here, there)


def _as_ends(bounds: Array, pair: Pair) -> Array:
    """Upper ends that can be compared: Fractions on exact networks, else floats."""
    return bounds if pair.is_exact else upper_floats(bounds)
