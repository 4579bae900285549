"""Estimators of scikit-learn as layer graphs: multilayer perceptrons and linear models, scalers in front included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pathgraph.errors import BackendError, ParameterError
from pathgraph.io.refusals import Refusals, Refused

if TYPE_CHECKING:
    from pathgraph.layers.builder import LayerGraphBuilder, Signal
    from pathgraph.layers.layer_graph import LayerGraph
    from pathgraph.scalars import Array

__all__ = ["from_sklearn"]

LINEAR = [
    "ARDRegression",
    "BayesianRidge",
    "ElasticNet",
    "ElasticNetCV",
    "HuberRegressor",
    "Lars",
    "LarsCV",
    "Lasso",
    "LassoCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "LinearRegression",
    "LinearSVC",
    "LinearSVR",
    "LogisticRegression",
    "LogisticRegressionCV",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV",
    "PassiveAggressiveClassifier",
    "PassiveAggressiveRegressor",
    "Perceptron",
    "QuantileRegressor",
    "Ridge",
    "RidgeCV",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "SGDClassifier",
    "SGDRegressor",
    "TheilSenRegressor",
]
"""Models whose decision function, or prediction, is linear with ``coef_`` and ``intercept_``."""

LINKED = ("GammaRegressor", "PoissonRegressor", "TweedieRegressor")
"""Models that apply the inverse of a link function to it at last."""

Step: TypeAlias = "Callable[[LayerGraphBuilder, Signal, Any, str, list[str]], Signal]"


def from_sklearn(estimator: Any) -> LayerGraph:
    r"""The layer graph of a fitted estimator of scikit-learn.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, a linear model, or a Pipeline of scalers and one of these
        Fitted. Perceptrons need the activation "relu" or "identity"; scalers are `StandardScaler`, `MinMaxScaler`
        (without ``clip``), `MaxAbsScaler` and `RobustScaler`.

    Returns
    -------
    LayerGraph
        It computes what comes before the last function: ``decision_function`` of linear classifiers, ``predict`` of
        regressors, and of perceptrons what enters the softmax or logistic function, which is left out and noted.
        Parameters are ``coefs_.0``, ``intercepts_.0``, ... or ``coef_`` and ``intercept_``, in the shapes of
        scikit-learn, with the name of the step before them in a pipeline (``mlp.coefs_.0``). Scalers are structural.

    Raises
    ------
    UnsupportedOperatorError
        Naming all steps, activations and estimators that have no layers.
    ParameterError
        If the estimator has not been fitted.
    BackendError
        If scikit-learn is not installed.

    Notes
    -----
    A linear model has one output per class or target, one for two classes. What comes out has the shape
    (n_samples, n_outputs), where scikit-learn drops the axis of a single output.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from sklearn.linear_model import LinearRegression
    >>> model = LinearRegression().fit([[0, 0], [1, 0], [0, 1]], [1, 3, -2])
    >>> pg.from_sklearn(model)
    LayerGraph(2 layers: input (2,) -> coef_ (1,); 3 parameters, 3 neurons; float64)
    """
    try:
        from sklearn.base import BaseEstimator
        from sklearn.exceptions import NotFittedError
        from sklearn.pipeline import Pipeline
        from sklearn.utils.validation import check_is_fitted
    except ImportError as error:
        raise BackendError(
            "from_sklearn needs scikit-learn, which is not installed; pip install 'pathgraph[sklearn]', "
            "or pip install '.[sklearn]' in a checkout"
        ) from error
    from pathgraph.layers.builder import LayerGraphBuilder

    if not isinstance(estimator, BaseEstimator):
        raise ParameterError(f"estimator: needed an estimator of scikit-learn, got {type(estimator).__name__}")
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError) as error:
        raise ParameterError(f"estimator: needed a fitted estimator, got {estimator!r}") from error
    steps = list(_steps(estimator, "")) if isinstance(estimator, Pipeline) else [("", estimator)]
    first = next((step for _, step in steps if hasattr(step, "n_features_in_")), estimator)
    refusals, notes = Refusals("from_sklearn"), list[str]()
    build = LayerGraphBuilder()
    x = build.input((int(first.n_features_in_),))
    for place, (prefix, step) in enumerate(steps):
        rule = _rule(step, is_last=place == len(steps) - 1)
        try:
            x = rule(build, x, step, prefix, notes)
        except ParameterError:
            if not refusals.found:  # else the shape is wrong because a step before was left out
                raise
        except Refused as refusal:
            refusals.add(prefix.rstrip(".") or "the estimator", type(step).__name__, "", str(refusal))
    refusals.raise_if_any()
    return build.build([x], notes=notes)


def _steps(pipeline: Any, prefix: str) -> Sequence[tuple[str, Any]]:
    """The steps of a pipeline with their names, those of pipelines in it included."""
    out: list[tuple[str, Any]] = []
    for name, step in pipeline.steps:
        if hasattr(step, "steps"):
            out += _steps(step, f"{prefix}{name}.")
        elif step is not None and step != "passthrough":
            out.append((f"{prefix}{name}.", step))
    return out


def _rule(step: Any, *, is_last: bool) -> Step:
    """What makes layers of a step: the first class in its ancestry that has a rule."""
    for kind in type(step).__mro__:
        if kind.__module__.split(".")[0] == "sklearn" and kind.__name__ in RULES:
            rule, is_model = RULES[kind.__name__]
            return rule if is_last or not is_model else _misplaced
    return _unknown


def _unknown(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    raise Refused("there is no rule for this estimator; needed a perceptron, a linear model, or a scaler before one")


def _misplaced(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    raise Refused("a model that predicts is the last step")


# -- models ----------------------------------------------------------------------------------------------------------


def _perceptron(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``coefs_`` of shape (n_in, n_out) and ``intercepts_``."""
    if step.activation not in ("relu", "identity"):
        raise Refused(f"needed activation='relu' or 'identity', got {step.activation!r}")
    layers = list(zip(step.coefs_, step.intercepts_, strict=True))
    for place, (weight, bias) in enumerate(layers):
        w = build.tensor(f"{prefix}coefs_.{place}", _values(weight))
        b = build.tensor(f"{prefix}intercepts_.{place}", _values(bias))
        x = build.linear(x, w, b, transposed=True, name=f"{prefix}layer{place + 1}")
        if step.activation == "relu" and place < len(layers) - 1:
            x = build.relu(x)
    if step.out_activation_ != "identity":
        notes.append(f"the last function ({step.out_activation_}) was left out: the outputs are what it reads")
    return x


def _linear(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``coef_`` of shape (n_out, n_in) or (n_in,), and ``intercept_`` of shape (n_out,), or a number."""
    values = step.coef_.toarray() if hasattr(step.coef_, "toarray") else step.coef_
    coef = build.tensor(f"{prefix}coef_", _values(values))
    n_out = coef.shape[0] if len(coef.shape) == 2 else 1
    bias = None
    if np.any(step.intercept_) or getattr(step, "fit_intercept", True):
        offset = (
            np.broadcast_to(_values(step.intercept_), (n_out,)) if np.ndim(step.intercept_) == 0 else step.intercept_
        )
        bias = build.tensor(f"{prefix}intercept_", _values(offset))
    return build.linear(x, coef.reshaped((n_out, x.shape[0])), bias, name=f"{prefix}coef_")


def _linked(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """A generalised linear model before its link."""
    notes.append("the last function (the inverse link) was left out: the outputs are what it reads")
    return _linear(build, x, step, prefix, notes)


# -- scalers ---------------------------------------------------------------------------------------------------------


def _standard(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``(x - mean_) / scale_``."""
    centre = step.mean_ if step.with_mean else None
    return _affine(build, x, prefix, before=centre, factor=None if step.scale_ is None else 1 / step.scale_)


def _robust(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``(x - center_) / scale_``."""
    return _affine(build, x, prefix, before=step.center_, factor=None if step.scale_ is None else 1 / step.scale_)


def _max_abs(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``x / scale_``."""
    if getattr(step, "clip", False):
        raise Refused("clip=True limits the features on both sides")
    return _affine(build, x, prefix, factor=1 / step.scale_)


def _min_max(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``x * scale_ + min_``."""
    if step.clip:
        raise Refused("clip=True limits the features on both sides")
    return _affine(build, x, prefix, factor=step.scale_, after=step.min_)


def _affine(
    build: LayerGraphBuilder,
    x: Signal,
    prefix: str,
    *,
    before: Any = None,
    factor: Any = None,
    after: Any = None,
) -> Signal:
    """``(x - before) * factor + after``."""
    if before is not None:
        x = build.shift(x, build.tensor(f"{prefix}centre", -_values(before), role="structural"))
    if factor is not None:
        x = build.scale(x, build.tensor(f"{prefix}factor", _values(factor), role="structural"))
    if after is not None:
        x = build.shift(x, build.tensor(f"{prefix}offset", _values(after), role="structural"))
    return x


def _values(values: Any) -> Array:
    return np.asarray(values, dtype=np.float32 if getattr(values, "dtype", None) == np.float32 else np.float64)


RULES: dict[str, tuple[Step, bool]] = {
    "MLPClassifier": (_perceptron, True),
    "MLPRegressor": (_perceptron, True),
    **dict.fromkeys(LINEAR, (_linear, True)),
    **dict.fromkeys(LINKED, (_linked, True)),
    "StandardScaler": (_standard, False),
    "MinMaxScaler": (_min_max, False),
    "MaxAbsScaler": (_max_abs, False),
    "RobustScaler": (_robust, False),
}
"""What makes layers of each class, and whether it must be the last step."""
