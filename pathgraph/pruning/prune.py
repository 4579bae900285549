"""Pruning: choose parameters, set them to zero, and say how far the outputs can move."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import Inputs, exponent, natural
from pathgraph.bounds import Bound
from pathgraph.errors import ParameterError
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.network import Network, require_network
from pathgraph.metrics.output_bounds import output_bound
from pathgraph.pruning.layers import layer_arrays
from pathgraph.pruning.masses import Moduli
from pathgraph.pruning.minimization import minimize
from pathgraph.pruning.neurons import remove_neurons
from pathgraph.pruning.scores import METHODS, score_of
from pathgraph.pruning.selection import greedy, in_rounds
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, frozen, object_array
from pathgraph.shown import argument_text, number_text

__all__ = ["PruningResult", "prune"]

Strategy = Literal["one-shot", "iterative", "greedy"]
ROUNDS = {"one-shot": 1, "greedy": 1, "iterative": 10, "synflow": 100}


@dataclass(frozen=True, eq=False, repr=False)
class PruningResult:
    """A pruned network, and what is known about it.

    Attributes
    ----------
    net : Network or LayerGraph
        The same architecture, with zeros.
    mask : ndarray of bool, shape (n_parameters,), or dict
        False at the parameters in scope that are zero now, whether they were before or not, and True at those that are
        kept, as in the masks of PyTorch. For a layer graph a dict, from the names of the parameters to arrays of their
        shapes.
    removed : sequence
        The names of the parameters that were set to zero, in the order of their removal; see `Network.parameters`. Of a
        layer graph they are (tensor, index...).
    neurons : tuple
        The hidden neurons that were removed, in order: for the method "neurons", empty otherwise. Of a layer graph the
        channels, named (layer, channel).
    certificate : Bound
        On the change of the output over the box of inputs.
    method : str
    scope : ndarray of bool, shape (n_parameters,), or dict
        The weights; the biases if they were asked for, or went with their neuron.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> result = pg.prune(net, 2)
    >>> result
    PruningResult(2 parameters removed by path-magnitude, 4 of 6 in scope remain; outputs change by <= 2.0 on the box)
    >>> list(result.removed), result.mask.tolist()
    ([((0, 0), (1, 0)), ((0, 1), (1, 1))], [False, True, True, True, False, True, True, True])
    >>> result.minimize().nodes
    ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0))
    """

    net: Any
    mask: Any
    removed: Sequence[Any]
    neurons: tuple[Hashable, ...]
    certificate: Bound
    method: str
    scope: Any

    def masks(self, name: Literal["weight", "bias"] = "weight") -> dict[int, Array]:
        """The mask as one array per layer, for networks made by `from_weights`; see `layer_arrays`.

        ``torch.nn.utils.prune.custom_from_mask(linear, name, torch.tensor(mask))`` takes them.

        Returns
        -------
        dict from int to ndarray of bool
            Of shape (n_outputs, n_inputs) for weights, (n_outputs,) for biases.

        Raises
        ------
        GraphError
            If the network is no such perceptron. A layer graph has its masks by name already, in `mask`.
        """
        require_network(self.net)
        return layer_arrays(self.net, self.mask, name)

    def minimize(self) -> Network:
        """A smaller network with the same function: see `pathgraph.minimize`."""
        require_network(self.net)
        return minimize(self.net)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PruningResult):
            return NotImplemented
        return (
            self.net == other.net
            and np.array_equal(self._flat(self.mask), other._flat(other.mask))
            and np.array_equal(self._flat(self.scope), other._flat(other.scope))
            and list(self.removed) == list(other.removed)
            and (self.neurons, self.certificate, self.method) == (other.neurons, other.certificate, other.method)
        )

    __hash__ = None  # type: ignore[assignment]

    def _flat(self, mask: Any) -> Array:
        return np.asarray(self.net.architecture.aligned(mask, "mask"), dtype=bool)

    def __repr__(self) -> str:
        count, mask, scope = len(self.removed), self._flat(self.mask), self._flat(self.scope)
        by = f"{count} parameter{'' if count == 1 else 's'} removed by {self.method}"
        if self.neurons:
            by = f"{len(self.neurons)} neuron{'' if len(self.neurons) == 1 else 's'} removed, {count} parameters"
        left = f"{int((mask & scope).sum())} of {int(scope.sum())} in scope remain"
        upper = self.certificate.upper
        shown = number_text(upper, rounding=ROUND_CEILING)
        return f"PruningResult({by}, {left}; outputs change by <= {shown} on the box)"


def prune(
    net: ReluNetwork,
    amount: float | int | Fraction,
    method: str = "path-magnitude",
    *,
    strategy: Strategy = "one-shot",
    rounds: int | None = None,
    biases: bool = False,
    inputs: Inputs | None = None,
    gradient: ArrayLike | Sequence[Any] | None = None,
    hessian_diagonal: ArrayLike | Sequence[Any] | None = None,
    r: float = 1,
    per_output: bool = False,
) -> PruningResult:
    r"""Set the least important parameters to zero, and certify how far the outputs move.

    Parameters
    ----------
    net : Network or LayerGraph
    amount : float, Fraction or int
        A float or Fraction in [0, 1]: the share of the non-zero parameters in scope (or, by neuron, of the hidden
        neurons that can be removed) to remove, rounded. An int: that number. So 1 is one parameter, 1.0 are all.
    method : {"path-magnitude", "neurons", "magnitude", "synflow", "snip", "obd"}
        The scores are those of `importance_scores`. "neurons" removes whole hidden neurons, by the mass of the paths
        through them; of a layer graph whole channels.
    strategy : {"one-shot", "iterative", "greedy"}
        "iterative" scores anew in every round, "greedy" after every removal; only for "path-magnitude", and
        "iterative" for "neurons" too. "synflow" is always iterative.
    rounds : int, optional
        Of the iterative methods: 10 by default, 100 for "synflow". The share that is kept shrinks by one factor per
        round.
    biases : bool
        Whether biases may be removed, too; a parameter tied at a bias counts as one. With False they stay, and still
        count in the paths that start at them.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs, for the certificate and for path-magnitudes; ones by default.
    gradient, hessian_diagonal : array_like, shape (n_parameters,), optional
        For "snip" and "obd": aligned with ``net.theta``.
    r, per_output : number in [1, inf], bool
        The norm in which the certificate measures the output; or one bound per output.

    Returns
    -------
    PruningResult

    Raises
    ------
    ParameterError
        On an amount out of range, unknown or contradictory options, gradients that are missing, superfluous, of a wrong
        shape or not finite, and greedy searches that would take hours.
    RangeError
        If the certificate leaves the range of floats.
    UnsupportedOperatorError
        On a symbolic network.

    Notes
    -----
    Frozen and structural values are never removed. Zeros are not removed again: they do not count in `amount`, and
    are False in the mask, so that pruning by 20 % twice leaves 64 %. Equal scores go by their order in ``net.theta``.

    The certificate is the path-metric :math:`\|\Phi(\theta)-\Phi(\theta')\|_{1,r}`, its paths weighted by the box; it
    is computed exactly, since pruning keeps signs and shrinks moduli, and bounds the change of the output over the
    box. It is attained, for instance, by networks with non-negative parameters and no pools. On exact networks it is
    `rigorous` for an integer r up to 64 and for infinity, rounded upward where the norm is no rational.

    The greedy choice is exact: every removal has the smallest cost at its time. It needs up to one scoring per
    removal, two sweeps; the other strategies need one scoring per round. A round of synflow takes a second on a
    ResNet-18 with 224 x 224 images: pools keep one of equal candidates, so that positions are not equal on the way
    back.

    References
    ----------
    arXiv 2405.15006 (path-magnitude and the bound), 2006.05467 (synflow), 1810.02340 (snip); LeCun, Denker, Solla,
    Optimal brain damage, 1989 (obd). The greedy choice, the removal of neurons and the weights of the box are derived
    here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.prune(net, 0.5).net.theta
    array([0., 0., 0., 3., 0., 5., 1., 1.])
    >>> pg.prune(net, 1, "neurons").neurons
    ((1, 0),)
    """
    require_network_of_numbers(net, "prune")
    _check(method, strategy, rounds, biases)
    r = exponent(r, "r", least=1)
    names = {"gradient": gradient, "hessian_diagonal": hessian_diagonal}
    score = score_of(net, "path-magnitude" if method == "neurons" else method, **names)
    moduli = Moduli(net, inputs)
    turns = rounds or ROUNDS["synflow" if method == "synflow" else strategy]
    scope = scope_of(net, biases)
    gone: tuple[Hashable, ...] = ()
    if method == "neurons":
        remove = remove_neurons if isinstance(net.architecture, Architecture) else _remove_channels
        chosen, gone = remove(moduli, lambda n: _count(amount, n, "hidden neurons that can be removed"), turns)
    else:
        theta = moduli.values[net.architecture.first_entry]
        candidates = np.flatnonzero(scope & (theta != 0))
        count = _count(amount, len(candidates), f"non-zero {'parameters' if biases else 'weights'}")
        if strategy == "greedy":
            chosen = greedy(moduli, candidates, count)
        else:
            chosen = in_rounds(lambda: score(moduli), moduli.remove, candidates, count, turns)
    return _result(net, chosen, scope, gone, method, inputs, r, per_output)


def _remove_channels(*args: Any) -> tuple[Array, tuple[Hashable, ...]]:
    from pathgraph.pruning.channels import remove_channels  # layers are loaded by those who use them

    return remove_channels(*args)


def scope_of(net: ReluNetwork, biases: bool) -> Array:
    """The parameters that stand at edges alone, or all of them."""
    architecture = net.architecture
    scope = np.ones(architecture.n_parameters, dtype=bool)
    if not biases:
        owner = architecture.parameter[architecture.at_bias]
        scope[owner[owner >= 0]] = False
    return scope


def _check(method: Any, strategy: Any, rounds: Any, biases: Any) -> None:
    if method not in (*METHODS, "neurons"):
        raise ParameterError(
            f"method: needed one of {', '.join(map(repr, (*METHODS, 'neurons')))}, got {argument_text(method)}"
        )
    if strategy not in get_args(Strategy):
        raise ParameterError(
            f"strategy: needed one of {', '.join(map(repr, get_args(Strategy)))}, got {argument_text(strategy)}"
        )
    allowed = {"path-magnitude": get_args(Strategy), "neurons": ("one-shot", "iterative")}
    if strategy not in allowed.get(method, ("one-shot",)):
        raise ParameterError(
            f"strategy: {method!r} "
            + ("has a schedule of its own" if method == "synflow" else f"cannot be {strategy!r}")
            + "; leave strategy out"
        )
    if rounds is not None:
        natural(rounds, "rounds", least=1)
        if strategy != "iterative" and method != "synflow":
            raise ParameterError("rounds: only strategy='iterative' and method='synflow' have rounds; leave it out")
    if not isinstance(biases, (bool, np.bool_)):
        raise ParameterError(f"biases: needed True or False, got {argument_text(biases)}")
    if biases and method in ("neurons", "synflow"):
        why = "a neuron takes its bias with it" if method == "neurons" else "its score ignores biases"
        raise ParameterError(f"biases: {method!r} takes no biases=True: {why}")


def _count(amount: Any, n: int, what: str) -> int:
    """How many of n to remove."""
    if isinstance(amount, (bool, np.bool_)) or not isinstance(amount, (int, float, Fraction, np.integer, np.floating)):
        raise ParameterError(f"amount: needed a share in [0, 1] or an integer, got {argument_text(amount)}")
    if isinstance(amount, (int, np.integer)):
        if not 0 <= amount <= n:
            raise ParameterError(
                f"amount: needed at most {n}, the number of {what}, and at least 0, got {number_text(amount)}"
            )
        return int(amount)
    if not 0 <= amount <= 1:
        raise ParameterError(
            f"amount: needed a share in [0, 1], got {argument_text(amount)}; write an integer for a number"
        )
    return round(Fraction(amount) * n) if isinstance(amount, Fraction) else round(Fraction(float(amount)) * n)


def _result(
    net: ReluNetwork,
    chosen: Array,
    scope: Array,
    neurons: tuple[Hashable, ...],
    method: str,
    inputs: Inputs | None,
    r: Any,
    per_output: bool,
) -> PruningResult:
    architecture = net.architecture
    hit = np.zeros(architecture.n_parameters, dtype=bool)
    hit[chosen] = True
    scope = scope | hit
    chosen = chosen[net.theta[chosen] != 0]  # those that were zero before are not removed again
    moduli = Moduli(net, inputs)
    values = net.values.copy()
    values[moduli.entries_of(hit)] = Fraction(0) if net.is_exact else 0
    pruned = net.with_values(values)
    costs = moduli.set_costs(hit)
    nothing = object_array([Fraction(0)] * len(costs)) if net.is_exact else np.zeros(len(costs))
    certificate = output_bound(nothing[None], costs, r, per_output, net.is_exact, "weighted-metric", "prune")
    if per_output:
        frozen(certificate.lower), frozen(certificate.upper)
    mask, scope = (architecture.arranged(frozen(each)) for each in (~(scope & (pruned.theta == 0)), scope))
    return PruningResult(pruned, mask, architecture.names_of(chosen), neurons, certificate, method, scope)
