"""Well-known quantities of a network, to be asked whether they survive a rescaling.

Norms, sharpness, margins, pruning scores and bounds that papers compute of ReLU networks, as functions of a float
`Network` from `from_weights`. Those that need data take a few fixed points; the loss is the cross-entropy with fixed
labels, or the sum of the outputs for networks of one output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pathgraph.geometry.normal_forms import balance
from pathgraph.geometry.tangent import parameter_jacobian
from pathgraph.graph.network import Network
from pathgraph.lipschitz import input_lipschitz
from pathgraph.norms import operator_norm_product, path_norm
from pathgraph.pruning.masses import path_magnitude
from pathgraph.pruning.scores import importance_scores
from pathgraph.scalars import Array
from pathgraph.symmetry import normalize

__all__ = ["QUANTITIES", "Quantity"]


@dataclass(frozen=True)
class Quantity:
    """A quantity of a network.

    Attributes
    ----------
    name : str
    function : callable
        From a float network to a number or an array.
    source : str
        Where it is used, with an arXiv id if there is one.
    is_invariant : bool
        What we know of it; the search has to agree.
    """

    name: str
    function: Callable[[Network], Any]
    source: str
    is_invariant: bool

    def __call__(self, net: Network) -> Any:
        """Its value."""
        return self.function(net)


def _points(net: Network) -> Array:
    """Four inputs: fixed, and different in every coordinate."""
    n = len(net.inputs)
    return np.array([[((3 * i + 5 * k + 1) % 7 - 3) / 2 for i in range(n)] for k in range(4)], dtype=float)


def _slopes(net: Network) -> tuple[Array, Array, Array]:
    """The Jacobian of the outputs at the points, the gradient of each loss, and the curvature of the losses."""
    x = _points(net)
    jacobian, scores = np.asarray(parameter_jacobian(net, x), dtype=float), net(x)
    if scores.shape[1] == 1:
        return jacobian, jacobian[:, 0], np.ones((len(x), 1, 1))
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    slope = p - np.eye(scores.shape[1])[np.arange(len(x)) % scores.shape[1]]
    curvature = np.einsum("no,ok->nok", p, np.eye(scores.shape[1])) - np.einsum("no,nk->nok", p, p)
    return jacobian, np.einsum("no,nop->np", slope, jacobian), curvature


def _gradient(net: Network) -> Array:
    return np.asarray(_slopes(net)[1].mean(axis=0))


def _diagonal(net: Network) -> Array:
    """Of the Gauss-Newton matrix."""
    jacobian, _, curvature = _slopes(net)
    return np.asarray(np.einsum("nop,nok,nkp->p", jacobian, curvature, jacobian) / len(jacobian))


def _matrices(net: Network) -> list[Array]:
    levels: dict[int, list[Any]] = {}
    for v in net.nodes:
        levels.setdefault(v[0], []).append(v)  # type: ignore[index]
    layers = [levels[k] for k in sorted(levels)]
    return [np.array([[net.weight(u, v) for u in below] for v in above]) for below, above in pairwise(layers)]


def _product(norm: Callable[[Array], float]) -> Callable[[Network], float]:
    return lambda net: float(np.prod([norm(matrix) for matrix in _matrices(net)]))


def _spectral(matrix: Array) -> float:
    return float(np.linalg.norm(matrix, 2))


def _margin(net: Network) -> float:
    scores = np.sort(net(_points(net)), axis=1)
    return float((scores[:, -1] - (scores[:, -2] if scores.shape[1] > 1 else 0)).min())


def _over_margin(quantity: Callable[[Network], float]) -> Callable[[Network], float]:
    def ratio(net: Network) -> float:
        margin = _margin(net)
        return quantity(net) / margin if margin > 2.0**-20 else np.inf

    return ratio


def _stable_ranks(net: Network) -> float:
    return sum(float((m**2).sum()) / _spectral(m) ** 2 for m in _matrices(net) if m.any())


def _leaving_and_entering(net: Network) -> Array:
    """For each hidden neuron, the squared l2 norm of what enters it minus that of what leaves it."""
    graph = net.architecture
    out = np.zeros(graph.n_nodes)
    squares = np.asarray(net.values, dtype=float) ** 2
    np.add.at(out, graph.target, squares)
    np.add.at(out, graph.antecedent, -squares[: graph.n_edges])
    return out[[graph.index(v) for v in net.hidden]]


def _snip(net: Network) -> Any:
    return importance_scores(net, "snip", gradient=_gradient(net))


def _obd(net: Network) -> Any:
    return importance_scores(net, "obd", hessian_diagonal=_diagonal(net))


def _fisher_rao(net: Network) -> float:
    """The mean over the points of the square of the gradient along theta."""
    return float(((_slopes(net)[1] @ net.theta) ** 2).mean())


def _adaptive(net: Network) -> float:
    return float(np.linalg.norm(net.theta * _gradient(net)))


def _norm(order: float) -> Callable[[Network], float]:
    return lambda net: float(np.linalg.norm(net.theta, order))


QUANTITIES = (
    Quantity("outputs on data", lambda net: net(_points(net)), "the function itself", True),
    Quantity("path-norm, q = 1", lambda net: path_norm(net, 1), "arXiv 1503.00036, 2310.01225", True),
    Quantity("path-norm, q = 2", lambda net: path_norm(net, 2), "arXiv 1506.02617", True),
    Quantity("path-norm, q = infinity", lambda net: path_norm(net, np.inf), "arXiv 2310.01225", True),
    Quantity("non-zero paths", lambda net: path_norm(net, 0), "path-norm, q = 0", True),
    Quantity("margin on data", _margin, "arXiv 1706.08498", True),
    Quantity("path-norm / margin", _over_margin(path_norm), "arXiv 2310.01225", True),
    Quantity("input Lipschitz bound", input_lipschitz, "arXiv 2310.01225", True),
    Quantity("path-magnitude scores", path_magnitude, "arXiv 2405.15006", True),
    Quantity("SynFlow scores", lambda net: importance_scores(net, "synflow"), "arXiv 2006.05467", True),
    Quantity("SNIP scores", _snip, "arXiv 1810.02340", True),
    Quantity("OBD scores", _obd, "LeCun, Denker, Solla 1990", True),
    Quantity("Fisher-Rao norm", _fisher_rao, "arXiv 1711.01530", True),
    Quantity("adaptive sharpness, first order", _adaptive, "arXiv 2102.11600", True),
    Quantity("l2 norm once balanced", lambda net: _norm(2)(balance(net).net), "arXiv 1902.10416", True),
    Quantity("normalised weights", lambda net: normalize(net).theta, "arXiv 1506.02617", True),
    Quantity("number of non-zero weights", lambda net: int(np.count_nonzero(net.theta)), "sparsity", True),
    Quantity("sum of stable ranks", _stable_ranks, "arXiv 1802.05296", False),
    Quantity("l2 norm of the parameters", _norm(2), "weight decay", False),
    Quantity("l1 norm of the parameters", _norm(1), "lasso", False),
    Quantity("product of spectral norms", _product(_spectral), "arXiv 1706.08498", False),
    Quantity("product of Frobenius norms", _product(lambda m: float(np.linalg.norm(m))), "arXiv 1712.06541", False),
    Quantity("product of l1-infinity norms", operator_norm_product, "arXiv 2310.01225", False),
    Quantity("spectral product / margin", _over_margin(_product(_spectral)), "arXiv 1706.08498", False),
    Quantity("norm of the gradient", lambda net: float(np.linalg.norm(_gradient(net))), "flatness", False),
    Quantity("trace of the Gauss-Newton matrix", lambda net: float(_diagonal(net).sum()), "arXiv 1703.04933", False),
    Quantity("trace of the tangent kernel", lambda net: float((_slopes(net)[0] ** 2).sum()), "arXiv 1806.07572", False),
    Quantity("magnitude scores", lambda net: importance_scores(net, "magnitude"), "arXiv 1506.02626", False),
    Quantity("conserved quantities", _leaving_and_entering, "arXiv 1806.00900", False),
)
"""In two groups: what a rescaling keeps, and what it does not."""
