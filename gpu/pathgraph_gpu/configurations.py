"""Kernels as launch code chooses them: blocks, macros of types, and configurations, all of which have to compile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["C_NAMES", "THREADS", "Configuration"]

THREADS = 256
"""The threads of a block, in the kernels for which no tile says how many there are."""

C_NAMES = {"float16": "__half", "float32": "float", "float64": "double", "int32": "int", "int64": "long long"}
"""What CUDA calls a type of NumPy."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A kernel, the options it is compiled with, and the block it is launched with.

    Parameters
    ----------
    file, kernel : str
        The translation unit, and the name of the kernel in it.
    options : tuple of str
        Macros.
    block : tuple of int
        Threads of a block.
    shared_mem : int
        Bytes of dynamic shared memory.
    main_tile : bool
        Whether it spends its time in a tile of multiply-adds, whose mix of instructions is worth a budget.
    dtype : dtype
        Of the values.
    """

    file: str
    kernel: str
    options: tuple[str, ...]
    block: tuple[int, ...]
    shared_mem: int
    main_tile: bool
    dtype: np.dtype[Any]
