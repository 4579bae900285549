"""``python -m pathgraph_gpu.report``: write the compile report, or check that one is true."""

from pathgraph_gpu.report.command import main

if __name__ == "__main__":
    raise SystemExit(main())
