"""from_sklearn: layer graphs compute what estimators compute before their last function."""

import re

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeRegressor

import pathgraph as pg
from tests.tolerances import gamma, unit

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 5)) * [1, 10, 0.1, 3, 1] + [0, 5, 1, 0, -2]
CLASSES = np.arange(40) % 3
HALVES = np.arange(40) % 2
TARGETS = X @ RNG.normal(size=(5, 2)) + 1


def fitted(estimator, targets):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, targets)


def assert_close(graph, wanted):
    """Up to the rounding errors of two evaluations: roundings per path times the sums of absolute terms."""
    sizes, roundings = abs(X), 0
    tensors = graph.entries_by_name
    for layer in graph.layers[1:]:
        w = tensors[graph.architecture.tensor_names[layer.tensors[0]]]
        if layer.kind == "transposed_linear":
            sizes = sizes @ abs(w)
        elif layer.kind == "linear":
            sizes = sizes @ abs(np.atleast_2d(w)).T
        else:
            sizes = sizes * abs(w)
        if layer.bias is not None:
            sizes = sizes + abs(tensors[graph.architecture.tensor_names[layer.bias[1]]])
        roundings += max(w.shape) + 4
    found, wanted = graph(X), np.reshape(wanted, (len(X), -1))
    assert found.shape == wanted.shape
    slack = 2.5 * roundings * float(unit()) * sizes
    assert (abs(found - wanted) <= slack).all()
    return slack


@pytest.mark.parametrize(
    ("estimator", "targets"),
    [
        (LinearRegression(), TARGETS),
        (LinearRegression(fit_intercept=False), TARGETS[:, 0]),
        (Ridge(), TARGETS),
        (Lasso(alpha=0.01), TARGETS[:, 0]),
        (LogisticRegression(), HALVES),
        (LogisticRegression(), CLASSES),
        (RidgeClassifier(), CLASSES),
        (SGDClassifier(random_state=0), CLASSES),
        (LinearSVC(random_state=0), HALVES),
        (make_pipeline(StandardScaler(), LogisticRegression()), CLASSES),
        (make_pipeline(MaxAbsScaler(), "passthrough", make_pipeline(RobustScaler(), Ridge())), TARGETS),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else repr(value),
)
def test_linear_models(estimator, targets):
    model = fitted(estimator, targets)
    graph = pg.from_sklearn(model)
    assert_close(graph, (model.decision_function if hasattr(model, "decision_function") else model.predict)(X))
    assert graph.notes == ()


def test_linear_models_keep_their_shapes():
    model = fitted(LinearRegression(), TARGETS[:, 0])
    graph = pg.from_sklearn(model)
    assert graph.parameters["coef_"].shape == (5,)
    assert graph.parameters["intercept_"].tolist() == [model.intercept_]
    assert "intercept_" not in pg.from_sklearn(fitted(LinearRegression(fit_intercept=False), TARGETS)).parameters


@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("scaler", [StandardScaler(with_mean=False), StandardScaler(with_std=False), MinMaxScaler()])
def test_perceptrons_behind_scalers(activation, scaler):
    mlp = MLPRegressor(hidden_layer_sizes=(6, 4), activation=activation, max_iter=20, random_state=0)
    model = fitted(make_pipeline(scaler, mlp), TARGETS)
    graph = pg.from_sklearn(model)
    assert_close(graph, model.predict(X))
    assert graph.output_shapes == {"mlpregressor.layer3": (2,)}
    for place, weight in enumerate(model[-1].coefs_):
        assert (graph.parameters[f"mlpregressor.coefs_.{place}"] == weight).all()
    assert {name for name, role in graph.roles.items() if role == "parameter"} == {
        f"mlpregressor.{kind}.{place}" for kind in ("coefs_", "intercepts_") for place in range(3)
    }


@pytest.mark.parametrize(("targets", "link"), [(HALVES, "logistic"), (CLASSES, "softmax"), (TARGETS > 0, "logistic")])
def test_classifiers_before_their_link(targets, link):
    model = fitted(MLPClassifier(hidden_layer_sizes=(6,), max_iter=20, random_state=0), targets)
    graph = pg.from_sklearn(model)
    assert graph.notes == (f"the last function ({link}) was left out: the outputs are what it reads",)
    logits = X
    for place, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        logits = (np.maximum(logits, 0) if place else logits) @ weight + bias
    slack = assert_close(graph, logits)
    if link == "softmax":
        odds, wanted = np.exp(graph(X)), model.predict_proba(X)
        found = odds / odds.sum(1, keepdims=True)
        # logits off by s move the odds and their sum by a factor exp(s), each; sklearn subtracts the largest first
        moved = np.expm1(2 * slack.max()) + float(gamma(2 * len(found[0]) + 16)) * (1 + 2 * abs(logits).max())
        assert (abs(found - wanted) <= moved * wanted).all()


def test_generalised_models_before_their_link():
    model = fitted(PoissonRegressor(), CLASSES)
    graph = pg.from_sklearn(model)
    assert "inverse link" in graph.notes[0]
    assert_close(graph, X @ model.coef_ + model.intercept_)


def test_float32_stays_float32():
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(X.astype(np.float32), TARGETS[:, 0].astype(np.float32))
    assert pg.from_sklearn(model).dtype == np.float32


def test_refusals_name_every_step():
    model = fitted(
        make_pipeline(
            MinMaxScaler(clip=True), PCA(3), MLPRegressor(hidden_layer_sizes=(3,), activation="tanh", max_iter=2)
        ),
        TARGETS,
    )
    with pytest.raises(pg.UnsupportedOperatorError) as error:
        pg.from_sklearn(model)
    message = str(error.value)
    assert "3 operations are not supported" in message
    for part in (
        "minmaxscaler (MinMaxScaler): clip=True",
        "pca (PCA): there is no rule",
        "mlpregressor (MLPRegressor)",
    ):
        assert part in message
    for other in (SVC(), DecisionTreeRegressor()):
        with pytest.raises(pg.UnsupportedOperatorError, match="no rule for this estimator"):
            pg.from_sklearn(fitted(other, CLASSES))


def test_bad_arguments():
    with pytest.raises(pg.ParameterError, match="needed a fitted estimator"):
        pg.from_sklearn(MLPRegressor())
    with pytest.raises(pg.ParameterError, match="needed a fitted estimator"):
        pg.from_sklearn(make_pipeline(StandardScaler(), Ridge()))
    with pytest.raises(pg.ParameterError, match="needed an estimator of scikit-learn, got dict"):
        pg.from_sklearn({})


class Squared(MLPRegressor):
    """Another estimator than the one it is made of."""

    def predict(self, X):
        return super().predict(X) ** 2


class Same(Ridge):
    """A subclass that computes the same."""


def test_subclasses():
    with pytest.raises(pg.UnsupportedOperatorError, match="something else than MLPRegressor, by a predict of its own"):
        pg.from_sklearn(fitted(Squared(hidden_layer_sizes=(3,), max_iter=2), TARGETS[:, 0]))
    model = fitted(Same(), TARGETS)
    assert_close(pg.from_sklearn(model), model.predict(X))


def test_a_link_that_does_nothing_is_not_noted():
    for model in (TweedieRegressor(power=0), TweedieRegressor(power=1.5, link="identity")):
        model = fitted(model, CLASSES + 1.0)
        graph = pg.from_sklearn(model)
        assert graph.notes == ()
        assert_close(graph, model.predict(X))
    assert pg.from_sklearn(fitted(TweedieRegressor(power=1.5), CLASSES + 1.0)).notes


@pytest.mark.parametrize(
    ("estimator", "way_out"),
    [
        (MLPRegressor(activation="tanh", max_iter=2), "which is not piecewise linear; train it with activation='relu'"),
        (GridSearchCV(Ridge(), {"alpha": [1, 2]}), "give its best_estimator_"),
        (TransformedTargetRegressor(Ridge()), "give its regressor_"),
        (MultiOutputRegressor(Ridge()), "give its estimators_ one by one"),
        (make_pipeline(MinMaxScaler(clip=True), Ridge()), "fit it with clip=False"),
        (make_pipeline(PowerTransformer(), Ridge()), "apply it to the data, and leave it out of the pipeline"),
        (make_pipeline(make_union(StandardScaler(), MinMaxScaler()), Ridge()), "scale all columns by one scaler"),
    ],
    ids=repr,
)
def test_refusals_say_the_way_out(estimator, way_out):
    with pytest.raises(pg.UnsupportedOperatorError, match=re.escape(way_out)):
        pg.from_sklearn(fitted(estimator, TARGETS))


def changed(model, targets=TARGETS[:, 0], **attributes):
    """A fitted model some attributes of which are then set, or deleted."""
    model = fitted(model, targets)
    for name, value in attributes.items():
        delattr(model, name) if value is None else setattr(model, name, value)
    return model


def test_estimators_that_are_not_as_fit_leaves_them():
    mlp = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2)
    for model, reason in (
        (changed(mlp, coefs_=[np.ones((5, 3))]), r"those of the estimator \(MLPRegressor\) do not fit together"),
        (changed(Ridge(), coef_=None), "do not fit together: 'Ridge' object has no attribute 'coef_'"),
        (changed(Ridge(), coef_=np.ones(5) * 1j), "needed real numbers, got complex ones"),
        (changed(Ridge(), coef_=np.ones(5) * np.nan), r"coef_\[0\]: needed a finite number"),
        (changed(Ridge(), coef_=np.ones(4)), "cannot be reshaped"),
        (changed(Ridge(), n_features_in_=7), "cannot be reshaped"),
        (changed(Ridge(), n_features_in_=None), "needed one with n_features_in_"),
        (changed(StandardScaler(), scale_=np.zeros(5)), "needed a finite number, got inf"),
        (Pipeline([("s", StandardScaler()), ("m", fitted(Ridge(), TARGETS))]), "call its fit first"),
        (Pipeline([("s", "passthrough")]).fit(X), "needed one with n_features_in_"),
        (MLPRegressor, "got the class MLPRegressor"),
    ):
        with pytest.raises(pg.ParameterError, match=reason), np.errstate(divide="ignore"):
            pg.from_sklearn(model)


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (StandardScaler, "with_mean"),
        (StandardScaler, "with_std"),
        (RobustScaler, "with_centering"),
        (RobustScaler, "with_scaling"),
    ],
)
def test_options_of_scalers_are_those_that_they_have_now(kind, option):
    pipeline = fitted(make_pipeline(kind(), LinearRegression()), TARGETS)
    pipeline[0].set_params(**{option: False})
    assert_close(pg.from_sklearn(pipeline), pipeline.predict(X))
    pipeline = fitted(make_pipeline(kind(**{option: False}), LinearRegression()), TARGETS)
    pipeline[0].set_params(**{option: True})
    if getattr(pipeline[0], {"with_mean": "mean_", "with_centering": "center_"}.get(option, "scale_")) is None:
        with pytest.raises(pg.ParameterError, match=f"{option}=True needs"):
            pg.from_sklearn(pipeline)
    else:
        assert_close(pg.from_sklearn(pipeline), pipeline.predict(X))


def test_a_step_that_changes_the_number_of_features_is_refused_by_name():
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline

    random = np.random.default_rng(0)
    model = make_pipeline(PCA(2), MLPRegressor(hidden_layer_sizes=(3,), max_iter=400, tol=1e-1, random_state=0))
    model.fit(random.normal(size=(40, 5)), random.normal(size=40))
    with pytest.raises(pg.UnsupportedOperatorError, match=r"pca \(PCA\)"):
        pg.from_sklearn(model)
