"""What a generalisation bound says: its constants, the stratum of the radius, one bound per margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pathgraph.generalization.peeling import ConstantName, PeelingConstants

__all__ = ["EarlierBound", "GeneralizationBound", "MarginBound", "Stratum", "exponential", "times"]


@dataclass(frozen=True)
class Stratum:
    r"""The cell of a geometric grid of radii that a path-norm fell into, and the bound for that cell.

    Attributes
    ----------
    radius : float
        The upper end :math:`r_k` of the cell, or of a larger one where the bound is better.
    index : int
        k, possibly negative: the radii are the powers :math:`\rho^k`.
    weight : float
        The share :math:`2 / (3(|k|+1)(|k|+2))` of the confidence; the shares sum to 1.
    complexity, deviation : float
        :math:`4\sigma L C r_k / n`, and :math:`\sqrt{\log(1/(\delta\,\text{weight}))/(2n)}`; the latter is
        three times the same with 2 in place of 1 if sigma comes from the data.

    Examples
    --------
    >>> import pathgraph as pg
    >>> bound = pg.generalization_bound(pg.from_weights([[[3.0]]]), 100, ratio=2)
    >>> bound.stratum.index, bound.stratum.radius
    (2, 4.0)
    """

    radius: float
    index: int
    weight: float
    complexity: float
    deviation: float

    @property
    def gap(self) -> float:
        """Complexity and deviation: the bound on risk - empirical risk."""
        return self.complexity + self.deviation


@dataclass(frozen=True)
class MarginBound:
    r"""A bound on the top-1 error, at one margin.

    Attributes
    ----------
    quantile : float
        The share of the training margins below which this one was looked for.
    margin : float
    training : float
        The fraction of the training samples with a smaller margin.
    complexity : float
        :math:`4 \sigma \sqrt 2\, C r / (n \gamma)`, :math:`\gamma` being the margin.
    stratum : Stratum
        Of the path-norm over the margin.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1.0], [-1.0]]])
    >>> found = pg.generalization_bound(net, data=[[1.0], [-1.0]], labels=[0, 1]).margins
    >>> found[0].margin, found[0].training, found[0].is_vacuous
    (2.0, 0.0, True)
    """

    quantile: float
    margin: float
    training: float
    complexity: float
    stratum: Stratum

    @property
    def expected(self) -> float:
        """Training + complexity: bounds the *expected* top-1 error, had norm and margin been fixed before the data."""
        return self.training + self.complexity

    @property
    def uniform(self) -> float:
        """Training + stratum: bounds the top-1 error with confidence, for all networks and margins at once."""
        return self.training + self.stratum.gap

    @property
    def is_vacuous(self) -> bool:
        """Whether the uniform bound says nothing: at least 1."""
        return self.uniform >= 1


@dataclass(frozen=True)
class EarlierBound:
    """The order of a bound from earlier work, for comparison: its constant is not known here, and set to 1.

    Attributes
    ----------
    name, reference, formula : str
    order : float or None
        The formula times the same sigma, Lipschitz constant and sample size; None where it is undefined.
    objections : tuple of str
        Hypotheses of that bound that the network does not meet.

    Examples
    --------
    >>> import pathgraph as pg
    >>> [bound.name for bound in pg.generalization_bound(pg.from_weights([[[3.0]]]), 100).earlier]
    ['Neyshabur et al. 2015', 'Golowich et al. 2018', 'Barron and Klusowski 2019']
    """

    name: str
    reference: str
    formula: str
    order: float | None
    objections: tuple[str, ...]


@dataclass(frozen=True)
class GeneralizationBound:
    r"""A generalisation bound, with every constant in it; made by `generalization_bound`.

    Attributes
    ----------
    constants : PeelingConstants
        D, K, P, the numbers of inputs and outputs, the stages.
    constant : {"staged", "theorem", "sharpened"}
        Which C was used.
    C : float
    n_samples : int
    sigma : float
    sigma_from_data : bool
        Whether sigma is that of the sample, and not a bound on that of the law.
    loss : str
    lipschitz : float
        L.
    log_path_norm : float
        Of the network; that of the radius if there is no network.
    log_radius : float
        The logarithm of r.
    radius_given : bool
        Whether the caller fixed r; else r is the path-norm, which depends on the data if the network does.
    first_factor : float
        :math:`4 \sigma C / n`.
    gap : float
        :math:`4 \sigma C L r / n`, infinite if that is beyond floats; see `log_gap`.
    delta, ratio : float
        Of the stratified statements: the probability that they fail, and the ratio of the grid.
    stratum : Stratum
        The stratified bound on the gap, at the path-norm, for a loss with values in [0, 1].
    margins : tuple of MarginBound
    earlier : tuple of EarlierBound
    statements : dict
        What exactly "gap", "stratum" and "margins" say, each for itself.

    Examples
    --------
    >>> import pathgraph as pg
    >>> bound = pg.generalization_bound(pg.from_weights([[[1.0, -2.0], [3.0, 1.0]], [[1.0, 1.0]]]), 10_000)
    >>> bound
    GeneralizationBound(gap <= 0.571 in expectation, for a radius fixed at 7 before the data; ...)
    >>> bound.lipschitz == 2**0.5, bound.is_vacuous
    (True, False)
    """

    constants: PeelingConstants
    constant: ConstantName
    C: float
    n_samples: int
    sigma: float
    sigma_from_data: bool
    loss: str
    lipschitz: float
    log_path_norm: float
    log_radius: float
    radius_given: bool
    first_factor: float
    gap: float
    delta: float
    ratio: float
    stratum: Stratum
    margins: tuple[MarginBound, ...]
    earlier: tuple[EarlierBound, ...]

    @property
    def log_gap(self) -> float:
        """The natural logarithm of the gap, which may be beyond floats."""
        return log(self.first_factor * self.lipschitz) + self.log_radius

    @property
    def is_vacuous(self) -> bool:
        """Whether no statement says anything about a loss with values in [0, 1]: the margins', or else the gap."""
        return all(found.is_vacuous for found in self.margins) if self.margins else self.gap >= 1

    @property
    def statements(self) -> dict[str, str]:
        """What the numbers bound, and when."""
        law = "sigma is that of this sample: " if self.sigma_from_data else ""
        r = "" if self.radius_given else "; here r is the path-norm of the network: no statement about it"
        sure = f"with probability at least {1 - self.delta:g}, for all networks"
        if self.constants.is_proved(self.constant) is False:
            law, sure = (f"if C, which is smaller than what is proved here, is valid: {part}" for part in (law, sure))
        return {
            "gap": f"{law}the expectation of (risk - empirical risk) is at most {'that of ' if law else ''}gap, for "
            f"any estimator with path-norm at most r, and r fixed before the data{r}",
            "stratum": f"{sure} at once, and a loss with values in [0, 1] that is {self.lipschitz:.6g}-Lipschitz: "
            "risk - empirical risk <= stratum.gap",
            "margins": f"{sure} and margins at once: top-1 error <= uniform; expected is a bound in expectation for a "
            "norm and a margin fixed before the data",
        }

    def __repr__(self) -> str:
        fixed = f"a radius fixed at {exponential(self.log_radius):.4g} before the data"
        vacuous = ", vacuous" if self.is_vacuous else ""
        top = min((found.uniform for found in self.margins), default=None)
        high = f"top-1 error <= {top:.3g}" if top is not None else f"<= {self.stratum.gap:.3g} for a loss in [0, 1]"
        return (
            f"GeneralizationBound(gap <= {self.gap:.3g} in expectation, for {fixed}; {high} with probability "
            f"{1 - self.delta:g}, for all networks{vacuous})"
        )


def log(number: float) -> float:
    """The natural logarithm, minus infinity for 0."""
    return math.log(number) if number > 0 else -math.inf


def exponential(logarithm: float) -> float:
    """The exponential; infinite beyond floats, and a small positive number instead of an underflow."""
    if logarithm > 709:
        return math.inf
    return math.exp(max(logarithm, -708)) if logarithm > -math.inf else 0.0


def times(factor: float, logarithm: float) -> float:
    """A factor times the exponential of a logarithm, neither overflowing nor vanishing on the way."""
    if abs(logarithm) < 600:
        return factor * math.exp(logarithm)
    return exponential(log(factor) + logarithm)
