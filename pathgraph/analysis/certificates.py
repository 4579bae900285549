"""Scores of the parameters, and certificates beside what is seen: pruning, and rounding the weights to fewer bits.

Each certificate bounds the l1 change of the output over the box of inputs, in real arithmetic. Beside it stands the
largest change that random inputs and corners of the box showed: a bound far above it is no estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import pathgraph as pg
from pathgraph.analysis.formats import FixedPoint, Float, Format
from pathgraph.analysis.model import Model
from pathgraph.analysis.results import Analysis, Certificate, LeftOut, Outputs, ScoreRow
from pathgraph.errors import PathgraphError

__all__ = ["Run", "Settings", "Trials", "precision", "prune_by_shares", "score"]

SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
BITS = (3, 4, 6, 8, 12, 16, 24)
FORMATS = ("fp16", "bf16", "e4m3", "e5m2")
MAX_REFINED = 20_000_000
"""Of larger models, silent neurons are not looked for, and fewer certificates are computed."""

MAX_RIGOROUS = 200_000
"""Networks of more edges get bounds that do not enclose their own round-off."""

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Settings:
    """What is computed.

    Attributes
    ----------
    box : number or ndarray of shape (n_inputs,)
        Half-widths.
    qs : tuple of number
    seed : int
        Of the random inputs.
    trials : int or None
        How many random inputs; None: by the size of the model.
    shares : tuple of number or None
        Of the weights that are pruned; None: by the size of the model.
    bits : tuple of int or None
        Of fixed-point weights; likewise.
    formats : tuple of str or None
        Names in `FLOAT_NAMES`; likewise.
    samples : int or None
        For the generalisation bound.
    exact : bool
        Whether all but the random inputs is computed in rationals.
    certificates : bool
        Whether pruning and rounding are certified.

    Examples
    --------
    >>> from pathgraph.analysis.certificates import Settings
    >>> Settings(trials=3).for_size(10**9).bits
    (8,)
    """

    box: Any = 1.0
    qs: tuple[float, ...] = (1, 2, 4)
    seed: int = 0
    trials: int | None = None
    shares: tuple[float, ...] | None = None
    bits: tuple[int, ...] | None = None
    formats: tuple[str, ...] | None = None
    samples: int | None = None
    exact: bool = False
    certificates: bool = True

    def for_size(self, n_edges: int) -> Settings:
        """The same with every choice made: fewer of each for models with more edges."""
        if n_edges <= 200_000:
            chosen: tuple[Any, ...] = (64, SHARES, BITS, FORMATS)
        elif n_edges <= MAX_REFINED:
            chosen = (16, (0.01, 0.1, 0.3, 0.5, 0.9), (4, 6, 8, 16), FORMATS)
        else:
            chosen = (2, (0.5,), (8,), ("bf16",))
        names = ("trials", "shares", "bits", "formats")
        missing = {n: c for n, c in zip(names, chosen, strict=True) if getattr(self, n) is None}
        return replace(self, **missing)

    def fewer_than(self, usual: Settings) -> list[str]:
        """What there is less of than usual, in words."""
        words = {
            "trials": "random inputs",
            "shares": "shares to prune",
            "bits": "numbers of bits",
            "formats": "formats",
        }
        found = []
        for name, what in words.items():
            ours, theirs = getattr(self, name), getattr(usual, name)
            gone = theirs - ours if name == "trials" else len([one for one in theirs if one not in ours])
            if gone > 0:
                found.append(f"{gone} of {theirs if name == 'trials' else len(theirs)} {what}")
        return found


@dataclass
class Run:
    """An analysis under way: what was found so far, and how failures are written down."""

    model: Model
    settings: Settings
    analysis: Analysis
    say: Callable[[str], None] = field(default=lambda text: None)
    constants: pg.PeelingConstants | None = None

    @property
    def box(self) -> Any:
        """The box, in the scalars and shapes of the model."""
        return self.model.box(self.settings.box)

    def attempt(self, what: str, compute: Callable[[], Any]) -> Any:
        """The result; or None, and the reason is among what was left out."""
        try:
            return compute()
        except (PathgraphError, OverflowError) as error:
            self.leave_out(what, str(error))
        except MemoryError:
            self.leave_out(what, "there is not enough memory")
        return None

    def leave_out(self, what: str, why: str) -> None:
        """Write down that something was not computed."""
        self.analysis.left_out.append(LeftOut(what, why))

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add up the seconds of a part."""
        self.say(part)
        started = perf_counter()
        try:
            yield
        finally:
            self.analysis.seconds[part] = self.analysis.seconds.get(part, 0.0) + perf_counter() - started


class Trials:
    """Inputs of the box and the outputs of the model on them.

    Half of the inputs are uniform in the box, half are corners, where changes are larger.

    Attributes
    ----------
    x : ndarray, shape (n, n_inputs)
    y : ndarray, shape (n, n_outputs)
    """

    def __init__(self, model: Model, widths: Any, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        unit = rng.uniform(-1, 1, (n, model.n_inputs))
        unit[n // 2 :] = np.sign(unit[n // 2 :])
        self.model, self.rng, self.widths = model, rng, np.broadcast_to(widths, (model.n_inputs,))
        self.x = unit * self.widths
        self.y = model.outputs(model.net, self.x)

    def change(self, other: Any) -> float:
        """The largest l1 difference between the outputs of the model and of another on the same inputs."""
        return float(np.abs(self.y - self.model.outputs(other, self.x)).sum(axis=1).max(initial=0.0))

    def slope(self) -> float:
        """The largest l1 change of the output over the largest change of an input coordinate, at nearby inputs."""
        step = float(self.widths.max(initial=0.0)) * 2.0**-10 or 2.0**-10
        moved = self.model.outputs(self.model.net, self.x + step * self.rng.choice([-1.0, 1.0], self.x.shape))
        near = np.abs(moved - self.y).sum(axis=1).max(initial=0.0) / step
        gaps = np.abs(self.x[1:] - self.x[:-1]).max(axis=1, initial=0.0)
        far = np.abs(self.y[1:] - self.y[:-1]).sum(axis=1)[gaps > 0] / gaps[gaps > 0]
        return float(max(near, far.max(initial=0.0)))

    def summary(self) -> Outputs:
        """Sizes and margins of the outputs."""
        sizes = np.abs(self.y).sum(axis=1)
        margin = None
        if self.y.shape[1] > 1:
            top = np.sort(self.y, axis=1)[:, -2:]
            margin = float(np.median(top[:, 1] - top[:, 0]))
        return Outputs(len(self.x), float(sizes.mean()), float(sizes.max()), margin)


def score(run: Run) -> None:
    """Path-magnitudes, by tensor or level."""
    found = run.attempt("scores", lambda: (float(pg.path_norm(run.model.net)), pg.path_magnitude(run.model.net)))
    if found is None:
        return
    norm, scores = found[0], np.asarray(run.model.flat(found[1]), dtype=np.float64)
    if not norm:
        log = pg.log_path_norm(run.model.net)
        why = "the path-norm is 0: no path has a non-zero product"
        run.leave_out("scores by layer", f"the path-norm is exp({log:.6g}), below all floats" if log > -np.inf else why)
        return
    relative = scores / norm
    run.analysis.quantiles = {q: float(np.quantile(relative, q)) for q in QUANTILES} if len(relative) else {}
    for group in run.model.groups:
        own = np.sort(relative[group.places].ravel())[::-1]
        total = float(own.sum())
        holds = 1 + int(np.searchsorted(np.cumsum(own), total / 2)) if total else 0
        run.analysis.scores.append(
            ScoreRow(
                name=group.name,
                size=len(own),
                share=total,
                zeros=float((own == 0).mean()),
                median=float(np.median(own)),
                largest=float(own[0]),
                half=min(holds, len(own)) / len(own),
            )
        )


def prune_by_shares(run: Run, trials: Trials | None) -> None:
    """Remove the weights with the least path-magnitude, a share at a time, each from the whole model."""
    for share in run.settings.shares or ():
        found = run.attempt(f"pruning {100 * share:g}% of the weights", partial(_pruned, run, trials, float(share)))
        if found is not None:
            run.analysis.pruning.append(found)


def _pruned(run: Run, trials: Trials | None, share: float) -> Certificate:
    result = pg.prune(run.model.net, share, inputs=run.box)
    gone = (result.net.theta == 0) & (run.model.theta != 0)
    by_group = {group.name: float(gone[group.places].mean()) for group in run.model.groups if not group.is_bias}
    name, removed = f"{100 * share:g}%", int(gone.sum())
    return _certificate(trials, result.net, result.certificate, name, removed, amount=share, by_group=by_group)


def precision(run: Run, trials: Trials | None) -> None:
    """Round all parameters to each number format."""
    formats: Sequence[Format] = [
        *(Float(name) for name in run.settings.formats or ()),
        *(FixedPoint(bits) for bits in sorted(run.settings.bits or (), reverse=True)),
    ]
    for one in formats:
        found = run.attempt(f"rounding to {one.name}", partial(_rounded, run, trials, one))
        if found is not None:
            run.analysis.precision.append(found)


def _rounded(run: Run, trials: Trials | None, one: Format) -> Certificate:
    theta = run.model.theta
    rounded = one.rounded(theta, [group.places for group in run.model.groups])
    other = run.model.with_floats(rounded)
    bound, changed = _rounding_bound(run, other), int((rounded != theta).sum())
    saturated = one.saturated(theta)
    return _certificate(trials, other, bound, one.name, changed, bits=one.bits, saturated=saturated)


def _rounding_bound(run: Run, other: Any) -> pg.Bound:
    """The rigorous bound, for networks of neurons that are not too large; else the one that does not enclose itself.

    Rounding moves parameters either way on nearly every path, so that the bound by the meet is the one that applies; on
    large models nothing else is tried.
    """
    if not run.model.is_layered and run.model.n_edges <= MAX_RIGOROUS:
        return pg.certify(run.model.net, other, inputs=run.box)
    if run.model.n_edges > MAX_REFINED:
        return pg.parameter_lipschitz(run.model.net, other, inputs=run.box, method="meet", drop_silent=False)
    return pg.parameter_lipschitz(run.model.net, other, inputs=run.box)


def _certificate(
    trials: Trials | None, other: Any, bound: pg.Bound, name: str, changed: int, **more: Any
) -> Certificate:
    seen = float(bound.lower)
    if trials is not None and changed:
        seen = max(seen, trials.change(other))
    return Certificate(name, float(bound.upper), seen, bound.method, bound.rigorous, changed, **more)
