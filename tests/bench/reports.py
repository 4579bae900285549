"""How long a report of a ResNet-18 takes: ``python -m tests.bench.reports [--json FILE] [--quick]``.

``python -m pathgraph MODEL.onnx --report DIR`` on the file of a ResNet-18 with random weights, at 224 x 224, in a
process of its own: wall and processor seconds, peak memory, and the seconds of each part: at most 15 seconds together.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench import measure
from tests.bench.resnets import resnet

BAR = 15.0
"""Seconds that a report at 224 x 224 may take."""


def reported(model: Path, folder: Path) -> dict[str, Any]:
    """One report; Unix only."""
    figures = folder / "figures.json"
    options = ["--quiet", "--report", str(folder), "--json", str(figures)]
    command = [sys.executable, "-m", "pathgraph", str(model), *options]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - start
    if status:
        raise RuntimeError(f"the report failed: {status}")
    found = json.loads(figures.read_text(encoding="utf-8"))
    return {
        "seconds": taken,
        "processor seconds": usage.ru_utime + usage.ru_stime,
        "peak, MB": usage.ru_maxrss / 1e3,
        "parts, seconds": found["seconds"],
        "left out": [one["what"] for one in found["left_out"]],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small images")
    chosen = parser.parse_args(arguments)
    size = 32 if chosen.quick else 224
    with tempfile.TemporaryDirectory() as name:
        model = Path(name, "resnet18.onnx")
        resnet(18, size, dtype=np.float32).to_onnx(model)
        runs = [reported(model, Path(name)) for _ in range(chosen.repeats)]
    middle = sorted(runs, key=lambda run: float(run["seconds"]))[len(runs) // 2]
    print(
        f"report of a ResNet-18 at {size} x {size}: {middle['seconds']:.1f} s, median of {len(runs)} "
        f"(bar {BAR:.0f} s at 224)"
    )
    print(f"  processor {middle['processor seconds']:.1f} s, peak {middle['peak, MB']:.0f} MB")
    for part, seconds in middle["parts, seconds"].items():
        print(f"  {part:24}{seconds:8.2f} s")
    print(f"  left out: {'; '.join(middle['left out'])}")
    if chosen.json:
        measure.write_json(chosen.json, {f"ResNet-18, {size}": runs})
    return 0


if __name__ == "__main__":
    sys.exit(main())
