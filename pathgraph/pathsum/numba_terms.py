"""Compiled sweeps with several terms and states, of floats and of scaled numbers: every sum that `sweep` can describe.

The buffers have shape (N, S): the states of one neuron lie side by side. Terms come as one array of entries per term;
``routes[k, s, t]`` says whether term k leads from state s to state t. This file holds every function that it compiles:
a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pathgraph.pathsum.blocks import POOL

compiled = njit(cache=True, nogil=True)


@compiled
def clear(part):
    """Zeros in a small matrix."""
    for k in range(part.shape[0]):
        for s in range(part.shape[1]):
            part[k, s] = 0


@compiled
def add_routed(routes, part, total):
    """Add what each term brought to each state to the states it leads to."""
    for k in range(routes.shape[0]):
        for s in range(routes.shape[1]):
            for t in range(routes.shape[2]):
                if routes[k, s, t]:
                    total[t] += part[k, s]


@compiled
def forward_terms(start, antecedent, bias, activation, values, routes, x, largest):
    """The forward sweep; with `largest`, pool neurons take the largest candidate of each state."""
    n_terms, n_states = routes.shape[0], routes.shape[1]
    part = np.empty((n_terms, n_states), dtype=x.dtype)
    total = np.empty(n_states, dtype=x.dtype)
    for v in range(len(start) - 1):
        lo, hi = start[v], start[v + 1]
        b = bias[v]
        if largest and activation[v] == POOL:
            for s in range(n_states):
                x[v + 1, s] = -np.inf
            for e in range(lo, hi):
                for k in range(n_terms):
                    for s in range(n_states):
                        part[k, s] = values[k, e] * x[antecedent[e] + 1, s]
                for s in range(n_states):
                    total[s] = 0
                add_routed(routes, part, total)
                for s in range(n_states):
                    x[v + 1, s] = max(x[v + 1, s], total[s])
            lo = hi
        clear(part)
        for e in range(lo, hi):
            u = antecedent[e] + 1
            for k in range(n_terms):
                w = values[k, e]
                for s in range(n_states):
                    part[k, s] += w * x[u, s]
        if b >= 0:
            for k in range(n_terms):
                for s in range(n_states):
                    part[k, s] += values[k, b] * x[0, s]
        add_routed(routes, part, x[v + 1])


@compiled
def backward_terms(start, antecedent, bias, values, routes, y):
    """The backward sweep."""
    n_terms, n_states = routes.shape[0], routes.shape[1]
    routed = np.empty((n_terms, n_states), dtype=y.dtype)
    for v in range(len(start) - 2, -1, -1):
        clear(routed)
        for k in range(n_terms):
            for s in range(n_states):
                for t in range(n_states):
                    if routes[k, s, t]:
                        routed[k, s] += y[v + 1, t]
        for e in range(start[v], start[v + 1]):
            u = antecedent[e] + 1
            for k in range(n_terms):
                w = values[k, e]
                for s in range(n_states):
                    y[u, s] += w * routed[k, s]
        b = bias[v]
        if b >= 0:
            for k in range(n_terms):
                for s in range(n_states):
                    y[0, s] += values[k, b] * routed[k, s]


@compiled
def marginals_terms(start, antecedent, bias, w, x, y, out):
    """The sum over the states of w x_source y_target, for each entry; x has been routed."""
    for v in range(len(start) - 1):
        for e in range(start[v], start[v + 1]):
            u = antecedent[e] + 1
            total = x.dtype.type(0)
            for s in range(x.shape[1]):
                total += x[u, s] * y[v + 1, s]
            out[e] = w[e] * total
        b = bias[v]
        if b >= 0:
            total = x.dtype.type(0)
            for s in range(x.shape[1]):
                total += x[0, s] * y[v + 1, s]
            out[b] = w[b] * total


# -- scaled numbers: m 2**e, abs(m) in [1/2, 1) or m = 0 ----------------------------------------------------------


@compiled
def scaled_add(m, e, n, f):
    """The sum of two scaled numbers."""
    if n == 0:
        return m, e
    if m == 0:
        return n, f
    if e < f:
        m, e, n, f = n, f, m, e
    if e - f > 1100:
        return m, e
    fraction, shift = math.frexp(m + math.ldexp(n, f - e))
    return (fraction, e + shift) if fraction != 0 else (0.0, np.int64(0))


@compiled
def scaled_mul(m, e, n, f):
    """The product of two scaled numbers."""
    product = m * n
    if product == 0:
        return 0.0, np.int64(0)
    if abs(product) < 0.5:
        return 2 * product, e + f - 1
    return product, e + f


@compiled
def forward_scaled(start, antecedent, bias, w_m, w_e, routes, x_m, x_e):
    """The forward sweep of scaled numbers: entries of shape (n_terms, n_entries), buffers of shape (N, S)."""
    n_terms, n_states = routes.shape[0], routes.shape[1]
    for v in range(len(start) - 1):
        for e in range(start[v], start[v + 1] + 1):
            i = e if e < start[v + 1] else bias[v]
            if i < 0:
                continue
            u = antecedent[e] + 1 if e < start[v + 1] else 0
            for k in range(n_terms):
                for s in range(n_states):
                    m, f = scaled_mul(w_m[k, i], w_e[k, i], x_m[u, s], x_e[u, s])
                    if m != 0:
                        for t in range(n_states):
                            if routes[k, s, t]:
                                x_m[v + 1, t], x_e[v + 1, t] = scaled_add(x_m[v + 1, t], x_e[v + 1, t], m, f)


@compiled
def backward_scaled(start, antecedent, bias, w_m, w_e, routes, y_m, y_e):
    """The backward sweep of scaled numbers."""
    n_terms, n_states = routes.shape[0], routes.shape[1]
    for v in range(len(start) - 2, -1, -1):
        for e in range(start[v], start[v + 1] + 1):
            i = e if e < start[v + 1] else bias[v]
            if i < 0:
                continue
            u = antecedent[e] + 1 if e < start[v + 1] else 0
            for k in range(n_terms):
                for s in range(n_states):
                    for t in range(n_states):
                        if routes[k, s, t]:
                            m, f = scaled_mul(w_m[k, i], w_e[k, i], y_m[v + 1, t], y_e[v + 1, t])
                            y_m[u, s], y_e[u, s] = scaled_add(y_m[u, s], y_e[u, s], m, f)
