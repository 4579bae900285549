"""Code that is compiled for the vectors of another processor than this one, in a process of its own."""

import os
import platform
import subprocess
import sys

import pytest

VECTORS = {"generic": 16, "avx": 32, "avx512f": 64}
"""Bytes of a vector register."""

BEFORE = """
import sys
from itertools import product
import llvmlite.binding as llvm
import numba
import numpy as np
if sys.argv[1] != "generic":  # vectors that this processor may do in halves, and as many registers as go with them
    numba.njit(lambda x: x)(1)
    llvm.get_host_cpu_features = lambda: {sys.argv[1]: True}
WIDTH = int(sys.argv[2])
"""


def run_compiled_for(processor, text, cache):
    """Run a program, which has to end well, with vectors as in `VECTORS`: it finds their bytes in WIDTH."""
    if processor == "generic" and platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("the generic processor of another architecture has other registers")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    if processor == "generic":
        environment["NUMBA_CPU_NAME"] = "generic"
    arguments = [sys.executable, "-c", BEFORE + text, processor, str(VECTORS[processor])]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
