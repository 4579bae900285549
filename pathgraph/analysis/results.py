"""What an analysis found: plain numbers and words, no text layout."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from pathgraph.layer_rows import LayerRow

__all__ = [
    "Analysis",
    "Certificate",
    "Generalization",
    "LayerRow",
    "LeftOut",
    "Lipschitz",
    "Norm",
    "OutputNorm",
    "Outputs",
    "ScoreRow",
    "Summary",
]

PRINTABLE = 10**4000
"""Larger integers are given by their logarithm alone."""


@dataclass(frozen=True)
class Summary:
    """Sizes.

    Attributes
    ----------
    resolution : {"neurons", "layers"}
    scalars : str
        Of the file.
    inputs, outputs : str
    n_inputs, n_outputs, n_neurons, n_edges, n_parameters, n_zeros : int
        `n_zeros` counts the parameters that are zero.
    paths : int
        The exact number of paths.
    depth_in_edges, depth_in_activations : int or None
        The most edges on a path; 1 + the most ReLU and pool neurons on a path.
    largest_pool : int
        The most candidates of a pool; 1 if there is none.
    layers : list of LayerRow
    notes : tuple of str
        What the importer left out or changed.
    """

    resolution: str
    scalars: str
    inputs: str
    outputs: str
    n_inputs: int
    n_outputs: int
    n_neurons: int
    n_edges: int
    n_parameters: int
    n_zeros: int
    paths: int
    depth_in_edges: int
    depth_in_activations: int | None
    largest_pool: int | None
    layers: list[LayerRow]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Norm:
    """A path-norm; `value` is None where it is beyond floats, `log` is its natural logarithm."""

    q: float
    value: float | None
    log: float


@dataclass(frozen=True)
class OutputNorm:
    """The l1 path-norm of one output, and its share of that of all outputs."""

    name: str
    log: float
    share: float


@dataclass(frozen=True)
class Outputs:
    """What the outputs look like on random inputs of the box.

    Attributes
    ----------
    trials : int
    size : float
        The mean l1 norm of the output.
    largest : float
        The largest l1 norm.
    margin : float or None
        The median difference of the two largest outputs; None with one output.
    """

    trials: int
    size: float
    largest: float
    margin: float | None


@dataclass(frozen=True)
class Lipschitz:
    """Bounds on the l1 change of the output over the largest change of an input coordinate.

    Attributes
    ----------
    bounds : dict
        By method, the smallest first.
    worst_output : float
        The best bound for the change of one output.
    product : float or None
        Of the operator norms of the layers on the supremum norm, which bounds the worst output without biases.
    product_reason : str
        Why there is none.
    seen : float
        The largest quotient that random pairs of inputs gave.
    """

    bounds: dict[str, float]
    worst_output: float
    product: float | None
    product_reason: str
    seen: float


@dataclass(frozen=True)
class Generalization:
    """The terms of the path-norm generalisation bound.

    Attributes
    ----------
    depth, pool_size, pool_types : int
        D, K and P.
    constants : dict
        C by name.
    lipschitz : float
        Of the loss: the cross-entropy.
    log10_samples_needed : float
        The decimal logarithm of the number of samples beyond which the bound on the expected gap is below 1.
    n_samples : int or None
    gap, stratum : float or None
        With that many samples: the bound on the expected gap, and the one with probability 95 % for all networks.
    """

    depth: int
    pool_size: int
    pool_types: int
    constants: dict[str, float]
    lipschitz: float
    log10_samples_needed: float
    n_samples: int | None = None
    gap: float | None = None
    stratum: float | None = None


@dataclass(frozen=True)
class ScoreRow:
    """Path-magnitudes of the parameters of one tensor or level, relative to the path-norm.

    Attributes
    ----------
    name : str
    size : int
    share : float
        The sum of the scores: the share of the path-norm that crosses these parameters.
    zeros : float
        The share of the parameters with score 0.
    median, largest : float
    half : float
        The least share of the parameters that holds half of the sum.
    """

    name: str
    size: int
    share: float
    zeros: float
    median: float
    largest: float
    half: float


@dataclass(frozen=True)
class Certificate:
    """A bound on the change of the output over the box, beside the largest change that was seen.

    Attributes
    ----------
    name : str
    bits : int or None
        Of a weight, for a number format.
    amount : float or None
        The share of the weights removed, for pruning.
    changed : int
        How many parameters changed.
    saturated : int
        How many lie beyond the largest number of the format.
    bound, seen : float
        On the l1 change of the output, and the largest one at random inputs and corners of the box.
    method : str
        How the bound was found.
    rigorous : bool
        Whether it encloses its own round-off.
    by_group : dict
        The share of the parameters of each tensor or level that was removed.
    """

    name: str
    bound: float
    seen: float
    method: str
    rigorous: bool
    changed: int
    bits: int | None = None
    amount: float | None = None
    saturated: int = 0
    by_group: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The bound over what was seen; infinite if nothing was."""
        if self.bound == 0:
            return 1.0
        return self.bound / self.seen if self.seen > 0 else math.inf


@dataclass(frozen=True)
class LeftOut:
    """Something that was not computed, and why."""

    what: str
    why: str


@dataclass
class Analysis:
    """Everything that `analyse` found.

    Attributes
    ----------
    source : str
        Name of the file.
    box : str
        The box of inputs in words.
    exact : bool
        Whether the arithmetic is rational.
    seed : int
    summary : Summary
    norms : list of Norm
    per_output : list of OutputNorm
        The largest first.
    outputs : Outputs or None
    lipschitz : Lipschitz or None
    generalization : Generalization or None
    scores : list of ScoreRow
    quantiles : dict
        Of all scores over the path-norm, by share of the parameters.
    pruning, precision : list of Certificate
    left_out : list of LeftOut
    seconds : dict
        By part.
    """

    source: str
    box: str
    exact: bool
    seed: int
    summary: Summary
    norms: list[Norm] = field(default_factory=list)
    per_output: list[OutputNorm] = field(default_factory=list)
    outputs: Outputs | None = None
    lipschitz: Lipschitz | None = None
    generalization: Generalization | None = None
    scores: list[ScoreRow] = field(default_factory=list)
    quantiles: dict[float, float] = field(default_factory=dict)
    pruning: list[Certificate] = field(default_factory=list)
    precision: list[Certificate] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Every figure as plain objects that `json` writes.

        Infinities and NaN become None; a number of paths of more than 4000 digits is left to its logarithm.
        """
        document: dict[str, Any] = _plain(asdict(self))
        paths = self.summary.paths
        document["summary"]["paths"] = str(paths) if paths < PRINTABLE else None
        document["summary"]["log10_paths"] = math.log10(paths) if paths else None
        for name in ("pruning", "precision"):
            for row, found in zip(document[name], getattr(self, name), strict=True):
                row["ratio"] = found.ratio if math.isfinite(found.ratio) else None
        return document


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
