"""What Hypothesis finds by its entry point: strategies for types of pathgraph, for ``st.from_type`` and annotations."""

from __future__ import annotations

from typing import Any

__all__ = ["register"]


def register() -> None:
    """Tell Hypothesis how to draw networks, layer graphs, quantizers, Kronecker-sparse patterns, matrices and chains.

    Hypothesis calls it when it is imported; the strategies themselves are made when they are first asked for.
    """
    from importlib import import_module

    from hypothesis import strategies as st

    import pathgraph as pg

    def named(name: str) -> Any:
        return lambda _: getattr(import_module("pathgraph.testing"), name)()

    st.register_type_strategy(pg.Network, named("relu_dags"))
    st.register_type_strategy(pg.LayerGraph, named("layer_graphs"))
    st.register_type_strategy(pg.KSPattern, named("ks_patterns"))
    st.register_type_strategy(pg.KSMatrix, named("ks_matrices"))
    st.register_type_strategy(pg.KSChain, named("ks_chains"))
    st.register_type_strategy(pg.Quantizer, named("quantizations"))
