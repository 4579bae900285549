"""Compute everything about one model; no text, no files.

Parts whose hypotheses a model does not meet, or that would take too long at its size, are left out and listed with the
reason. What depends on random inputs depends on the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import pathgraph as pg
from pathgraph.analysis.certificates import Run, Settings, Trials, precision, prune_by_shares, score
from pathgraph.analysis.model import Model
from pathgraph.analysis.results import Analysis, Generalization, Lipschitz, Norm, OutputNorm, Summary
from pathgraph.generalization.peeling import ConstantName

__all__ = ["analyse"]

MAX_PRODUCT = 2_000_000
"""Networks of more edges are not looked at row by row for the product of operator norms."""

TOP = 10
"""Outputs that are listed."""


def analyse(
    net: Any, settings: Settings | None = None, *, source: str = "", progress: Callable[[str], None] | None = None
) -> Analysis:
    """Everything about a network or a layer graph.

    Parameters
    ----------
    net : Network or LayerGraph
    settings : Settings, optional
    source : str
        A name for the model.
    progress : callable, optional
        Receives the name of each part when it starts.

    Returns
    -------
    Analysis

    Raises
    ------
    ParameterError
        If `net` is neither, or the box does not fit it.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from pathgraph.analysis.analyse import analyse
    >>> found = analyse(pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]]))
    >>> found.summary.paths, [norm.value for norm in found.norms if norm.q == 1]
    (4, [7.0])
    >>> [(row.name, round(row.share, 9)) for row in found.scores]
    [('level 1 weights', 1.0), ('level 2 weights', 1.0)]
    """
    settings = settings or Settings()
    model = Model(net)
    scalars = "rationals" if model.is_exact else str(model.given_dtype)
    if settings.exact and not model.is_exact:
        model = Model(net.to_exact())
    asked, settings = settings, settings.for_size(model.n_edges)
    box = np.asarray(settings.box, dtype=np.float64)
    if box.shape not in ((), (model.n_inputs,)):
        raise pg.ParameterError(f"box: needed one half-width, or {model.n_inputs}, one per input, got {box.size}")
    if not (np.isfinite(box).all() and (box >= 0).all()):
        raise pg.ParameterError("box: needed finite half-widths >= 0")
    words = f"|x_i| <= {float(box):g}" if box.ndim == 0 else f"|x_i| <= D_i, the largest being {box.max():g}"
    analysis = Analysis(source, words, model.is_exact, settings.seed, summary=_EMPTY)
    run = Run(model, settings, analysis, progress or (lambda text: None))
    if fewer := settings.fewer_than(asked.for_size(0)):
        run.leave_out(
            ", ".join(fewer), f"a model of {model.n_edges:,} edges gets fewer of each, unless the options ask for more"
        )
    with run.timed("sizes"):
        analysis.summary = _summary(run, scalars)
    with run.timed("path-norms"):
        _norms(run)
    with run.timed("random inputs"):
        trials = run.attempt(
            "what is seen at random inputs",
            lambda: Trials(model, box, settings.trials or 1, settings.seed) if settings.trials else None,
        )
        if trials is not None:
            analysis.outputs = trials.summary()
        elif not settings.trials:
            run.leave_out("what is seen at random inputs", "no random inputs were asked for")
    with run.timed("Lipschitz bounds"):
        _lipschitz(run, trials)
    with run.timed("generalisation"):
        run.attempt("generalisation bound", lambda: _generalization(run))
    with run.timed("scores"):
        score(run)
    if not settings.certificates:
        run.leave_out("pruning and precision certificates", "they were not asked for")
        return analysis
    with run.timed("pruning certificates"):
        prune_by_shares(run, trials)
    with run.timed("precision certificates"):
        precision(run, trials)
    return analysis


_EMPTY: Any = None


def _summary(run: Run, scalars: str) -> Summary:
    model = run.model
    constants = run.constants = run.attempt(
        "depth in activations, pool sizes and generalisation bound", lambda: pg.peeling_constants(model.net)
    )
    return Summary(
        resolution="layers" if model.is_layered else "neurons",
        scalars=scalars,
        inputs=model.input_text,
        outputs=model.output_text,
        n_inputs=model.n_inputs,
        n_outputs=model.n_outputs,
        n_neurons=model.n_neurons,
        n_edges=model.n_edges,
        n_parameters=len(model.theta),
        n_zeros=int((model.theta == 0).sum()),
        paths=pg.count_paths(model.net),
        depth_in_edges=pg.depth(model.net),
        depth_in_activations=None if constants is None else constants.collapsed_depth,
        largest_pool=None if constants is None else constants.pool_size,
        layers=model.layers,
        notes=model.notes,
    )


def _norms(run: Run) -> None:
    net, analysis = run.model.net, run.analysis
    for q in run.settings.qs:
        log = float(pg.log_path_norm(net, q))
        try:
            value: float | None = float(pg.path_norm(net, q))
        except OverflowError:
            value = None
        analysis.norms.append(Norm(q, value, log))
    logs = np.asarray(pg.log_path_norm(net, 1, per_output=True), dtype=np.float64)
    largest = float(logs.max(initial=-math.inf))
    if largest > -math.inf:
        masses = np.exp(logs - largest)
        order = np.argsort(-masses, kind="stable")[:TOP].tolist()
        shares = masses / masses.sum()
        names = run.model.output_names
        analysis.per_output = [OutputNorm(names[v], float(logs[v]), float(shares[v])) for v in order]


def _lipschitz(run: Run, trials: Trials | None) -> None:
    net = run.model.net
    bounds, worst = {}, math.nan
    for method in ("max-pass", "input-paths", "path-norm"):
        found = run.attempt(f"Lipschitz bound, {method}", partial(_lipschitz_bound, net, method))
        if found is not None:
            bounds[method] = found
    if not bounds:
        return
    worst = float(pg.input_lipschitz(net, r=math.inf))
    product, reason = None, ""
    if run.model.n_edges > MAX_PRODUCT:
        reason = f"it is left out beyond {MAX_PRODUCT:,} edges"
    else:
        try:
            product = float(pg.operator_norm_product(net, 1, math.inf))
        except pg.GraphError:
            reason = "it needs layers of which each reads the one before, and some connection skips one"
        except (pg.PathgraphError, OverflowError) as error:
            reason = str(error)
    if reason:
        run.leave_out("product of norms", reason)
    seen = math.nan if trials is None else run.attempt("slopes at random inputs", trials.slope)
    run.analysis.lipschitz = Lipschitz(bounds, worst, product, reason, math.nan if seen is None else seen)


def _lipschitz_bound(net: Any, method: Any) -> float:
    return float(pg.input_lipschitz(net, method=method))


def _generalization(run: Run) -> None:
    net, settings = run.model.net, run.settings
    largest, constants = float(np.max(settings.box)), run.constants
    if constants is None:
        return
    names: tuple[ConstantName, ...] = ("staged", "theorem", "sharpened")
    reach = max(1.0, largest) if constants.biases else largest
    # gap <= 4 sigma L C r / n with sigma = sqrt(n) reach falls below 1 beyond n = (4 reach L C r)**2
    log_r, lipschitz = float(pg.log_path_norm(net)), math.sqrt(2)
    scale = 4 * reach * lipschitz * constants.staged
    needed = 2 * (math.log10(scale) + log_r / math.log(10)) if scale and log_r > -math.inf else 0.0
    gap = stratum = None
    if settings.samples is not None:
        bound = pg.generalization_bound(net, settings.samples, inputs=run.box)
        gap, stratum = bound.gap, bound.stratum.gap
    run.analysis.generalization = Generalization(
        depth=constants.depth,
        pool_size=constants.pool_size,
        pool_types=constants.pool_types,
        constants={name: constants.value(name) for name in names},
        lipschitz=lipschitz,
        log10_samples_needed=needed,
        n_samples=settings.samples,
        gap=gap,
        stratum=stratum,
    )
