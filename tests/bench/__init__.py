"""Benchmarks, run by hand: ``python -m tests.bench.NAME``. They time, they do not judge; no test imports them.

The environment variables that pin the kernels of OpenBLAS are cleared here, before anything imports NumPy, and its
threads are set to one, like those of the library.
"""

import os

for _variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_variable, None)
os.environ["OPENBLAS_NUM_THREADS"] = "1"
