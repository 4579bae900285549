"""An analysis in words: what each number means to those who use networks, and how far bounds are from what is seen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from pathgraph.analysis.document import (
    Fact,
    Facts,
    Figure,
    Item,
    Note,
    Section,
    Table,
    ceiling,
    count,
    number,
    percent,
    power,
    scientific,
)
from pathgraph.analysis.results import Analysis, Certificate, Generalization, LayerRow, Lipschitz, Outputs, Summary

__all__ = ["document"]

CLOSE, FAR = 10, 1000
"""A bound within the first factor of what was seen is called close, one beyond the second far."""

ROUND_OFF = 1e-12
"""Changes below this part of the outputs are the rounding of evaluating them."""


def document(analysis: Analysis) -> list[Section]:
    """All sections of an analysis, in order."""
    sections = [_sizes(analysis.summary), _layers(analysis.summary), _norms(analysis)]
    if analysis.lipschitz is not None:
        sections.append(_lipschitz(analysis.lipschitz, analysis.outputs))
    if analysis.generalization is not None:
        sections.append(_generalization(analysis.generalization))
    if analysis.scores:
        sections.append(_scores(analysis))
    if analysis.pruning:
        sections.append(_pruning(analysis))
    if analysis.precision:
        sections.append(_precision(analysis))
    sections.append(_left_out(analysis))
    return sections


# -- sections -------------------------------------------------------------------------------------------------------


def _sizes(found: Summary) -> Section:
    pool = "there is none" if found.largest_pool == 1 else "the most candidates one max-pool neuron chooses from"
    facts = [
        Fact("inputs", found.inputs),
        Fact("outputs", found.outputs, "a final softmax, if there was one, is dropped: these are its arguments"),
        Fact(
            "parameters",
            count(found.n_parameters),
            f"trainable numbers, in {found.scalars}; {found.n_zeros:,} are zero",
        ),
        Fact("neurons", count(found.n_neurons), "of the network written out neuron by neuron, inputs included"),
        Fact("edges", count(found.n_edges), "connections between neurons: what one sweep has to visit"),
        Fact("paths", count(found.paths), "ways from an input or a bias to an output; counted exactly, never listed"),
        Fact(
            "depth, in edges",
            count(found.depth_in_edges),
            "the most edges on a path; adds, poolings and batch-norms count",
        ),
    ]
    if found.depth_in_activations is not None:
        facts.append(
            Fact(
                "depth, in activations",
                count(found.depth_in_activations),
                "1 + the most ReLU and max-pool neurons on a path",
            )
        )
    if found.largest_pool is not None:
        facts.append(Fact("largest pool", "-" if found.largest_pool == 1 else count(found.largest_pool), pool))
    items: list[Item] = [Facts(facts)]
    if found.notes:
        items.append(Table(["what the import changed or dropped"], [[note] for note in found.notes]))
    return Section(
        "The model",
        "A ReLU network as a graph: every number below speaks of this graph and of the weights in it.",
        items,
    )


def _layers(found: Summary) -> Section:
    rows = [_layer(row) for row in found.layers]
    lead = (
        "The layers as they were read. Edges are those between neurons: a convolution has few parameters and many "
        "edges."
        if found.resolution == "layers"
        else "Neurons by level: the level of a neuron is its longest distance from an input."
    )
    columns = ["name", "kind", "shape", "activation", "reads", "neurons", "edges", "parameters"]
    return Section(
        "Layers",
        lead,
        [
            Figure("graph", "The graph of the layers; arcs are connections that skip layers."),
            Figure("widths", "Neurons of each layer, on a logarithmic axis."),
            Table(columns, rows, numeric=frozenset({5, 6, 7})),
        ],
    )


def _layer(row: LayerRow) -> list[str]:
    tied = f" (shares {', '.join(row.tied)})" if row.tied else ""
    return [
        row.name,
        row.kind,
        " x ".join(map(str, row.shape)) or "1",
        row.activation,
        ", ".join(row.sources) or "-",
        f"{row.neurons:,}" if row.neurons else "-",
        f"{row.edges:,}" if row.edges else "-",
        f"{row.parameters:,}{tied}" if row.parameters or tied else "-",
    ]


def _norms(found: Analysis) -> Section:
    rows = [[f"q = {norm.q:g}", power(norm.log, 10), f"{norm.log:.6f}"] for norm in found.norms]
    items: list[Item] = [
        Table(["path-norm", "value", "natural logarithm"], rows, numeric=frozenset({1, 2})),
        Note(
            "Why absolute values: the norm adds up the sizes of all path products, so that nothing cancels, and one "
            "sweep over the edges with |w| for w gives it. Why all-ones inputs: a one at every input counts each "
            "path once. The number does not change when a neuron's incoming weights are multiplied and its outgoing "
            "ones divided by one factor, which leaves the function as it is; the sizes of the weights do change."
        ),
    ]
    if len(found.per_output) > 1:
        top = [[one.name, power(one.log), percent(one.share)] for one in found.per_output]
        items.append(
            Table(
                ["output", "path-norm, q = 1", "share"],
                top,
                "The outputs with the largest path-norm",
                frozenset({1, 2}),
            )
        )
    return Section(
        "Path-norms",
        "The q-norm of the products of weights along all paths: one number for how large the network is.",
        items,
    )


def _lipschitz(found: Lipschitz, outputs: Outputs | None) -> Section:
    meanings = {
        "max-pass": "paths from the inputs, the largest candidate at max-pools: the best of the three",
        "input-paths": "all paths from the inputs",
        "path-norm": "all paths, those that start at biases included",
    }
    facts = [Fact(name, ceiling(value), meanings[name]) for name, value in found.bounds.items()]
    facts.append(Fact("for one output", ceiling(found.worst_output), "the same for the output that can move most"))
    if found.product is not None:
        facts.append(
            Fact(
                "product of norms",
                ceiling(found.product),
                "of the layers' operator norms (l1 of rows, biases in them): bounds one output, and changes under "
                "rescaling",
            )
        )
    else:
        facts.append(Fact("product of norms", "-", found.product_reason))
    items: list[Item] = [Facts(facts)]
    if not math.isnan(found.seen):
        facts.append(
            Fact(
                "seen", number(found.seen), "the largest quotient at random pairs of inputs: the truth is at least this"
            )
        )
        best = min(found.bounds.values())
        items.append(Note(*_distance(best / found.seen if found.seen else math.inf, "The bound")))
    if outputs is not None:
        margin = (
            "" if outputs.margin is None else f"; the two largest outputs differ by {number(outputs.margin)} (median)"
        )
        items.append(
            Note(
                f"At {outputs.trials} random inputs of the box the outputs add up, in absolute value, to "
                f"{number(outputs.size)} on average and {number(outputs.largest)} at most{margin}. Random inputs are "
                "not your data."
            )
        )
    return Section(
        "Sensitivity to the input",
        "How much the outputs, added up in absolute value, can change when every input coordinate changes by at "
        "most 1: a constant that holds for all inputs.",
        items,
    )


def _generalization(found: Generalization) -> Section:
    facts = [
        Fact("D", str(found.depth), "edges on the longest path"),
        Fact(
            "K, P",
            f"{found.pool_size}, {found.pool_types}",
            "size of the largest max-pool, number of kinds of max-pools",
        ),
        *(
            Fact(f"C, {name}", number(value), meaning)
            for (name, value), meaning in zip(
                found.constants.items(),
                (
                    "what the structure costs, stage by stage: the one that the bound uses",
                    "the constant of the published theorem",
                    "a smaller one of the same paper; proved where it is not below the staged one",
                ),
                strict=True,
            )
        ),
        Fact("L", number(found.lipschitz), "Lipschitz constant of the cross-entropy"),
        Fact(
            "samples needed",
            _samples(found.log10_samples_needed),
            "about as many training samples bring the bound on risk - training risk below 1, were the path-norm fixed "
            "in advance",
        ),
    ]
    items: list[Item] = [Facts(facts)]
    if found.n_samples is not None and found.gap is not None and found.stratum is not None:
        facts += [
            Fact(
                f"gap, n = {found.n_samples:,}",
                number(found.gap),
                "in expectation, for a path-norm fixed before the data",
            ),
            Fact(
                "gap, all networks",
                number(found.stratum),
                "with probability 95 %, for a loss in [0, 1] and all path-norms at once",
            ),
        ]
        if found.stratum >= 1:
            items.append(
                Note(
                    "This bound is vacuous: a loss with values in [0, 1] has no larger gap than 1 anyway.",
                    is_warning=True,
                )
            )
    elif found.log10_samples_needed > 9:
        items.append(
            Note("No data set has that many samples: the bound says nothing about this network.", is_warning=True)
        )
    return Section(
        "Generalisation", "The terms of the path-norm bound on what is lost between training data and new data.", items
    )


def _samples(logarithm: float) -> str:
    """How many samples, from the decimal logarithm."""
    return count(math.ceil(10**logarithm)) if logarithm < 4 else scientific(logarithm, 2, "d")


def _scores(found: Analysis) -> Section:
    rows = [
        [
            row.name,
            f"{row.size:,}",
            percent(row.share),
            number(row.median, 3),
            number(row.largest, 3),
            percent(row.half),
            percent(row.zeros),
        ]
        for row in found.scores
    ]
    columns = ["parameters", "number", "share of the path-norm", "median", "largest", "half of it on", "score 0"]
    return Section(
        "Scores",
        "The path-magnitude of a parameter is the share of the path-norm that runs through it: what is lost, at "
        "most, when it is set to zero. It does not depend on the scale of the neurons.",
        [
            Figure("shares", "Share of the path-norm that crosses the parameters of each layer."),
            Table(columns, rows, numeric=frozenset(range(1, 7))),
            Note(
                f"Of all parameters one in two has a share below {percent(found.quantiles[0.5])}, one in ten above "
                f"{percent(found.quantiles[0.9])}, one in a hundred above {percent(found.quantiles[0.99])}; the "
                f"largest is {percent(found.quantiles[1.0])}."
            ),
            Note(
                "Every path crosses a layer that nothing bypasses, so its weights have about 100 % together; "
                "branches of a residual network share it. 'half of it on' says how few parameters hold half of the "
                "sum: the smaller, the more can be pruned."
            ),
        ],
    )


def _pruning(found: Analysis) -> Section:
    rows = [
        [
            one.name,
            f"{one.changed:,}",
            ceiling(one.bound),
            _seen(one, found.outputs),
            _ratio(one, found.outputs),
            "yes" if one.rigorous else "no",
        ]
        for one in found.pruning
    ]
    columns = ["removed", "weights", "change at most", "seen", "bound / seen", "round-off enclosed"]
    items: list[Item] = [
        Figure("pruning", "The change of the outputs when the weights with the least path-magnitude go."),
        Table(columns, rows, numeric=frozenset(range(1, 5))),
        *_verdicts(found.pruning, found.outputs),
        Note(
            "A pruned model is not faster by itself: its zeros are multiplied like other numbers, unless the "
            "software or the hardware skips them. What it saves is storage, and time where whole neurons or "
            "channels go."
        ),
    ]
    return Section(
        "Pruning certificates",
        "The weights with the smallest scores are set to zero, without retraining; 'change at most' bounds the "
        f"change of the outputs, added up in absolute value, for all inputs with {found.box}.",
        items,
    )


def _precision(found: Analysis) -> Section:
    saturated = any(one.saturated for one in found.precision)
    rows = [
        [
            one.name,
            ceiling(one.bound),
            _seen(one, found.outputs),
            _ratio(one, found.outputs),
            "yes" if one.rigorous else "no",
            *([f"{one.saturated:,}"] if saturated else []),
        ]
        for one in found.precision
    ]
    columns = ["weights stored as", "change at most", "seen", "bound / seen", "round-off enclosed"]
    items: list[Item] = [
        Figure("bits", "Bits of a weight against the change of the outputs."),
        Table([*columns, *(["saturated"] if saturated else [])], rows, numeric=frozenset({1, 2, 3, 5})),
        *_verdicts(found.precision, found.outputs),
        Note(
            "These bounds speak of real arithmetic and of the weights and biases only: they are rounded to the "
            "nearest number of the format, and the network is evaluated without further error. Rounding of "
            "activations, of sums, and of batch-norm constants is not in them. Fixed point has one power of two as "
            "spacing per tensor; the 8-bit float formats are used without scaling."
        ),
    ]
    return Section(
        "Precision certificates",
        "All weights are rounded to fewer bits; 'change at most' bounds the change of the outputs, added up in "
        f"absolute value, for all inputs with {found.box}.",
        items,
    )


def _left_out(found: Analysis) -> Section:
    rows = [[one.what, one.why] for one in found.left_out]
    items: list[Item] = [Table(["what", "why"], rows)] if rows else [Note("Nothing was left out.")]
    total = sum(found.seconds.values())
    slow = ", ".join(f"{part} {spent:.1f} s" for part, spent in found.seconds.items() if spent >= 0.05)
    items.append(
        Note(f"Computed in {total:.1f} s{f' ({slow})' if slow else ''}; random inputs from the seed {found.seed}.")
    )
    arithmetic = (
        "All but the random inputs was computed in rational arithmetic: bounds enclose their round-off where the "
        "tables say so."
        if found.exact
        else "Where the tables do not say that it is enclosed, bounds are theorems evaluated in float64, and their "
        "own round-off is not in them: its relative size is about 1e-16 times the number of additions that follow "
        "one another. --exact computes in rationals."
    )
    items.append(Note(arithmetic))
    return Section(
        "What was left out", "Parts whose hypotheses the model does not meet, or that were not asked for.", items
    )


# -- verdicts -------------------------------------------------------------------------------------------------------


def _is_round_off(one: Certificate, outputs: Outputs | None) -> bool:
    return outputs is not None and one.seen <= ROUND_OFF * outputs.largest


def _seen(one: Certificate, outputs: Outputs | None) -> str:
    if outputs is None and one.seen == 0:
        return "-"
    return "0, up to round-off" if one.seen and _is_round_off(one, outputs) else number(one.seen)


def _ratio(one: Certificate, outputs: Outputs | None) -> str:
    return "-" if one.seen == 0 or _is_round_off(one, outputs) else number(one.ratio, 3)


def _verdicts(found: Sequence[Certificate], outputs: Outputs | None) -> Iterator[Note]:
    """How far the bounds are from what was seen, and from what the outputs are."""
    ratios = [one.ratio for one in found if one.bound and one.seen and not _is_round_off(one, outputs)]
    if ratios:
        yield Note(*_distance(statistics.median_low(ratios), "The median bound"))
    if outputs is None:
        return
    useless = [one.name for one in found if one.bound > 2 * outputs.largest]
    if useless:
        yield Note(
            "Larger than the distance between any two outputs that were seen, so of no use by itself: the bound for "
            f"{', '.join(useless)}.",
            is_warning=True,
        )
    if outputs.margin is not None and outputs.margin > 0:
        kept = [one.name for one in found if one.bound < outputs.margin]
        yield Note(
            f"A bound below the difference of the two largest outputs keeps the decision; that difference is "
            f"{number(outputs.margin)} at the median of the random inputs. "
            + (f"Below it: {', '.join(kept)}." if kept else "No bound is below it.")
        )


def _distance(ratio: float, what: str) -> tuple[str, bool]:
    """A sentence on a bound that is `ratio` times what was seen, and whether it is a warning."""
    if math.isinf(ratio):
        return f"{what} cannot be compared: nothing changed at the inputs that were tried.", False
    if ratio <= CLOSE:
        return f"{what} is {number(ratio, 3)} times what was seen: close.", False
    if ratio <= FAR:
        return f"{what} is {number(ratio, 3)} times what was seen: true for all inputs, and far from typical.", False
    return (
        f"{what} is {number(ratio, 3)} times what was seen: very far from what happens. It holds for all inputs, but "
        "is no estimate of the change.",
        True,
    )
