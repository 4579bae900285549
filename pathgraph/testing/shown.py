"""How the checks of the kit show networks and values: a network neuron by neuron, as formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pathgraph.graph.network import Network

__all__ = ["told", "value_text"]


def told(net: Any) -> str:
    """A network as one line per neuron; anything else as its text."""
    if not isinstance(net, Network):
        return str(net)
    lines = [f"inputs {', '.join(map(str, net.inputs))}"]
    for v in net.nodes:
        if v in net.inputs:
            continue
        terms = [f"{value_text(net.weight(u, v))} * {u}" for u in net.architecture.antecedents(v)]
        if net.architecture.bias_entry(v) is not None:
            terms.append(value_text(net.bias(v)))
        kind = net.architecture.activations[net.architecture.index(v)]
        said = " + ".join(terms) or "0"
        lines.append(f"{v} = {said}" if kind == "identity" else f"{v} = {kind}({said})")
    return "\n".join(lines)


def value_text(value: Any) -> str:
    """A value in a few digits."""
    if isinstance(value, (float, np.floating)) and math.isfinite(value):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=6, threshold=20)
    return str(value)
