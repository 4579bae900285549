"""Where compiled kernels go: one folder for all workers of a run."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    if "CUDA_ON_CPU_CACHE" not in os.environ:
        base = tmp_path_factory.getbasetemp()
        base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        os.environ["CUDA_ON_CPU_CACHE"] = str(base / "cuda_on_cpu")
