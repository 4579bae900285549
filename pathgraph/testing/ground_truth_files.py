"""Ground truths as files for verifiers: networks in ONNX, properties in VNN-LIB, the exact answers in JSON.

A property asks whether there is an input in the box with ``|output| >= bound``. Its decimals are exact, and so are the
values of the networks in float32.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.graph.network import Network
from pathgraph.layers import LayerGraph, LayerGraphBuilder
from pathgraph.testing.ground_truth import GroundTruth, ground_truth_networks, layers

__all__ = ["export_ground_truth"]

MARGIN = Fraction(1, 1024)
"""The property that holds leaves so much room, relative to the value, for verifiers that round."""

TIMEOUT = 60
"""Seconds per property, as the list of instances suggests them."""


def export_ground_truth(directory: str | PathLike[str], cases: Sequence[GroundTruth] | None = None) -> list[Path]:
    """Write the queries of ground truths as ONNX networks with VNN-LIB properties.

    For each case ``NAME.onnx``; ``NAME-holds.vnnlib``, whose expected answer is unsat, since it asks for an output
    beyond the exact value by a thousandth of it; and ``NAME-attained.vnnlib``, whose expected answer is sat, since it
    asks for the exact value. ``instances.csv`` lists them as in the verification competitions, and
    ``ground_truth.json`` the exact numbers as fractions, where they are attained, and the answers.

    Parameters
    ----------
    directory : path
        Made if it is missing.
    cases : sequence of GroundTruth, optional
        All by default.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ParameterError
        If a number is no decimal fraction, or no float32.
    BackendError
        If onnx is not installed.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    files, instances, facts = [], [], []
    for case in ground_truth_networks() if cases is None else cases:
        network = folder / f"{case.name}.onnx"
        layer_graph(case.query.network).to_onnx(network)
        files.append(network)
        answers = {}
        for what, bound, answer in (
            ("holds", case.query.maximum * (1 + MARGIN), "unsat"),
            ("attained", case.query.maximum, "sat"),
        ):
            path = folder / f"{case.name}-{what}.vnnlib"
            path.write_text(property_text(case, bound, answer), encoding="ascii")
            files.append(path)
            instances.append(f"{network.name},{path.name},{TIMEOUT}")
            answers[path.name] = answer
        facts.append(_facts(case, network.name, answers))
    for name, text in (
        ("instances.csv", "\n".join(instances) + "\n"),
        ("ground_truth.json", json.dumps(facts, indent=2) + "\n"),
    ):
        (folder / name).write_text(text, encoding="ascii")
        files.append(folder / name)
    return files


def _facts(case: GroundTruth, network: str, answers: dict[str, str]) -> dict[str, Any]:
    return {
        "name": case.name,
        "quantity": case.quantity,
        "value": str(case.value),
        "at": [list(map(str, point)) for point in case.at],
        "reason": case.reason,
        "network": network,
        "largest_output": str(case.query.maximum),
        "attained_at": list(map(str, case.query.at)),
        "answers": answers,
    }


def property_text(case: GroundTruth, bound: Fraction, answer: str) -> str:
    """A VNN-LIB property: is there an input in the box with ``|output| >= bound``?"""
    query = case.query
    lines = [f"; {case.name}: {case.quantity} of exactly {case.value}", f"; expected: {answer}", ""]
    lines += [f"(declare-const X_{i} Real)" for i in range(len(query.box))]
    lines += ["(declare-const Y_0 Real)", ""]
    for i, (low, high) in enumerate(query.box):
        lines += [f"(assert (>= X_{i} {decimal(low)}))", f"(assert (<= X_{i} {decimal(high)}))"]
    lines += ["", f"(assert (or (and (>= Y_0 {decimal(bound)})) (and (<= Y_0 {decimal(-bound)}))))", ""]
    return "\n".join(lines)


def decimal(value: Fraction) -> str:
    """A fraction as the decimal that equals it."""
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
        if digits > 400:
            raise ParameterError(f"value: needed a decimal fraction, got {value}")
    whole, rest = divmod(abs(int(value * 10**digits)), 10**digits)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}.0"


def layer_graph(net: Network) -> LayerGraph:
    """A network of `from_weights` as a layer graph in float64, if float32 holds its values exactly."""
    weights, biases = layers(net)
    build = LayerGraphBuilder()
    signal = build.input((len(net.inputs),), name="X")
    for k, (matrix, vector) in enumerate(zip(weights, biases, strict=True), 1):
        signal = build.linear(
            signal, build.tensor(f"weight{k}", _floats(matrix)), build.tensor(f"bias{k}", _floats(vector))
        )
        if k < len(weights):
            signal = build.relu(signal)
    return build.build([signal])


def _floats(values: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    exact = np.array(values, dtype=object)
    rounded = exact.astype(np.float32)
    if any(Fraction(float(a)) != b for a, b in zip(rounded.flat, exact.flat, strict=True)):
        raise ParameterError("cases: needed values that float32 holds exactly, got others")
    return rounded.astype(np.float64)
