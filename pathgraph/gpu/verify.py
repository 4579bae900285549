"""Verify and time the kernels on this GPU: ``python -m pathgraph.gpu.verify``."""

from pathgraph_gpu.verification.command import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
