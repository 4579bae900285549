r"""Certificates: rigorous bounds of how far a quantized network is from the original, as it is executed.

.. math:: \sup_{|x_i| \le D_i} \| R_\theta(x) - \mathrm{fl}(R_{\theta'})(x) \|_r \le
   \| U(\theta, \theta') + E(\theta') \|_r ,

per output U being the smallest of the bounds U2 and U4 (from either side), on the networks without what is silent on
the box, and E the round-off of evaluating theta', in any order of the sums (`pathgraph.quantization.execution`). Small
networks are computed in rationals, large ones in floats with a proven factor for their own round-off.

Source: derived here.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph.arguments import Inputs, exponent, half_widths, require_same_structure
from pathgraph.bounds import Bound
from pathgraph.errors import ParameterError, RangeError
from pathgraph.graph.network import require_network
from pathgraph.metrics.gaps import gamma, roundings, total
from pathgraph.metrics.output_bounds import differences_found, output_bound
from pathgraph.metrics.path_differences import Pair
from pathgraph.metrics.path_metrics import meet_sums, telescoped
from pathgraph.numbers import lower_floats, upper_floats
from pathgraph.pathsum.exact import restored
from pathgraph.quantization.execution import EXECUTIONS, Execution, execution_error, require_representable
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array, object_array, to_fraction
from pathgraph.shown import argument_text

__all__ = ["Certificate", "certify"]

EXACT_ENTRIES = 20_000
"""Float networks with at most so many entries are certified in rationals."""

FORMAT = "pathgraph certificate 1"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Certificate(Bound):
    """A rigorous bound of a distance between two networks, which others can check.

    Attributes
    ----------
    lower, upper, exact, rigorous, method
        As of every `Bound`; `lower` is a difference that was found, in real arithmetic.
    net, other : Network or LayerGraph
        The original, and the one that is executed.
    widths : ndarray, shape (n_inputs,)
        Half-widths of the box.
    execution : str
        "real", or the floating format that `other` is executed in.
    r : number
        The norm over the outputs.
    per_output : ndarray, shape (n_outputs,)
        The bound of each output.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2]]], dtype=object)
    >>> certificate = pg.certify(net, net.with_theta([1, 1]))
    >>> certificate
    Certificate(1 <= . <= 1, exact, rigorous, by meet; executed in real)
    >>> from pathgraph.quantization import check_certificate
    >>> check_certificate.check(certificate.to_json())
    [Fraction(1, 1)]
    """

    net: ReluNetwork
    other: ReluNetwork
    widths: Array
    execution: str
    r: Any
    per_output: Array

    def __repr__(self) -> str:
        return f"Certificate({super().__repr__()[6:-1]}; executed in {self.execution})"

    def to_json(self) -> str:
        """The certificate with everything that is needed to check it, in exact numbers.

        ``pathgraph/quantization/check_certificate.py`` checks it, and uses nothing but the standard library: it
        computes the bounds anew from the parameters in the text.

        Raises
        ------
        ParameterError
            If the networks are not small enough to be certified in rationals, or are layer graphs: certify their
            expansions.
        """
        require_network(self.net)
        if self.net.architecture.n_entries > EXACT_ENTRIES:
            raise ParameterError(
                f"to_json: the checker computes in rationals, for up to {EXACT_ENTRIES} entries; the networks have "
                f"{self.net.architecture.n_entries}"
            )
        graph: Any = self.net.architecture
        neurons: list[dict[str, Any]] = []
        for v in range(graph.n_nodes):
            entries = graph.entries_into(v)
            record: dict[str, Any] = {"activation": graph.activations[v], "rank": int(graph.rank[v])}
            edges = [int(e) for e in entries if e < graph.n_edges]
            biases = [int(e) for e in entries if e >= graph.n_edges]
            record["edges"] = [[int(graph.antecedent[e]), *self._both(e)] for e in edges]
            record["bias"] = self._both(biases[0]) if biases else None
            neurons.append(record)
        kind = EXECUTIONS[self.execution].kind
        content = {
            "format": FORMAT,
            "neurons": neurons,
            "inputs": {str(int(v)): _text(w) for v, w in zip(graph.input, self.widths, strict=True)},
            "outputs": graph.output.tolist(),
            "execution": None
            if kind is None
            else {"precision": kind.precision, "least": kind.least, "largest": _text(kind.largest)},
            "bounds": [_text(bound) for bound in self._claimed()],
        }
        text = json.dumps(content, sort_keys=True)
        content["digest"] = hashlib.sha256(text.encode()).hexdigest()
        return json.dumps(content, sort_keys=True)

    def _claimed(self) -> Array:
        """The bounds of the outputs in floats, rounded up: the rationals themselves may have thousands of digits."""
        return upper_floats(self.per_output) if self.per_output.dtype == object else self.per_output

    def _both(self, entry: int) -> list[str]:
        return [_text(self.net.values[entry]), _text(self.other.values[entry])]


def _text(number: Any) -> str:
    return str(to_fraction(number))


def certify(
    net: ReluNetwork,
    other: ReluNetwork,
    *,
    inputs: Inputs | None = None,
    execution: str = "real",
    order: str = "any",
    r: float = 1,
    per_output: bool = False,
) -> Certificate:
    r"""A rigorous bound on how far a network, as it is executed, is from another one, over a box of inputs.

    Parameters
    ----------
    net : Network or LayerGraph
        The original, in real arithmetic.
    other : Network or LayerGraph
        Of the same architecture: quantized, pruned, fine-tuned. It is the one that is executed.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box; ones by default. Inputs are numbers of the format of the execution.
    execution : {"real", "float64", "float32", "float16", "bfloat16"}
        The arithmetic in which `other` is evaluated: products and sums are rounded to nearest.
    order : {"any"}
        The order of the sums: the certificate holds for every one.
    r : number in [1, inf]
        The norm over the outputs.
    per_output : bool
        One bound per output instead.

    Returns
    -------
    Certificate
        A `Bound` with ``rigorous=True`` whose ends are Fractions on exact networks and floats else.

    Raises
    ------
    ParameterError
        On networks of different architectures or scalars, and entries of `other` that are no numbers of the format.
    RangeError
        If a sum may overflow in that format, or the bound leaves the range of floats.

    Notes
    -----
    Inference engines add in whatever order is fast, and verifiers that assume one order have been fooled; the bound of
    the round-off covers them all, and fused multiply-adds, and is accordingly larger than what any one order makes.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[0.7, -2.2], [1.1, 0.4]], [[0.3, -0.9]]])
    >>> half = pg.quantize(net, pg.Quantizer(format="fp16"))
    >>> real, executed = pg.certify(net, half), pg.certify(net, half, execution="float16")
    >>> f"{real:.2e}", f"{executed:.2e}"
    ('1.02e-03', '5.90e-03')
    """
    require_same_structure(net, other, "certify")
    if execution not in EXECUTIONS:
        raise ParameterError(
            f"execution: needed one of {', '.join(map(repr, EXECUTIONS))}, got {argument_text(execution)}"
        )
    if order != "any":
        raise ParameterError(f"order: needed 'any', which covers every order, got {argument_text(order)}")
    r = exponent(r, "r", least=1)
    chosen = EXECUTIONS[execution]
    require_representable(other, chosen)
    widths = half_widths(net, inputs)
    is_small = net.architecture.n_entries <= EXACT_ENTRIES
    if net.is_exact or is_small:
        exact_net, exact_other = net.to_exact(), other.to_exact()
        exact_widths = object_array(map(to_fraction, widths))
        upper, method = _exact_bounds(exact_net, exact_other, exact_widths, chosen)
        found = differences_found(Pair.of(exact_net, exact_other, exact_widths))
    else:
        upper, method = _float_bounds(net, other, widths, chosen)
        found = differences_found(Pair.of(net, other, widths))
    bounds = Bound(*_ends(found, upper, r, per_output, net.is_exact, method))
    return Certificate(
        bounds.lower,
        bounds.upper,
        bounds.exact and chosen.kind is None,
        True,
        method,
        net=net,
        other=other,
        widths=widths,
        execution=execution,
        r=r,
        per_output=upper if net.is_exact or upper.dtype != object else upper_floats(upper),
    )


def _exact_bounds(net: ReluNetwork, other: ReluNetwork, widths: Array, execution: Execution) -> tuple[Array, str]:
    """Per output, in Fractions."""
    pair = Pair.of(net, other, widths)
    live = pair.without_silent()
    pair = pair if live is None else live
    candidates = {
        "meet": restored(total(*meet_sums(pair))),
        "telescope": np.minimum(*(restored(telescoped(one)) for one in (pair, pair.swapped()))),
    }
    least = np.minimum.reduce(list(candidates.values()))
    names = [name for name, bound in candidates.items() if (bound == least).any()][:1]
    method = names[0] + ("" if live is None else " without the silent")
    return least + execution_error(other, widths, execution), method


def _float_bounds(net: ReluNetwork, other: ReluNetwork, widths: Array, execution: Execution) -> tuple[Array, str]:
    """Per output, in floats that are not less than the bound in exact numbers."""
    pair = Pair.of(net, other, widths)
    live = pair.without_silent()
    pair = pair if live is None else live
    factor = 1 + 2 * gamma(roundings(net, 5, entry=2) + 4)
    meets = upper_floats(total(*meet_sums(pair)))
    telescopes = np.minimum(*(upper_floats(telescoped(one)) for one in (pair, pair.swapped())))
    least = np.minimum(meets, telescopes)
    method = ("meet" if (meets <= telescopes).all() else "telescope") + ("" if live is None else " without the silent")
    with np.errstate(over="ignore"):
        upper = (least * factor + execution_error(other, widths, execution)) * (1 + 2.0**-50)
    if not np.isfinite(upper).all():
        raise RangeError("certify: the bound leaves the range of float64; use net.to_exact()")
    return upper, method


def _ends(found: Array, upper: Array, r: Any, per_output: bool, is_exact: bool, method: str) -> tuple[Any, ...]:
    """The fields of the bound; rational ends are rounded outwards for float networks."""
    if upper.dtype == object:
        bound = output_bound(found, upper, r, per_output, True, method, "certify")
        ends: list[Any] = [bound.lower, bound.upper]
        if not is_exact:
            low, high = (object_array(end) if per_output else object_array([end]) for end in ends)
            lows, highs = lower_floats(low), upper_floats(high)
            ends = [lows, highs] if per_output else [lows.tolist()[0], highs.tolist()[0]]
        return (*ends, bound.exact, True, method)
    bound = output_bound(found, upper, r, per_output, False, method, "certify")
    grown = bound.upper * (1 + 2.0**-40) if not per_output else bound.upper
    if not math.isfinite(np.max(grown)):
        raise RangeError("certify: the bound leaves the range of float64; use net.to_exact()")
    return bound.lower, grown, False, True, method
