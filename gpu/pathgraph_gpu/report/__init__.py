"""What the compiler makes of the kernels, for every configuration and architecture; no GPU is needed.

`nvrtc` compiles, `ptxas` reads the compiler's log, `sass` counts instructions, `occupancy` says how many warps fit on a
multiprocessor, `compiled` puts them together, and `budgets` refuses what is too large.
``python -m pathgraph_gpu.report`` writes the report or checks one.
"""

from pathgraph_gpu.report.budgets import stale, violations
from pathgraph_gpu.report.compiled import Report, compile_report, configurations
from pathgraph_gpu.report.nvrtc import CompilationError, Nvrtc
from pathgraph_gpu.report.occupancy import ARCHITECTURES, LIMITS, Occupancy, occupancy
from pathgraph_gpu.report.ptxas import Resources, parse_log
from pathgraph_gpu.report.sass import Instruction, Mix, disassembled, innermost_loops, main_loop, mix

__all__ = [
    "ARCHITECTURES",
    "LIMITS",
    "CompilationError",
    "Instruction",
    "Mix",
    "Nvrtc",
    "Occupancy",
    "Report",
    "Resources",
    "compile_report",
    "configurations",
    "disassembled",
    "innermost_loops",
    "main_loop",
    "mix",
    "occupancy",
    "parse_log",
    "stale",
    "violations",
]
