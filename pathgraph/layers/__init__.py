"""Networks at the resolution of tensors: layer graphs, their blocks, their expansion to neurons."""

from pathgraph.layers.builder import LayerGraphBuilder, Signal, TensorHandle
from pathgraph.layers.layer_graph import Layer, LayerGraph

__all__ = ["Layer", "LayerGraph", "LayerGraphBuilder", "Signal", "TensorHandle"]
