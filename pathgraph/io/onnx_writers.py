"""Which function writes which kind of layer as ONNX nodes?

A writer gets the file on its way, a layer, and the name of the tensor to make. The node that stands for the layer has
the layer's name; what it needs besides has names that begin with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathgraph.io.onnx_export import Writer
    from pathgraph.layers import Layer

__all__ = ["LAYER_WRITERS", "LayerWriter", "reshaped", "writes"]

LayerWriter = Callable[["Writer", "Layer", str], Any]
LAYER_WRITERS: dict[str, LayerWriter] = {}


def writes(*kinds: str) -> Callable[[LayerWriter], LayerWriter]:
    """Register what writes the layers of these kinds."""

    def register(writer: LayerWriter) -> LayerWriter:
        for kind in kinds:
            LAYER_WRITERS[kind] = writer
        return writer

    return register


def reshaped(file: Writer, x: str, shape: Sequence[int], layer: str, what: str) -> str:
    """The samples of x in another shape."""
    target = file.fixed(np.array([-1, *shape], dtype=np.int64), layer, f"{what}_shape")
    return file.helper_node("Reshape", [x, target], layer, what)
