r"""Rounding that compensates: each weight's error is made up for by the weights of the same neuron not yet rounded.

For a neuron with weights w and the values x of its antecedents on some data, rounding changes its pre-activation by
:math:`(w' - w) \cdot x`, in mean square :math:`\| L^t (w' - w) \|^2` with :math:`L L^t` the second moments of x. To
round one weight after the other, each time to the number nearest to what the earlier errors leave, is Babai's nearest
plane in the lattice of L, which is what GPTQ does. Rounded weights can end on the other side of zero, so that only the
bounds without sign hypotheses certify the result: `certify` takes them.

Source: derived here from the description of GPTQ, arXiv 2210.17323.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import number, samples
from pathgraph.errors import ParameterError, UnsupportedOperatorError
from pathgraph.graph.network import Network, require_numbers
from pathgraph.quantization.quantizers import Quantizer
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["quantize_with_data"]


def quantize_with_data(net: Network, quantizer: Quantizer, data: ArrayLike, *, damping: float = 0.01) -> Network:
    """The network with its parameters rounded so that errors make up for one another on some data.

    Parameters
    ----------
    net : Network
        Of floats, without tied parameters.
    quantizer : Quantizer
        Not a stochastic one.
    data : array_like, shape (n_samples, n_inputs)
    damping : number > 0
        Added to the second moments, times their mean: the smaller, the more the rounding trusts the data.

    Returns
    -------
    Network

    Raises
    ------
    ParameterError
        On data of a wrong shape, or a stochastic quantizer.
    UnsupportedOperatorError
        On exact networks, and tied parameters.
    RangeError
        If the format cannot hold a compensated weight.

    Notes
    -----
    Neurons are taken in order, on the values that the neurons before them have after rounding. Weights into pools and
    fixed weights stay out of the compensation; a neuron of n weights costs n**3, shared by neurons that read the same
    antecedents.

    References
    ----------
    arXiv 2210.17323 for the algorithm.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[0.4, 0.4]]])
    >>> quantizer = pg.Quantizer(step=1)
    >>> pg.quantize(net, quantizer).theta, pg.quantize_with_data(net, quantizer, [[1, 1], [2, 2]]).theta
    (array([0., 0.]), array([0., 1.]))
    """
    require_numbers(net, "quantize_with_data")
    architecture = net.architecture
    if net.is_exact or architecture.is_tied:
        what = "an exact network" if net.is_exact else "tied parameters"
        raise UnsupportedOperatorError(f"quantize_with_data: needed a float network of untied parameters, got {what}")
    if not isinstance(quantizer, Quantizer) or quantizer.mode == "stochastic":
        raise ParameterError(f"quantizer: needed a Quantizer that is not stochastic, got {argument_text(quantizer)}")
    weight = number(damping, "damping", "(0, inf)")
    rows = samples(data, len(net.inputs))
    values = net.values.astype(np.float64)
    state = np.empty((architecture.n_nodes, len(rows)))
    state[architecture.input] = rows.T
    factors: dict[bytes, Array] = {}
    inputs = set(architecture.input.tolist())
    for v in range(architecture.n_nodes):
        if v in inputs:
            continue
        entries = architecture.entries_into(v)
        edges = entries[entries < architecture.n_edges]
        antecedents = architecture.antecedent[edges]
        x = np.vstack([state[antecedents], np.ones((len(entries) - len(edges), len(rows)))])
        free = architecture.parameter[entries] >= 0
        is_sum = architecture.activations[v] != "pool"
        if is_sum and free.all() and len(entries):
            key = antecedents.tobytes() + bytes(len(entries) - len(edges))
            if key not in factors:
                factors[key] = _errors_passed_on(x, weight)
            values[entries] = _rounded(values[entries], factors[key], quantizer)
        else:
            values[entries[free]] = quantizer(values[entries[free]])
        state[v] = _value(values[entries], x, len(edges), architecture.activations[v], int(architecture.rank[v]))
    return net.with_values(values.astype(net.dtype))


def _errors_passed_on(x: Array, damping: float) -> Array:
    """What the rounding error of each weight adds to those after it: unit upper triangular, shape (n, n)."""
    moments = x @ x.T / x.shape[1]
    mean = float(np.trace(moments)) / len(moments)
    moments[np.diag_indices_from(moments)] += damping * (mean or 1.0)
    # the inverse of the moments is U^t U with U upper triangular; its rows, scaled, pass the errors on
    upper = np.linalg.cholesky(np.linalg.inv(moments)).T
    return np.asarray(upper / np.diagonal(upper)[:, None])


def _rounded(w: Array, passed_on: Array, quantizer: Quantizer) -> Array:
    left, out = w.copy(), np.empty_like(w)
    for i in range(len(w)):
        out[i : i + 1] = quantizer(left[i : i + 1])
        left[i:] -= (left[i] - out[i]) * passed_on[i, i:]
    return out


def _value(w: Array, x: Array, n_edges: int, activation: str, rank: int) -> Any:
    if activation == "pool":
        return np.sort(w[:n_edges, None] * x[:n_edges], axis=0)[-rank] + w[n_edges:].sum()
    total = w @ x
    return np.maximum(total, 0) if activation == "relu" else total
