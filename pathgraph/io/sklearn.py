"""Estimators of scikit-learn as layer graphs: multilayer perceptrons and linear models, scalers in front included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
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

COMPUTES = ("predict", "decision_function", "transform", "_forward_pass", "_decision_function")
"""Methods that say what an estimator computes: a subclass that has others is another estimator."""

WAYS_OUT = {
    "give its best_estimator_": ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"),
    "give its estimator_, without the selection of samples": ("RANSACRegressor",),
    "give its regressor_, which predicts the transformed target": ("TransformedTargetRegressor",),
    "give its estimators_ one by one": (
        *("MultiOutputClassifier", "MultiOutputRegressor", "OneVsOneClassifier", "OneVsRestClassifier"),
        *("BaggingClassifier", "BaggingRegressor", "VotingClassifier", "VotingRegressor"),
    ),
    "LinearSVC and LinearSVR are read": ("NuSVC", "NuSVR", "SVC", "SVR"),
    "scale all columns by one scaler": ("ColumnTransformer", "FeatureUnion"),
    "apply it to the data, and leave it out of the pipeline": (
        *("FunctionTransformer", "KBinsDiscretizer", "Normalizer", "PolynomialFeatures", "PowerTransformer"),
        *("Binarizer", "QuantileTransformer", "SimpleImputer", "SplineTransformer", "PCA", "TruncatedSVD"),
        *("SelectKBest", "VarianceThreshold", "OneHotEncoder"),
    ),
}
"""What to do about estimators that have no rule."""

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
        If this is no estimator, or one that has not been fitted, or whose attributes were changed into others than
        ``fit`` makes.
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
        what = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
        raise ParameterError(f"estimator: needed an estimator of scikit-learn, got {what}")
    try:
        check_is_fitted(estimator)
        steps = list(_steps(estimator, "")) if isinstance(estimator, Pipeline) else [("", estimator)]
        for _, step in steps:
            check_is_fitted(step)
    except (NotFittedError, TypeError) as error:
        raise ParameterError(f"estimator: needed a fitted estimator, got {estimator!r}; call its fit first") from error
    sizes = [int(step.n_features_in_) for _, step in steps if hasattr(step, "n_features_in_")]
    if not sizes:
        raise ParameterError("estimator: needed one with n_features_in_, the number of features, got none that has it")
    refusals, notes = Refusals("from_sklearn"), list[str]()
    build = LayerGraphBuilder()
    x = build.input((sizes[0],))
    for place, (prefix, step) in enumerate(steps):
        name = prefix.rstrip(".") or "the estimator"
        rule = _rule(step, is_last=place == len(steps) - 1)
        try:
            x = rule(build, x, step, prefix, notes)
        except ParameterError:
            if not refusals.found:  # else the shape is wrong because a step before was left out
                raise
        except Refused as refusal:
            refusals.add(name, type(step).__name__, "", str(refusal))
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise ParameterError(
                f"estimator: needed attributes as fit makes them, but those of {name} ({type(step).__name__}) do not "
                f"fit together: {error}; fit it again"
            ) from error
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
            own = [name for name in COMPUTES if getattr(type(step), name, None) is not getattr(kind, name, None)]
            if own:
                return partial(_overridden, kind.__name__, own[0])
            rule, is_model = RULES[kind.__name__]
            return rule if is_last or not is_model else _misplaced
    return _unknown


def _unknown(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    way = next((way for way, names in WAYS_OUT.items() if type(step).__name__ in names), None)
    read = "needed a perceptron, a linear model, or a scaler before one"
    raise Refused(f"there is no rule for this estimator; {way or read}")


def _overridden(
    kind: str, method: str, build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]
) -> Signal:
    raise Refused(f"it computes something else than {kind}, by a {method} of its own; needed one of {kind} itself")


def _misplaced(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    raise Refused("a model that predicts must be the last step; leave out what comes behind it")


# -- models ----------------------------------------------------------------------------------------------------------


def _perceptron(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``coefs_`` of shape (n_in, n_out) and ``intercepts_``."""
    if step.activation not in ("relu", "identity"):
        raise Refused(
            f"needed activation='relu' or 'identity', got {step.activation!r}, which is not piecewise linear; train it "
            "with activation='relu'"
        )
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
    power, link = getattr(step, "power", None), getattr(step, "link", None)
    is_identity = link == "identity" or (link == "auto" and power is not None and power <= 0)
    if not is_identity:
        notes.append("the last function (the inverse link) was left out: the outputs are what it reads")
    return _linear(build, x, step, prefix, notes)


# -- scalers ---------------------------------------------------------------------------------------------------------


def _standard(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``(x - mean_) / scale_``, each as the options say that it is applied, which may change after the fit."""
    centre, scale = _applied(step, "mean_", "with_mean"), _applied(step, "scale_", "with_std")
    return _affine(build, x, prefix, before=centre, factor=None if scale is None else 1 / scale)


def _robust(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``(x - center_) / scale_``, likewise."""
    centre, scale = _applied(step, "center_", "with_centering"), _applied(step, "scale_", "with_scaling")
    return _affine(build, x, prefix, before=centre, factor=None if scale is None else 1 / scale)


def _applied(step: Any, attribute: str, option: str) -> Any:
    """What the step applies if the option says so."""
    value = getattr(step, attribute) if getattr(step, option) else None
    if value is None and getattr(step, option):
        raise TypeError(f"{option}=True needs {attribute}, got None")
    return value


def _max_abs(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``x / scale_``."""
    if getattr(step, "clip", False):
        raise Refused("clip=True limits the features on both sides; fit it with clip=False")
    return _affine(build, x, prefix, factor=1 / step.scale_)


def _min_max(build: LayerGraphBuilder, x: Signal, step: Any, prefix: str, notes: list[str]) -> Signal:
    """``x * scale_ + min_``."""
    if step.clip:
        raise Refused("clip=True limits the features on both sides; fit it with clip=False")
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
    if np.iscomplexobj(values):
        raise TypeError("needed real numbers, got complex ones")
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
