"""Instances of checks as short literals: what mutants store, and what a counterexample is printed as.

A network is one line, a neuron a term of it::

    x0 x1; h0 = relu(2*x0, -1/2*x1, 3); h1 = pool2(h0!, x1~); y0 = out(h0, h1@a, -1@b)

First the inputs; then every neuron with its activation (``id``, ``relu``, ``max``, ``pool2`` for the second largest,
..., and ``out`` for an output), its weighted antecedents, and its bias, which is a number alone. The suffixes mark
structural ``!`` and frozen ``~`` values, and ``@name`` tied ones. Around networks there are plain Python literals, with
fractions as strings: ``("x0; y0 = out(x0)", 2, ("1/2", 3), {"h0": 2})``.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import networkx as nx

from pathgraph import Network, from_networkx

__all__ = ["decode", "encode", "network_from_text", "network_to_text", "parts", "summary", "word"]

_ROLES = {"!": "structural", "~": "frozen"}
_NEURON = re.compile(r"(?P<name>\w+) = (?P<kind>id|relu|max|out|pool(?P<rank>\d+))\((?P<terms>[^()]*)\)")
_TERM = re.compile(
    r"(?:(?P<value>-?\d+(?:/\d+)?)(?:\*(?=[A-Za-z])|(?![*\w])))?(?P<node>[A-Za-z]\w*)?(?P<mark>[!~]|@\w+)?"
)
_KINDS = {"id": "identity", "relu": "relu", "out": "identity"}
_LARGEST_SHOWN = 100


def network_from_text(text: str) -> Network:
    """The exact network that a line of text stands for.

    Parameters
    ----------
    text : str
        In the notation of the module's docstring.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If the text is not in that notation; the offending part is quoted.

    Examples
    --------
    >>> from pathgraph.proofs_checks import network_from_text
    >>> network_from_text("x0 x1; h0 = max(x0, 2*x1); y0 = out(h0, 1/2)")([[1, 3]]).tolist()
    [[Fraction(13, 2)]]
    """
    first, *neurons = (part.strip() for part in text.split(";"))
    graph = nx.DiGraph()
    graph.add_nodes_from(first.split(), activation="input")
    parsed = []
    for neuron in neurons:
        match = _NEURON.fullmatch(neuron)
        if match is None:
            raise ValueError(f"no neuron: {neuron!r}; needed a text such as 'h0 = relu(2*x0, -1/2)'")
        kind = match["kind"]
        attributes: dict[str, Any] = {"activation": _KINDS.get(kind, "pool")}
        if attributes["activation"] == "pool":
            attributes["rank"] = int(match["rank"] or 1)
        if kind == "out":
            attributes["output"] = True
        graph.add_node(match["name"], **attributes)
        parsed.append((match["name"], [term.strip() for term in match["terms"].split(",") if term.strip()]))
    for name, terms in parsed:
        for term in terms:
            _add_term(graph, name, term)
    return from_networkx(graph, dtype=object)


def _add_term(graph: nx.DiGraph, name: str, term: str) -> None:
    match = _TERM.fullmatch(term)
    if match is None or not (match["node"] or match["value"]):
        raise ValueError(f"no term: {term!r}; needed a weighted neuron such as '-1/2*x0', or a number")
    value, mark = Fraction(match["value"] or 1), match["mark"] or ""
    prefix = "" if match["node"] else "bias_"
    marked = {prefix + "role": _ROLES[mark]} if mark in _ROLES else {prefix + "parameter": mark[1:]} if mark else {}
    if match["node"] is None:
        graph.nodes[name].update(bias=value, **marked)
    elif match["node"] in graph:
        graph.add_edge(match["node"], name, weight=value, **marked)
    else:
        raise ValueError(f"no neuron of the name {match['node']!r}, which {name!r} takes as antecedent")


def network_to_text(net: Network, separator: str = "; ") -> str:
    r"""The text of a network; names that are no words, such as (layer, index), are joined by underscores.

    Parameters
    ----------
    net : Network
    separator : str
        Between neurons; ``"\n"`` draws one neuron per line.

    Returns
    -------
    str

    Examples
    --------
    >>> import pathgraph as pg
    >>> from pathgraph.proofs_checks import network_to_text
    >>> network_to_text(pg.from_weights([[[1, 2]], [[-3]]], [[1], [0]]))
    'v0_0 v0_1; v1_0 = relu(v0_0, 2*v0_1, 1); v2_0 = out(-3*v1_0, 0)'
    """
    graph, outputs = net.graph, set(net.outputs)
    lines = [" ".join(map(word, net.inputs))]
    for node, data in graph.nodes(data=True):
        kind = data["activation"]
        if kind == "input":
            continue
        rank = data.get("rank", 1)
        shown = "out" if node in outputs else {"identity": "id", "relu": "relu"}.get(kind)
        terms = [_term(edge["weight"], word(u), edge, "") for u, _, edge in graph.in_edges(node, data=True)]
        terms += [_term(data["bias"], "", data, "bias_")] if data.get("bias") is not None else []
        lines.append(f"{word(node)} = {shown or ('max' if rank == 1 else f'pool{rank}')}({', '.join(terms)})")
    return separator.join(lines)


def word(name: Any) -> str:
    """The name of a neuron as one word."""
    return name if isinstance(name, str) else "v" + "_".join(map(str, name if isinstance(name, tuple) else (name,)))


def _term(value: Any, node: str, data: dict[str, Any], prefix: str) -> str:
    mark = {"structural": "!", "frozen": "~"}.get(data.get(prefix + "role", ""), "")
    if (tie := data.get(prefix + "parameter")) is not None:
        mark = f"@{tie}"
    number = Fraction(value)
    return (node if node and number == 1 else f"{number}*{node}" if node else str(number)) + mark


def decode(literal: Any) -> Any:
    """An instance from its literal: texts of networks and of fractions are read, containers are descended into.

    Parameters
    ----------
    literal : object
        A text that holds ``=`` is a network; one that is a number is a Fraction; any other object is itself.

    Returns
    -------
    object

    Examples
    --------
    >>> from pathgraph.proofs_checks import decode
    >>> decode(("1/2", {"h0": 2}, "max-pass"))
    (Fraction(1, 2), {'h0': 2}, 'max-pass')
    """
    if isinstance(literal, tuple):
        return tuple(map(decode, literal))
    if isinstance(literal, dict):
        return {key: decode(value) for key, value in literal.items()}
    if isinstance(literal, str) and "=" in literal:
        return network_from_text(literal)
    if isinstance(literal, str) and re.fullmatch(r"-?\d+(/\d+)?", literal):
        return Fraction(literal)
    return literal


def encode(instance: Any) -> Any:
    """The literal of an instance: the inverse of `decode`.

    Parameters
    ----------
    instance : object

    Returns
    -------
    object
        Whose ``repr`` can be pasted into a file.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from pathgraph.proofs_checks import encode
    >>> encode((Fraction(1, 2), Fraction(3), "y0"))
    ('1/2', 3, 'y0')
    """
    if isinstance(instance, (tuple, list)):
        return tuple(map(encode, instance))
    if isinstance(instance, dict):
        return {key: encode(value) for key, value in instance.items()}
    if isinstance(instance, Network):
        return network_to_text(instance)
    if isinstance(instance, Fraction):
        return int(instance) if instance.denominator == 1 else str(instance)
    return instance


def summary(instance: tuple[Any, ...]) -> str:
    """An instance to be read: networks drawn neuron by neuron, then the rest, one component per line.

    Parameters
    ----------
    instance : tuple

    Returns
    -------
    str

    Examples
    --------
    >>> from pathgraph.proofs_checks import decode, summary
    >>> print(summary(decode(("x0; y0 = out(2*x0)", ("1/2",)))))
    x0
    y0 = out(2*x0)
    ('1/2',)
    """
    return "\n".join(map(_component, instance))


def parts(instance: tuple[Any, ...]) -> list[str]:
    """The components of an instance as texts; one that is a small network can be read again."""
    return [_component(part, "; ") for part in instance]


def _component(part: Any, separator: str = "\n") -> str:
    if not isinstance(part, Network):
        return shorten(repr(encode(part)))
    if part.architecture.n_edges > _LARGEST_SHOWN:
        return repr(part)
    return network_to_text(part, separator)


def shorten(text: str, width: int = 400) -> str:
    """`text`, or its beginning if it is longer than `width`."""
    return text if len(text) <= width else f"{text[:width]} ... ({len(text)} characters)"
