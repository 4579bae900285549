"""Checks a certificate with nothing but the standard library: ``python check_certificate.py FILE``.

It trusts no bound in the file: it computes them anew, in rationals, from the parameters, and accepts the certificate if
none of those claimed is less. What it checks: for all inputs x with |x_i| <= D_i, each output of the first network, in
real arithmetic, differs from that of the second, evaluated in the format named and in whatever order, by at most the
bound claimed. Exit status: 0 accepted, 1 refused, 2 not readable.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any


class Refused(ValueError):
    """A certificate that proves nothing."""


def number(text: str) -> Fraction:
    """A rational, written as an integer or a fraction of two."""
    if not re.fullmatch(r"-?[0-9]{1,4000}(/[0-9]{1,4000})?", text):
        raise Refused(f"no rational: {text[:40]!r}")
    return Fraction(text)


def read(text: str) -> dict[str, Any]:
    """The content of a certificate, if it is one and its digest is right."""
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("format") != "pathgraph certificate 1":
        raise Refused("this is no pathgraph certificate")
    digest = content.pop("digest", None)
    if hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() != digest:
        raise Refused("the digest is wrong: the text has been changed")
    neurons, places = content["neurons"], set(range(len(content["neurons"])))
    for v, neuron in enumerate(neurons):
        kind, sources = neuron["activation"], [edge[0] for edge in neuron["edges"]]
        if kind not in ("input", "identity", "relu", "pool") or not 1 <= neuron["rank"] <= max(1, len(sources)):
            raise Refused(f"neuron {v} has no activation that is known, or a rank beyond its candidates")
        if any(not 0 <= u < v for u in sources) or len(set(sources)) < len(sources):
            raise Refused(f"neuron {v} reads what does not come before it, or twice")
        if kind == "input" and (sources or neuron["bias"]):
            raise Refused(f"neuron {v} is an input with edges or a bias")
        neuron["edges"] = [(u, (number(a), number(b))) for u, a, b in neuron["edges"]]
        neuron["bias"] = None if neuron["bias"] is None else tuple(map(number, neuron["bias"]))
    if set(content["inputs"]) != {str(v) for v in places if neurons[v]["activation"] == "input"}:
        raise Refused("the widths are not those of the inputs, one each")
    content["inputs"] = {int(v): number(width) for v, width in content["inputs"].items()}
    has_bounds = len(content["outputs"]) == len(content["bounds"])
    if min(content["inputs"].values(), default=0) < 0 or not has_bounds or not set(content["outputs"]) <= places:
        raise Refused("a width is negative, an output is no neuron, or has no bound")
    kind = content["execution"]
    if kind is not None and not (1 <= kind["precision"] <= 200 and -20000 <= kind["least"] <= 0):
        raise Refused("the execution has no format that is known")
    return content


def silent(content: dict[str, Any], which: int) -> list[tuple[bool, list[str]]]:
    """For each neuron of a network, whether it is a dead ReLU, and which candidates of a pool are idle, and how."""
    ends: list[tuple[Fraction, Fraction]] = []
    out = []
    for v, neuron in enumerate(content["neurons"]):
        products = [(pair[which] * ends[u][0], pair[which] * ends[u][1]) for u, pair in neuron["edges"]]
        parts = [(min(pair), max(pair)) for pair in products]
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
        ends.append((lowest, highest))
        out.append((dead, idle))
    return out


def bounds(content: dict[str, Any]) -> list[Fraction]:
    """The bound of each output: the least of three, and the round-off of the execution."""
    zero, one = Fraction(0), Fraction(1)
    first, second = silent(content, 0), silent(content, 1)
    kind = content["execution"]
    unit = Fraction(0) if kind is None else Fraction(1, 2 ** kind["precision"])
    least = Fraction(0) if kind is None else Fraction(2) ** kind["least"]
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
            raise Refused(f"neuron {v} has too many terms for the format")
        growth = len(terms) * unit / (1 - len(terms) * unit)
        out = [zero] * 8 + [2 * len(terms) * least * (1 + growth)]
        for (s, e, f, s_b, t, s_a, t_b, s_all, error), a, b, live in terms:
            size, other, apart = abs(a), abs(b), abs(a - b)
            met = min(size, other) if a * b > 0 else zero
            if live:
                parts = [met * s, size * e + (size - met) * s, other * f + (other - met) * s]
                parts += [other * s_b, size * t + apart * s_b, size * s_a, other * t_b + apart * s_a]
                out[:7] = [x + y for x, y in zip(out[:7], parts, strict=True)]
            out[7] += other * s_all
            out[8] += other * ((1 + growth) * error + growth * s_all)
        if kind is not None and out[7] + out[8] >= number(kind["largest"]):
            raise Refused(f"a sum of neuron {v} may overflow")
        sums.append(out)
    outputs = [sums[v] for v in content["outputs"]]
    return [min(x[1] + x[2], x[4], x[6]) + (zero if kind is None else x[8]) for x in outputs]


def check(text: str) -> list[Fraction]:
    """The bounds of an accepted certificate, one per output; `Refused` if it is not."""
    content = read(text)
    claimed = list(map(number, content["bounds"]))
    for place, (claim, bound) in enumerate(zip(claimed, bounds(content), strict=True)):
        if claim < bound:
            raise Refused(f"output {place}: {float(claim):.6g} is claimed, not less than {float(bound):.6g} holds")
    return claimed


def main() -> int:
    """Check the file of the first argument."""
    if len(sys.argv) != 2:
        print("needed one file with a certificate", file=sys.stderr)
        return 2
    try:
        accepted = check(Path(sys.argv[1]).read_text(encoding="utf-8"))
    except OSError as error:
        print(f"needed a file with a certificate: {error}", file=sys.stderr)
        return 2
    except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RecursionError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print("accepted:", " ".join(f"{float(bound):.6g}" for bound in accepted))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
