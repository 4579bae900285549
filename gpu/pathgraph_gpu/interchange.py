"""Arrays of other libraries on the GPU, through DLPack: they lend their memory, and nothing is copied."""

from __future__ import annotations

from typing import Any

from pathgraph.errors import ConversionError
from pathgraph_gpu.device import cuda

__all__ = ["from_dlpack"]

CUDA, CUDA_MANAGED = 2, 13
"""Codes of DLPack for memory that the GPU reads."""
KINDS = {1: "the CPU", 3: "pinned memory of the CPU", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm"}


def from_dlpack(array: Any) -> Any:
    """An array of another library on the GPU as one of CuPy, which shares its memory.

    Networks and matrices on a device take the arrays of the device only; this is how a tensor of PyTorch becomes one.

    Parameters
    ----------
    array : object
        With the methods ``__dlpack__`` and ``__dlpack_device__``.

    Returns
    -------
    cupy.ndarray

    Raises
    ------
    ConversionError
        If it does not speak DLPack, or lives somewhere else than on a CUDA device.
    BackendError
        If CuPy is not installed, or cannot be imported.

    Examples
    --------
    >>> import numpy as np
    >>> from_dlpack(np.zeros(3))
    Traceback (most recent call last):
    ...
    pathgraph.errors.ConversionError: array: needed memory of a CUDA device, it is on the CPU; move it there first, ...
    """
    if not (hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__")):
        raise ConversionError(f"array: needed an array that offers __dlpack__, got {type(array).__name__}")
    kind = int(array.__dlpack_device__()[0])
    if kind not in (CUDA, CUDA_MANAGED):
        where = KINDS.get(kind, f"a device of kind {kind}")
        raise ConversionError(
            f"array: needed memory of a CUDA device, it is on {where}; move it there first, nothing is moved silently"
        )
    return cuda().xp.from_dlpack(array)
