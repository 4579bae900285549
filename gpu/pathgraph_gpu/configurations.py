"""A configuration of a kernel that launch code can choose: all of them have to compile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Configuration"]


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
