"""Brute force on a `networkx.DiGraph` of the graph contract: plain recursion, and lists of all paths.

Nothing here comes from pathgraph and nothing is clever: every quantity of the library is written once more as its
definition says, in whatever scalars the graph holds (Fractions, as a rule), so that the tests compare with ``==``.
"""

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from math import prod

import networkx as nx


def logarithm(fraction):
    """The natural logarithm of a positive rational, to 60 digits."""
    with localcontext(prec=70):

        def ln(n):
            shift = max(0, n.bit_length() - 256)
            return Decimal(n >> shift).ln() + shift * Decimal(2).ln()

        return ln(fraction.numerator) - ln(fraction.denominator)


class Oracle:
    """The definitions, on one graph.

    The *parts* of a path are its edges (u, v), preceded by (None, v) if the path stands for the bias of v.
    """

    def __init__(self, graph):
        level = {}
        for v in nx.topological_sort(graph):
            level[v] = max((level[u] + 1 for u in graph.pred[v]), default=0)
        self.graph = graph
        self.level = level
        self.nodes = sorted(graph, key=level.get)  # stable: by level, then by insertion
        self.kind = nx.get_node_attributes(graph, "activation")
        self.bias = {v: b for v, b in graph.nodes(data="bias") if b is not None}
        self.inputs = [v for v in graph if self.kind[v] == "input"]
        marked = [v for v, mark in graph.nodes(data="output") if mark]
        self.outputs = marked or [v for v in graph if not graph.succ[v] and self.kind[v] != "input"]

    def antecedents(self, v):
        return sorted(self.graph.pred[v], key=self.nodes.index)

    def weight(self, part):
        u, v = part
        return self.bias[v] if u is None else self.graph.edges[u, v]["weight"]

    # -- evaluation -----------------------------------------------------------------------------------------------

    def values(self, x):
        """The value of every neuron; `x` maps inputs to numbers."""
        value = dict(x)
        for v in self.nodes:
            if self.kind[v] == "input":
                continue
            candidates = sorted((c for _, c in self.candidates(v, value)), reverse=True)
            if self.kind[v] == "pool":
                value[v] = candidates[self.graph.nodes[v].get("rank", 1) - 1] + self.bias.get(v, 0)
            else:
                value[v] = sum(candidates) + self.bias.get(v, 0)
            if self.kind[v] == "relu":
                value[v] = max(value[v], 0)
        return value

    def candidates(self, v, value):
        return [(u, self.weight((u, v)) * value[u]) for u in self.antecedents(v)]

    # -- paths ----------------------------------------------------------------------------------------------------

    def paths(self, end=None):
        """The paths to the outputs, or to one neuron: those through each antecedent, then the bias."""
        if end is None:
            return [path for v in self.outputs for path in self.paths(v)]
        if self.kind[end] == "input":
            return [(end,)]
        through = [(*path, end) for u in self.antecedents(end) for path in self.paths(u)]
        return through + ([(end,)] if end in self.bias else [])

    def starts_at_input(self, path):
        return self.kind[path[0]] == "input"

    def parts(self, path):
        return list(pairwise(path if self.starts_at_input(path) else (None, *path)))

    def product(self, path):
        return prod(map(self.weight, self.parts(path)))

    def product_of_edges(self, path):
        return prod(map(self.weight, pairwise(path)))

    def is_active(self, path, value):
        """Whether every neuron of the path lets it through on the input with these neuron values."""
        relus = all(value[v] > 0 for v in path if self.kind[v] == "relu")
        return relus and all(self.selected(v, value) == u for u, v in pairwise(path) if self.kind[v] == "pool")

    def selected(self, v, value):
        """The first antecedent of a pool whose candidate is its value."""
        return next(u for u, c in self.candidates(v, value) if c + self.bias.get(v, 0) == value[v])

    # -- sums over paths ------------------------------------------------------------------------------------------

    def path_sum(self, ring, paths=None, start=None, parts=None):
        """The sum in a semiring (anything with zero, one, add, mul, value ...), path by path and edge by edge."""
        parts = parts or self.parts

        def element(part):
            if ring.edge_value is not None:
                return ring.edge_value(self.weight(part), part[1] if part[0] is None else part)
            value = ring.bias_value if part[0] is None and ring.bias_value else ring.value
            return value(self.weight(part))

        def product(path):
            first = start[path[0]] if start and self.starts_at_input(path) else ring.one
            return reduce(lambda before, part: ring.mul(element(part), before), parts(path), first)

        return reduce(ring.add, map(product, self.paths() if paths is None else paths), ring.zero)

    def powers(self, q, end, widths=None):
        """The |path product|**q of the paths to one neuron, those from input u weighted by widths[u]."""
        return [abs(self.product(p) * (widths or {}).get(p[0], 1)) ** q for p in self.paths(end)]

    def max_pass(self, v, widths):
        """The sum pass on absolute values without biases, from these input widths, with maxima at pools."""
        if self.kind[v] == "input":
            return widths[v]
        candidates = [abs(self.weight((u, v))) * self.max_pass(u, widths) for u in self.graph.pred[v]]
        return max(candidates) if self.kind[v] == "pool" else sum(candidates)

    # -- symmetry -------------------------------------------------------------------------------------------------

    def rescaled(self, factors):
        """The graph with factors[v] on the neurons."""
        graph = self.graph.copy()
        lam = dict.fromkeys(graph, 1) | factors
        for u, v, data in graph.edges(data=True):
            data["weight"] = data["weight"] * lam[v] / lam[u]
        for v in self.bias:
            graph.nodes[v]["bias"] = self.bias[v] * lam[v]
        return graph

    def allows(self, factors):
        """Whether these factors leave structural entries alone and treat tied ones alike."""
        lam = dict.fromkeys(self.graph, 1) | {None: 1} | factors
        ratios = {}
        for (u, v), value, role, name in self.entries():
            if value and role == "structural":
                ratios.setdefault(None, {1}).add(Fraction(lam[v]) / lam[u])
            elif value and name:
                ratios.setdefault(name, set()).add(Fraction(lam[v]) / lam[u])
        return all(len(found) == 1 for found in ratios.values())

    def equations(self, hidden):
        """The linear equations between the exponents of allowed factors on `hidden`: one row of integers each."""
        first, rows = {}, []
        for (u, v), value, role, name in self.entries():
            change = [(w == v) - (w == u) for w in hidden]
            if value and role == "structural":
                rows.append(change)
            elif value and name:
                rows.append([a - b for a, b in zip(change, first.setdefault(name, change), strict=True)])
        return rows

    def entries(self):
        """Every weight and bias: its part, its value, its role and the name of its parameter, if it has one."""
        for u, v, data in self.graph.edges.data():
            yield (u, v), data["weight"], data.get("role"), data.get("parameter")
        for v, bias in self.bias.items():
            data = self.graph.nodes[v]
            yield (None, v), bias, data.get("bias_role"), data.get("bias_parameter")


def rank(rows):
    """Of a matrix of integers, by elimination over the rationals."""
    rows, found = [[Fraction(number) for number in row] for row in rows], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in rows if row[column]), None)
        if pivot is not None:
            rows.remove(pivot)
            rows = [[a - row[column] / pivot[column] * b for a, b in zip(row, pivot, strict=True)] for row in rows]
            found += 1
    return found
