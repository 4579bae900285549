"""The command ``python -m pathgraph MODEL``: analyse one model."""

from pathgraph.analysis.command import main

if __name__ == "__main__":
    raise SystemExit(main())
