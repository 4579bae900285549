r"""What the structure of a network costs in a generalisation bound: the constants of peeling.

The path-norm bounds how much a network can correlate with random signs. After normalisation every hidden neuron has
incoming weights and a bias of :math:`\ell^1`-norm at most 1, and the neurons are peeled off from the outputs to the
inputs: for a convex non-decreasing :math:`G \ge 0` and independent signs,

.. math:: \mathbb E \sup_{\theta, u} G\Big(\Big|\sum_i \varepsilon_i u(\theta, x_i)\Big|\Big) \le
   a \; \mathbb E \max_w G\Big(\Big|\sum_i \varepsilon_i w(\theta, x_i)\Big|\Big) ,

u among the neurons peeled and w among their antecedents, where a counts 1 for what passes unchanged, 2 for ReLU
neurons and 2K for each type (k, in-degree K) of k-max-pools. What is left are 2 exponential moments, for the two signs,
of each input, the constant behind the biases included, and for each output. Their number A gives

.. math:: \mathbb E \sup_{\|\Phi(\theta)\|_1 \le r} \sum_{i,v} \varepsilon_{i,v} R_\theta(x_i)_v
   \le \sqrt 2\,\sigma C r,
   \qquad C = \sqrt{\log A} .

A is rational, and kept so. This module computes it in several ways, and nothing that depends on data.

Sources: arXiv 2310.01225 for `PeelingConstants.theorem` and `PeelingConstants.sharpened`; when
these hold with other depths, and `PeelingConstants.staged`, are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.pathsum.blocks import POOL, RELU, Block, Node
from pathgraph.pathsum.reach import longest, reached, reaching
from pathgraph.resolutions import ReluNetwork, Structure, refuse_device_network
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["ConstantName", "PeelingConstants", "peeling_constants"]

ConstantName = Literal["staged", "theorem", "sharpened"]


@dataclass(frozen=True)
class PeelingConstants:
    r"""The structural constants of a generalisation bound; made by `peeling_constants`, or from plain numbers.

    Attributes
    ----------
    depth : int
        D, in the convention of the caller: edges on the longest path; 1 + the number of ReLU and pool neurons on a path
        (`collapsed_depth`); or the depth in a network's name.
    n_inputs, n_outputs : int
    pool_size : int
        K, the largest in-degree of a pool; 1 if there is none.
    pool_types : int
        P, the number of distinct pairs (k, in-degree) of pools.
    pool_layers : int
        M of the sharpened constant: the largest number of pools on a path.
    biases : bool
        Whether there are biases: then the constant counts as one more input, which is 1.
    stages : tuple of int, optional
        The factor of each stage of peeling, from the inputs on; None if only plain numbers are known.

    Notes
    -----
    A **stage** is the set of ReLU and pool neurons that have equally many such neurons before them, on the longest
    path. Its factor is 2 if it holds ReLUs, plus 2K for each type of its pools, plus 1 if what comes before it is
    used after it, or at an identity neuron beside it. Identity neurons cost nothing. The product over the stages
    replaces the geometric sum of the theorem, on any DAG.

    References
    ----------
    arXiv 2310.01225; `stages` is derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> resnet18 = pg.PeelingConstants(18, 150528, 1000, pool_size=9, pool_types=1, pool_layers=1)
    >>> f"{resnet18.theorem:.5f} {resnet18.sharpened:.5f}"
    '9.39499 6.38764'
    """

    depth: int
    n_inputs: int
    n_outputs: int
    pool_size: int = 1
    pool_types: int = 0
    pool_layers: int = 0
    biases: bool = True
    stages: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, least in (("depth", 0), ("n_inputs", 1), ("n_outputs", 1), ("pool_size", 1)):
            natural(getattr(self, name), name, least=least)
        natural(self.pool_types, "pool_types")
        natural(self.pool_layers, "pool_layers")
        if self.pool_size > 1 and not self.pool_types:
            raise ParameterError(f"pool_types: pools of size {self.pool_size} have at least one type, got 0")
        if not isinstance(self.biases, bool):
            raise ParameterError(f"biases: needed True or False, got {argument_text(self.biases)}")
        for factor in self.stages or ():
            natural(factor, "stages", least=1)

    @property
    def coordinates(self) -> int:
        """The inputs, and the constant if there are biases."""
        return self.n_inputs + self.biases

    def moments(self, constant: ConstantName) -> Fraction:
        r"""A, exactly: the number of exponential moments, :math:`C^2 = \log A`.

        Parameters
        ----------
        constant : {"staged", "theorem", "sharpened"}

        Raises
        ------
        ParameterError
            On an unknown name, and if the stages are unknown.
        """
        ends = self.coordinates * self.n_outputs
        if constant == "theorem":
            factor = 3 + 2 * self.pool_types
            return Fraction((factor * self.pool_size) ** self.depth * factor * ends, 1 + self.pool_types)
        if constant == "sharpened":
            return Fraction(3**self.depth * self.pool_size**self.pool_layers * ends)
        if constant != "staged":
            raise ParameterError(f"constant: needed 'staged', 'theorem' or 'sharpened', got {argument_text(constant)}")
        if self.stages is None:
            raise ParameterError("constant: 'staged' needs the stages of a network, and here are plain numbers")
        return Fraction(math.prod(self.stages) * 2 * ends)

    def value(self, constant: ConstantName) -> float:
        """C, by one of the names of `moments`."""
        moments = self.moments(constant)
        return math.sqrt(math.log(moments.numerator) - math.log(moments.denominator))

    @property
    def theorem(self) -> float:
        r"""C of the theorem: :math:`C^2 = D \log((3+2P)K) + \log(\frac{3+2P}{1+P}(d_{in}+1)d_{out})`."""
        return self.value("theorem")

    @property
    def sharpened(self) -> float:
        r"""C of the remark: :math:`C^2 = D \log 3 + M \log K + \log((d_{in}+1)d_{out})`; see `is_proved`."""
        return self.value("sharpened")

    @property
    def staged(self) -> float:
        r"""C by stages: :math:`C^2 = \sum_l \log a_l + \log(2(d_{in}+1)d_{out})`."""
        return self.value("staged")

    @property
    def collapsed_depth(self) -> int | None:
        """The depth without identity neurons: 1 + the number of stages; None if these are unknown."""
        return None if self.stages is None else 1 + len(self.stages)

    def is_proved(self, constant: ConstantName) -> bool | None:
        """Whether a constant is large enough to be valid, whatever its formula: not smaller than the staged one.

        The sharpened constant need not be, if pools of several types stand at one depth; nor need the theorem's, with
        the depth of a name. None if the stages are unknown.
        """
        return None if self.stages is None else self.moments(constant) >= self.moments("staged")


def peeling_constants(net: ReluNetwork | Structure, *, depth: int | None = None) -> PeelingConstants:
    """The structural constants of a network: depth, pools, stages of peeling.

    Parameters
    ----------
    net : Network, LayerGraph or Architecture
        Only the structure counts: zero weights are edges. Neurons on no path do not count.
    depth : int, optional
        Another depth for the constants of the theorem and of the remark, such as the one in a network's name; the
        number of edges on the longest path by default. It changes nothing in the stages.

    Returns
    -------
    PeelingConstants

    Raises
    ------
    ParameterError
        If `net` is neither, or the depth no integer >= 1.

    Notes
    -----
    A pool is counted with all its antecedents, and its type with its in-degree: the contraction needs pools of equal
    size. A few passes over the edges.

    References
    ----------
    arXiv 2310.01225; the stages are derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2], [3, 4]], [[5, 6]], [[7]]])
    >>> found = pg.peeling_constants(net)
    >>> found.depth, found.stages, found.moments("staged"), found.moments("theorem")
    (3, (2, 2), Fraction(16, 1), Fraction(162, 1))
    """
    refuse_device_network(net)
    if not isinstance(net, (ReluNetwork, Structure)):
        raise ParameterError(f"net: needed a Network, a LayerGraph or an Architecture, got {type(net).__name__}")
    structure = _Structure(net.architecture if isinstance(net, ReluNetwork) else net)
    types = {kind for stage in structure.pools for kind in stage}
    return PeelingConstants(
        depth=structure.depth if depth is None else natural(depth, "depth", least=1),
        n_inputs=len(net.dag.inputs),
        n_outputs=len(net.dag.outputs),
        pool_size=max((degree for _, degree in types), default=1),
        pool_types=len(types),
        pool_layers=structure.pool_layers,
        biases=structure.biases,
        stages=structure.stages(),
    )


class _Structure:
    """Heights of the neurons, and what happens at each stage; a few passes forward and one backward."""

    def __init__(self, structure: Structure) -> None:
        self.dag = dag = structure.dag
        self.ones = structure.cut(np.ones(structure.n_entries))
        self.activation = np.zeros(dag.size, dtype=np.int8)
        for node in dag.nodes:
            self.activation[node.target] = node.activation
        self.counted = np.isin(self.activation, (RELU, POOL))
        depths = longest(dag, self.ones, np.ones(dag.size, dtype=np.int64))
        pools = longest(dag, self.ones, (self.activation == POOL).astype(np.int64))
        self.height = longest(dag, self.ones, self.counted.astype(np.int64))
        self.depth, self.n_stages, self.pool_layers = (
            max(0, int(found[dag.outputs].max())) for found in (depths, self.height, pools)
        )
        useful = np.zeros(dag.size, dtype=bool)
        useful[dag.outputs] = True
        for node in reversed(dag.nodes):
            for block in node.blocks:
                useful[block.source] |= reaching(block, self.ones, useful[block.target][None])[0]
        self.live = useful & (depths >= 0)
        self.pools: list[set[tuple[int, int]]] = [set() for _ in range(self.n_stages)]
        for node in dag.nodes:
            for rank, degree, height in _pool_types(node, self.live, self.height, dag.size):
                if height:
                    self.pools[height - 1].add((rank, degree))
        place = np.arange(dag.size)
        biased = [place[block.target][_has_edge(block, self.ones)] for node in dag.nodes for block in node.biases]
        self.biased = np.concatenate([np.empty(0, dtype=np.int64), *biased])
        self.biased = self.biased[self.live[self.biased]]
        self.biases = bool(len(self.biased))

    def stages(self) -> tuple[int, ...]:
        """The factor of each stage, from the inputs on."""
        has_relu = np.zeros(self.n_stages + 2, dtype=bool)
        has_relu[self.height[self.live & (self.activation == RELU)]] = True
        used = self.height + ~self.counted  # where the antecedents of a neuron are used
        used[self.dag.outputs] = self.n_stages + 1
        is_constant = self.live & (self.height == 0)
        is_constant[self.dag.inputs] = False
        passes = np.zeros(self.n_stages + 3, dtype=bool)
        # A pool with a bias needs the constant at its own stage, too.
        until = int((used[self.biased] + (self.activation[self.biased] == POOL)).max(initial=0))
        for block in self.dag.blocks():
            if block.is_bias:
                continue
            tail, head = self.live[block.source], self.live[block.target]
            constant = is_constant[block.source]
            heights = np.unique(self.height[block.source][tail & ~constant])
            flags = np.stack([constant, *(tail & ~constant & (self.height[block.source] == h) for h in heights)])
            hits = reached(block, self.ones, flags) & head
            until = max(until, int(used[block.target][hits[0]].max(initial=0)))
            for height, hit in zip(heights.tolist(), hits[1:], strict=True):
                passes[height + 1 : int(used[block.target][hit].max(initial=0))] = True
        passes[1:until] |= ~has_relu[1:until]  # the constant passes as a ReLU where there is one
        return tuple(
            int(passes[stage]) + 2 * int(has_relu[stage]) + 2 * sum(degree for _, degree in self.pools[stage - 1])
            for stage in range(1, self.n_stages + 1)
        )


def _has_edge(block: Block, ones: Sequence[Array]) -> Array:
    return np.asarray(reached(block, ones, np.ones((1, block.shape[1])))[0])


def _pool_types(node: Node, live: Array, height: Array, size: int) -> set[tuple[int, int, int]]:
    """The triples (rank, in-degree, height) of the pools of a node that are on paths."""
    is_pool = node.activation == POOL
    if not is_pool.any():
        return set()
    degree = np.zeros(size, dtype=np.int64)
    for block in node.blocks:
        degree[block.target] += block.degrees()
    positions = np.arange(size)[node.target]
    chosen = is_pool & live[positions]
    columns = (node.rank[chosen], degree[positions[chosen]], height[positions[chosen]])
    return set(zip(*(column.tolist() for column in columns), strict=True))
