"""Levels and edge order: the compiled kernels, the NumPy functions and networkx agree."""

import subprocess
import sys
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.graph import ordering


@pytest.fixture(params=["compiled", "numpy"])
def execution(request, monkeypatch):
    """Both executions, on graphs of any size."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        monkeypatch.setattr(ordering, "COMPILED_FROM", 0)
        assert ordering._compiled(1, 0) is not None
    else:
        monkeypatch.setattr(ordering, "_kernels", lambda: None)
    return request.param


def random_edges(random, n_nodes, n_edges, acyclic=True):
    """Distinct edges in random order, under a random numbering."""
    pairs = {tuple(random.integers(0, n_nodes, size=2).tolist()) for _ in range(n_edges)}
    if acyclic:
        pairs = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    number = random.permutation(n_nodes)
    edges = number[np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)]
    source, target = random.permutation(edges).T
    return np.ascontiguousarray(source), np.ascontiguousarray(target)


def graph_of(n_nodes, source, target):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n_nodes))
    graph.add_edges_from(zip(source.tolist(), target.tolist(), strict=True))
    return graph


@pytest.mark.parametrize("seed", range(40))
def test_levels_and_edges(execution, seed):
    random = np.random.default_rng(seed)
    n_nodes = int(random.integers(1, 30))
    source, target = random_edges(random, n_nodes, int(random.integers(0, 80)))
    start, antecedent, by_target = ordering.grouped(n_nodes, source.astype(np.int32), target.astype(np.int32))
    order = np.arange(len(source)) if by_target is None else by_target
    assert np.array_equal(np.sort(order), np.arange(len(source)))
    assert np.array_equal(antecedent, source[order])
    assert np.array_equal(np.repeat(np.arange(n_nodes), np.diff(start)), target[order])

    level = ordering.longest_distances(start, antecedent)
    generations = nx.topological_generations(graph_of(n_nodes, source, target))
    expected = {v: depth for depth, generation in enumerate(generations) for v in generation}
    assert level.tolist() == [expected[v] for v in range(n_nodes)]

    canonical = np.argsort(level, kind="stable").astype(np.int32)
    place = np.argsort(canonical)
    new_start = np.concatenate([[0], np.cumsum(np.diff(start)[canonical])])
    edges = ordering.edge_order(start, antecedent, canonical, new_start)
    pairs = [(place[target[order][e]], place[antecedent[e]]) for e in edges]
    assert pairs == sorted(pairs)
    assert sorted(edges.tolist()) == list(range(len(source)))


@pytest.mark.parametrize("seed", range(40))
def test_cycles(execution, seed):
    random = np.random.default_rng(seed)
    n_nodes = int(random.integers(1, 8))
    source, target = random_edges(random, n_nodes, int(random.integers(1, 14)), acyclic=False)
    graph = graph_of(n_nodes, source, target)
    start, antecedent, _ = ordering.grouped(n_nodes, source, target)
    if nx.is_directed_acyclic_graph(graph):
        assert ordering.longest_distances(start, antecedent).max() == nx.dag_longest_path_length(graph)
        return
    _, cycle = ordering._levels(start, antecedent)
    assert len(cycle)
    assert len(set(cycle)) == len(cycle)
    assert all(graph.has_edge(cycle[i], cycle[i - 1]) for i in range(len(cycle)))
    with pytest.raises(pg.GraphError, match=rf"cycle {min(cycle)} -> .*\({len(cycle)} long\)"):
        ordering.longest_distances(start, antecedent)


def test_deep_graphs(execution, monkeypatch):
    n_nodes = 3000
    monkeypatch.setattr(ordering, "DEEP", 1000)
    for antecedent in (np.arange(n_nodes - 1), np.arange(1, n_nodes)):
        start = np.concatenate([[0, 0], np.arange(1, n_nodes)])
        start = start if antecedent[0] == 0 else np.append(np.arange(n_nodes), n_nodes - 1)
        level = ordering.longest_distances(start, antecedent)
        assert level.tolist() == (list(range(n_nodes)) if antecedent[0] == 0 else list(range(n_nodes))[::-1])


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 20])
def test_disorder(monkeypatch, chunk):
    monkeypatch.setattr(ordering, "CHUNK", chunk)
    random = np.random.default_rng(chunk)
    for _ in range(200):
        start = np.concatenate([[0], np.cumsum(random.integers(0, 4, size=6))])
        antecedent = random.integers(0, 12, size=start[-1])
        rows = [range(lo + 1, hi) for lo, hi in pairwise(start.tolist())]
        falls = [e for row in rows for e in row if antecedent[e] <= antecedent[e - 1]]
        assert ordering.first_disorder(start, antecedent) == (falls[0] if falls else None)
        used = set(antecedent.tolist())
        assert ordering.has_successor(12, antecedent).tolist() == [v in used for v in range(12)]


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


PROGRAM = """
import sys
import numpy as np
import pathgraph as pg
from pathgraph.graph import ordering
ordering.COMPILED_FROM = 1
BLOCK
net = pg.from_arrays([2, 1, 0], [1.0, 2.0, 4.0], targets=[1, 0, 3], activation="relu")
print(list(net.nodes) == [2, 1, 0, 3], pg.path_norm(net), ordering._kernels() is None, "numba" in sys.modules)
"""


def test_without_numba():
    assert run(PROGRAM.replace("BLOCK", "sys.modules['numba'] = None")) == ["True", "8.0", "True", "True"]


def test_numba_is_imported_for_large_graphs_only():
    pytest.importorskip("numba")
    assert run(PROGRAM.replace("BLOCK", "")) == ["True", "8.0", "False", "True"]
    small = "import sys, pathgraph as pg; print(pg.from_weights([[[1.0]]]).nodes[0], 'numba' in sys.modules)"
    assert run(small)[-1] == "False"
