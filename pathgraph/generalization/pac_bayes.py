r"""A PAC-Bayes bound for stochastic networks that rescaling does not change.

A stochastic network draws its parameters from a Gaussian law Q each time it is asked. With a prior P **fixed before the
n samples are seen**, and a loss with values in [0, 1], with probability at least :math:`1 - \delta`, for all Q at once,

.. math:: \mathrm{kl}\big(\hat L(Q) \,\big\|\, L(Q)\big)
   \le \frac1n \Big( KL(Q \| P) + \log\frac{2\sqrt n}\delta \Big) ,

where :math:`\mathrm{kl}(p \| q)` is the divergence of two coins. Rescaling the random parameters by any factors, even
ones chosen after seeing the data, gives another law with the same random function, hence the same :math:`L` and
:math:`\hat L`: the bound holds with the smallest divergence of the orbit (`pathgraph.geometry.closest_gaussian`).

The empirical risk :math:`\hat L(Q)` is itself an expectation over draws: it is estimated from some, and bounded with a
confidence of its own. Both inversions of kl are rounded upwards, and so is the divergence.

Sources: the inequality is that of Maurer, arXiv cs/0411099; rescaling in it, arXiv 2509.26149; the minimisation and the
union over scales of the prior, as they are written here, are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import MOST_SAMPLES, classes, generator, natural, number, samples
from pathgraph.errors import ParameterError, RangeError
from pathgraph.generalization.bounds import flattened_samples
from pathgraph.generalization.gaussians import Gaussian, check_law, gaussian_kl
from pathgraph.geometry.closest_gaussian import ClosestGaussian, closest_gaussian
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.network import Network
from pathgraph.resolutions import ReluNetwork, Structure, refuse_device_network, require_network_of_numbers
from pathgraph.scalars import UNIT, Array
from pathgraph.shown import argument_text

__all__ = ["PacBayesBound", "kl_inverse", "pac_bayes_bound"]


@dataclass(frozen=True)
class PacBayesBound:
    """A bound on the risk of a stochastic network, with everything in it; made by `pac_bayes_bound`.

    Attributes
    ----------
    risk : float
        With probability at least ``confidence``, an upper bound on the risk of the stochastic network.
    empirical : float
        The mean error of the draws on the samples.
    empirical_upper : float
        An upper bound on its expectation, that fails with probability at most `delta_draws`.
    divergence : float
        The divergence in the bound, rounded up.
    scale : float
        The scale of the prior that was best.
    n_samples, n_draws, n_scales : int
    delta, delta_draws : float
        Probabilities of failure: of the inequality, over the samples; of the estimate, over the draws.
    rescaled : bool
        Whether the divergence is the smallest of the orbit.
    unrescaled : float
        The same bound on the risk with the law as it was given, at its own best scale.
    closest : ClosestGaussian or None
        The closest law of the orbit, with the factors and the residual of the minimisation.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1.0]], [[1.0], [-1.0]]])
    >>> prior, law = pg.Gaussian([0.0] * 3, 1.0), pg.Gaussian([2.0, 2.0, -2.0], 0.5)
    >>> bound = pg.pac_bayes_bound(net, prior, law, data=[[1.0]] * 100, labels=[0] * 100, rng=0)
    >>> bound.risk < bound.unrescaled < 1, bound.is_vacuous
    (True, False)
    """

    risk: float
    empirical: float
    empirical_upper: float
    divergence: float
    scale: float
    n_samples: int
    n_draws: int
    n_scales: int
    delta: float
    delta_draws: float
    rescaled: bool
    unrescaled: float
    closest: ClosestGaussian | None

    @property
    def confidence(self) -> float:
        """The probability, over samples and draws, with which the bound holds: 1 - delta - delta_draws."""
        return 1 - self.delta - self.delta_draws

    @property
    def is_vacuous(self) -> bool:
        """Whether the bound says nothing."""
        return self.risk >= 1

    @property
    def statement(self) -> str:
        """What exactly holds."""
        return (
            f"with probability at least {self.confidence:g} over the {self.n_samples} samples and the {self.n_draws} "
            f"draws, the network that draws its parameters anew for each input errs with probability at most "
            f"{self.risk:.4g}, if the prior and its {self.n_scales} scale(s) were fixed without these samples"
        )

    def __repr__(self) -> str:
        how = f"KL <= {self.divergence:.5g}{' after rescaling' if self.rescaled else ''}, {self.n_samples} samples"
        shown = f"risk <= {self.risk:.4g} with probability {self.confidence:g}"
        return f"PacBayesBound({shown}; empirical {self.empirical:.4g}, {how}{', vacuous' if self.is_vacuous else ''})"


LEAST = 2.0**-900
"""Smaller means and budgets are raised to this, which the supremum grows with: their products would leave the range."""


def kl_inverse(mean: float, budget: float) -> float:
    r"""An upper bound on the largest p with :math:`\mathrm{kl}(\text{mean} \| p) \le` budget, as tight as floats allow.

    Parameters
    ----------
    mean : number in [0, 1]
    budget : number >= 0
        Infinity is welcome.

    Returns
    -------
    float
        In [mean, 1]; never below the supremum, round-off included.

    Raises
    ------
    ParameterError
        On arguments out of range.

    Notes
    -----
    kl grows with p beyond the mean. Bisection ends at a p where kl is at least the budget even after subtracting a
    bound on the round-off of its evaluation: the quotients, differences and logarithms of its two terms take a few
    units each, 16 are subtracted.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.kl_inverse(0, float("inf")), round(pg.kl_inverse(0, 0.6931471805599453), 12), pg.kl_inverse(1, 0.1)
    (1.0, 0.5, 1.0)
    """
    mean, budget = (
        max(found, LEAST) if found else found
        for found in (number(mean, "mean", "[0, 1]"), number(budget, "budget", "[0, inf]"))
    )

    def surely_reached(p: float) -> bool:
        # mean log(mean / p) + (1 - mean) log((1 - mean) / (1 - p)); a quotient off by a unit moves its logarithm by it.
        first = mean * math.log(mean / p) if mean else 0.0
        if p >= 0.5:  # 1 - p is exact
            second = (1 - mean) * (math.log(1 - mean) - math.log(1 - p))
            slack = abs(math.log(1 - mean)) + abs(math.log(1 - p)) + 1
        else:  # the quotient is near 1: its logarithm from its distance to 1
            second = (1 - mean) * -math.log1p((mean - p) / (1 - mean))
            slack = 3 * second + mean
        return first + second - 16 * UNIT * (abs(first) + slack) >= budget

    if mean == 1:
        return 1.0
    low, high = mean, 1.0
    while True:
        middle = low + (high - low) / 2
        if not low < middle < high:
            return high
        low, high = (low, middle) if surely_reached(middle) else (middle, high)


def pac_bayes_bound(
    net: ReluNetwork | Structure,
    prior: Gaussian,
    posterior: Gaussian,
    *,
    data: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    errors: ArrayLike | None = None,
    n_samples: int | None = None,
    n_draws: int = 1000,
    rng: np.random.Generator | int = 0,
    delta: float = 0.04,
    delta_draws: float = 0.01,
    scales: Sequence[float] = (1.0,),
    rescale: bool = True,
) -> PacBayesBound:
    r"""A bound on the top-1 risk of a stochastic network, the same for all rescalings of its law.

    Parameters
    ----------
    net : Network, LayerGraph or Architecture
        Its parameters do not count; its fixed values do.
    prior : Gaussian
        Fixed without looking at the samples: data-free, or learnt from others.
    posterior : Gaussian
        The law of the network's parameters, which may depend on the samples.
    data, labels : array_like, shape (n, n_inputs) and (n,), optional
        The samples, classes being indices of outputs: the network is evaluated on them `n_draws` times.
    errors : array_like, shape (m,), optional
        Instead of data: losses in [0, 1], computed elsewhere, that are independent given the samples, and whose
        expectations have the empirical risk as their mean. Such are the mean losses on the samples of several draws
        from the posterior; or the loss of each sample with its own draws, as many for each. Needs `n_samples`.
    n_samples : int, optional
    n_draws : int
    rng : numpy.random.Generator or int
    delta, delta_draws : number in (0, 1)
        Probabilities of failure, of the inequality and of the estimate of the empirical risk.
    scales : sequence of numbers > 0
        Multiples of the prior's standard deviations that are tried; each gets an equal share of `delta`. To be fixed
        without the samples.
    rescale : bool
        Whether to take the closest law of the orbit; not for a layer graph, whose theta is that of
        ``net.architecture.parameters``.

    Returns
    -------
    PacBayesBound

    Raises
    ------
    ParameterError
        On laws of other sizes, errors out of [0, 1], labels that are no classes, probabilities out of range.
    RangeError
        If a divergence leaves the range of floats.

    Notes
    -----
    For a prior of mean zero, the divergence is minimised globally: the bound then is a function of the orbit. With
    :math:`\hat p` the mean of m independent errors in [0, 1], its expectation is at most the p with
    :math:`\mathrm{kl}(\hat p \| p) = \log(1/\delta')/m`, with probability :math:`1 - \delta'` (Chernoff, Hoeffding).

    References
    ----------
    arXiv cs/0411099, arXiv 2509.26149.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1.0]], [[1.0]]])
    >>> prior = pg.Gaussian([0.0, 0.0], 1.0)
    >>> for law in (pg.Gaussian([2.0, 2.0], 0.5), pg.Gaussian([8.0, 0.5], [2.0, 0.125])):
    ...     bound = pg.pac_bayes_bound(net, prior, law, errors=[0.0] * 1000, n_samples=100)
    ...     print(f"{bound.risk:.9f} instead of {bound.unrescaled:.3f}")
    0.120765778 instead of 0.121
    0.120765778 instead of 0.352
    """
    refuse_device_network(net)
    if not isinstance(net, (ReluNetwork, Structure)):
        raise ParameterError(f"net: needed a Network, a LayerGraph or an Architecture, got {type(net).__name__}")
    size = net.n_parameters if isinstance(net, Structure) else net.architecture.n_parameters
    check_law(prior, "prior", size)
    check_law(posterior, "posterior", size)
    delta, delta_draws = number(delta, "delta", "(0, 1)"), number(delta_draws, "delta_draws", "(0, 1)")
    if delta + delta_draws >= 1:
        raise ParameterError(f"delta_draws: needed delta + delta_draws < 1, got {delta} + {delta_draws}")
    factors = _scales(scales)
    if not isinstance(rescale, bool):
        raise ParameterError(f"rescale: needed True or False, got {argument_text(rescale)}")
    if rescale and not isinstance(net, (Network, Architecture)):
        raise ParameterError(
            f"rescale: the closest law of the orbit is found neuron by neuron; pass net.expand(), of "
            f"{net.dag.size - 1:,} neurons, or rescale=False"
        )
    if (data is None) == (errors is None):
        raise ParameterError("errors: needed either data= with labels=, or errors= with n_samples=")
    if errors is None:
        means, n = _draw_errors(net, posterior, data, labels, n_draws, generator(rng), n_samples)
    else:
        means, n = _given_errors(errors, labels, n_samples)
    empirical = math.fsum(means.tolist()) / len(means)
    # One-sided; a mean of m numbers is off by a unit or two.
    budget = -math.log(delta_draws) / len(means)
    upper = kl_inverse(min(1.0, empirical * (1 + 4 * UNIT)), budget * (1 + 8 * UNIT))
    confidence = math.log(2) + math.log(n) / 2 - math.log(delta) + math.log(len(factors))

    def risk(divergence: float) -> float:
        return kl_inverse(upper, (divergence + confidence) * (1 + 16 * UNIT) / n)

    priors = [prior.scaled(factor) for factor in factors]
    plain = [_or_infinite(posterior, one) for one in priors]
    closest = (
        [closest_gaussian(net, posterior, one) for one in priors]
        if isinstance(net, (Network, Architecture)) and rescale
        else None
    )
    divergences = [found.divergence for found in closest] if closest is not None else plain
    best = int(np.argmin(divergences))
    return PacBayesBound(
        risk=risk(divergences[best]),
        empirical=empirical,
        empirical_upper=upper,
        divergence=divergences[best],
        scale=factors[best],
        n_samples=n,
        n_draws=len(means),
        n_scales=len(factors),
        delta=delta,
        delta_draws=delta_draws,
        rescaled=rescale,
        unrescaled=risk(min(plain)),
        closest=None if closest is None else closest[best],
    )


# -- the pieces -----------------------------------------------------------------------------------------------------


def _or_infinite(law: Gaussian, prior: Gaussian) -> float:
    try:
        return gaussian_kl(law, prior)
    except RangeError:
        return math.inf


def _draw_errors(
    net: ReluNetwork | Structure,
    posterior: Gaussian,
    data: Any,
    labels: Any,
    n_draws: Any,
    random: np.random.Generator,
    n_samples: Any,
) -> tuple[Array, int]:
    """The mean error of each of some draws, and the number of samples."""
    if not isinstance(net, ReluNetwork):
        raise ParameterError("net: data= needs a Network to evaluate, got an Architecture; give errors= instead")
    require_network_of_numbers(net, "pac_bayes_bound")
    n_draws = natural(n_draws, "n_draws", least=1)
    network = net if net.scalars == "float" else net.to_float()
    rows = samples(flattened_samples(net, data), len(net.dag.inputs), n_samples)
    own = classes(labels, len(rows), len(net.dag.outputs))
    draws = (network.with_theta(posterior.sample(1, random)[0]) for _ in range(n_draws))
    means = [np.mean(np.asarray(draw.rows(rows)).argmax(axis=1) != own) for draw in draws]
    return np.array(means), len(rows)


def _given_errors(errors: Any, labels: Any, n_samples: Any) -> tuple[Array, int]:
    if labels is not None:
        raise ParameterError("labels: with errors= there are no data to label; leave labels out")
    n = natural(n_samples, "n_samples", least=1, most=MOST_SAMPLES)
    try:
        means = np.array(errors, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError("errors: needed numbers in [0, 1]") from None
    if means.ndim != 1 or not len(means):
        raise ParameterError(f"errors: needed numbers in [0, 1], one per draw, got shape {means.shape}")
    for i in np.flatnonzero(~((means >= 0) & (means <= 1)))[:1].tolist():
        raise ParameterError(f"errors: needed numbers in [0, 1], got {means[i]} at {i}")
    return means, n


def _scales(scales: Any) -> list[float]:
    try:
        listed = list(scales)
    except TypeError:
        raise ParameterError(f"scales: needed a sequence of numbers > 0, got {argument_text(scales)}") from None
    if not listed:
        raise ParameterError("scales: needed at least one number > 0, got none")
    return [number(scale, "scales", "(0, inf)") for scale in listed]
