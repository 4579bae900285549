"""Checks a certificate with nothing but the standard library: ``python check_certificate.py FILE``.

It computes the bounds anew, in rationals, from the parameters, and accepts if none of those claimed is less. Then, for
all inputs x with |x_i| <= D_i, each output of the first network, in real arithmetic, differs from that of the second,
evaluated in the format named and in whatever order, by at most the bound. Exit: 0 accepted, 1 refused, 2 not readable.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any


def number(text: str) -> Fraction:
    """A rational, written as an integer or a fraction of two."""
    if not re.fullmatch(r"-?[0-9]{1,4000}(/[0-9]{1,4000})?", text):
        raise ValueError(f"no rational: {text[:40]!r}")
    return Fraction(text)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, if each of its keys stands there once."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def holds(kind: dict[str, Any], value: Fraction) -> bool:
    """Whether a number is one of a floating format."""
    steps = value / Fraction(2) ** (kind["least"] - kind["precision"] + 1)
    significant = abs(steps.numerator) // max(1, steps.numerator & -steps.numerator)
    return steps.denominator == 1 and significant < 2 ** kind["precision"] and abs(value) <= number(kind["largest"])


def read(text: str) -> dict[str, Any]:
    """The content of a certificate, if it is one and its digest is right."""
    content = json.loads(text, object_pairs_hook=once)
    if not isinstance(content, dict) or content.get("format") != "pathgraph certificate 1":
        raise ValueError("this is no pathgraph certificate")
    digest, kind = content.pop("digest", None), content["execution"]
    if hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() != digest:
        raise ValueError("the digest is wrong: the text has been changed")
    if kind is not None and not (1 <= kind["precision"] <= 200 and -20000 <= kind["least"] <= 0):
        raise ValueError("the execution has no format that is known")
    neurons, widths = content["neurons"], content["inputs"]
    for v, neuron in enumerate(neurons):
        name, sources = neuron["activation"], [edge[0] for edge in neuron["edges"]]
        if name not in ("input", "identity", "relu", "pool") or not 1 <= neuron["rank"] <= max(1, len(sources)):
            raise ValueError(f"neuron {v} has no activation that is known, or a rank beyond its candidates")
        is_fed = name == "input" and (sources or neuron["bias"])
        if any(not 0 <= u < v for u in sources) or len(set(sources)) < len(sources) or is_fed:
            raise ValueError(f"neuron {v} reads what does not come before it, or twice, or is an input that reads")
        neuron["edges"] = [(u, (number(a), number(b))) for u, a, b in neuron["edges"]]
        neuron["bias"] = None if neuron["bias"] is None else tuple(map(number, neuron["bias"]))
        second = [pair[1] for _, pair in [*neuron["edges"], (v, neuron["bias"] or (0, Fraction(0)))]]
        if kind is not None and not all(holds(kind, value) for value in second):
            raise ValueError(f"neuron {v} has a parameter that is no number of the format")
    if set(widths) != {str(v) for v, neuron in enumerate(neurons) if neuron["activation"] == "input"}:
        raise ValueError("there is not one width for each input")
    content["inputs"] = {int(v): number(width) for v, width in widths.items()}
    outputs, has_bounds = content["outputs"], len(content["outputs"]) == len(content["bounds"]) > 0
    if min(content["inputs"].values(), default=0) < 0 or not has_bounds or not set(outputs) <= {*range(len(neurons))}:
        raise ValueError("a width is negative, an output is no neuron, or has no bound")
    return content


def silent(content: dict[str, Any], which: int) -> list[Any]:
    """For each neuron of a network, whether it is a dead ReLU, and which candidates of a pool are idle, and how."""
    out: list[Any] = []  # with the interval of the neuron
    for v, neuron in enumerate(content["neurons"]):
        parts = [sorted(pair[which] * end for end in out[u][2:]) for u, pair in neuron["edges"]]
        bias = Fraction(0) if neuron["bias"] is None else neuron["bias"][which]
        lowest, highest = sum((a for a, _ in parts), bias), sum((b for _, b in parts), bias)
        dead, idle = False, [""] * len(parts)
        if neuron["activation"] == "input":
            lowest, highest = -content["inputs"][v], content["inputs"][v]
        elif neuron["activation"] == "pool":
            bottom, top = (sorted(part[end] for part in parts)[-neuron["rank"]] for end in (0, 1))
            idle = ["below" if b < bottom else "above" if a > top else "" for a, b in parts]
            lowest, highest = bottom + bias, top + bias
        elif neuron["activation"] == "relu":
            dead = highest <= 0
            lowest, highest = max(lowest, Fraction(0)), max(highest, Fraction(0))
        out.append((dead, idle, lowest, highest))
    return out


def bounds(content: dict[str, Any]) -> list[Fraction]:
    """The bound of each output: the least of three, and the round-off of the execution."""
    zero, one, kind = Fraction(0), Fraction(1), content["execution"]
    first, second = silent(content, 0), silent(content, 1)
    unit, least = (zero, zero) if kind is None else (one / 2 ** kind["precision"], Fraction(2) ** kind["least"])
    sums: list[list[Fraction]] = []  # per neuron: meet, two excesses, two pairs of telescopes, path sum and round-off
    for v, neuron in enumerate(content["neurons"]):
        if neuron["activation"] == "input":
            width = content["inputs"][v]
            sums.append([width, zero, zero, width, zero, width, zero, width, zero])
            continue
        dead = first[v][0] and second[v][0]
        idle = [x if x == y else "" for x, y in zip(first[v][1], second[v][1], strict=True)]
        terms = [(sums[u], *ab, not (dead or unused)) for (u, ab), unused in zip(neuron["edges"], idle, strict=True)]
        if neuron["bias"] is not None:
            terms.append(([one, zero, zero, one, zero, one, zero, one, zero], *neuron["bias"], not dead))
        if len(terms) * unit >= 1:
            raise ValueError(f"neuron {v} has too many terms for the format")
        growth = len(terms) * unit / (1 - len(terms) * unit)
        out = [zero] * 8 + [2 * len(terms) * least * (1 + growth)]
        for (s, e, f, s_b, t, s_a, t_b, s_all, error), a, b, live in terms:
            size, other, apart, met = abs(a), abs(b), abs(a - b), min(abs(a), abs(b)) if a * b > 0 else zero
            if live:
                parts = [met * s, size * e + (size - met) * s, other * f + (other - met) * s]
                parts += [other * s_b, size * t + apart * s_b, size * s_a, other * t_b + apart * s_a]
                out[:7] = [x + y for x, y in zip(out[:7], parts, strict=True)]
            out[7] += other * s_all
            out[8] += other * ((1 + growth) * error + growth * s_all)
        if kind is not None and out[7] + out[8] >= number(kind["largest"]):
            raise ValueError(f"a sum of neuron {v} may overflow")
        sums.append(out)
    return [min(x[1] + x[2], x[4], x[6]) + (x[8] if kind else zero) for x in (sums[v] for v in content["outputs"])]


def check(text: str) -> list[Fraction]:
    """The bounds of an accepted certificate, one per output; `ValueError` if it is not."""
    content = read(text)
    claimed = list(map(number, content["bounds"]))
    if any(claim < bound for claim, bound in zip(claimed, bounds(content), strict=True)):
        raise ValueError("a bound that is claimed is less than what can be proved")
    return claimed


def main() -> int:
    """Check the file of the first argument, and say what it proves."""
    try:
        text = Path(sys.argv[1]).read_text(encoding="utf-8")
        claimed, content = check(text), json.loads(text)
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RecursionError) as error:
        print(f"refused: {error}" if len(sys.argv) > 1 else "usage: check_certificate.py FILE", file=sys.stderr)
        return 2 if isinstance(error, OSError) or len(sys.argv) < 2 else 1
    print(f"accepted: executed in {content['execution'] or 'real arithmetic'}, for inputs within {content['inputs']}")
    print("\n".join(f"output {place} differs by at most {claim}" for place, claim in enumerate(claimed)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
