"""The command ``python -m pathgraph MODEL``: its options, its files, its exit codes."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pathgraph as pg
from pathgraph.analysis.analyse import analyse
from pathgraph.analysis.arguments import folder, listed, shape, writable
from pathgraph.analysis.certificates import Settings
from pathgraph.analysis.document import ceiling, count, power
from pathgraph.analysis.formats import FLOAT_NAMES
from pathgraph.analysis.model import read
from pathgraph.analysis.page import page
from pathgraph.analysis.pictures import is_available, pictures
from pathgraph.analysis.results import Analysis, LeftOut
from pathgraph.analysis.sections import document
from pathgraph.analysis.terminal import show

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Analyse a model; see ``--help``.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0, or 1 if the model was refused, with one message on standard error, or if nobody reads the output to its
        end. Wrong arguments exit with 2.

    Examples
    --------
    >>> from pathgraph.analysis.command import main
    >>> main(["no-such-file.onnx"])
    1
    """
    options = _parser().parse_args(argv)
    try:
        with _progress(options.quiet) as progress:
            net = read(
                options.model, input_shape=options.input_shape, relu6=options.relu6, leaky_relu=options.leaky_relu
            )
            analysis = analyse(net, _settings(options), source=Path(options.model).name, progress=progress)
            report = None if options.report is None else _report(analysis, options.report)
            if options.json is not None:
                options.json.write_text(
                    json.dumps(analysis.as_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8"
                )
    except (pg.PathgraphError, OSError, MemoryError, OverflowError) as error:
        print(f"python -m pathgraph: {_message(error, options.model)}", file=sys.stderr)
        return 1
    if options.quiet:
        return 0
    try:
        show(analysis.source, document(analysis))
        for what, path in (("report", report), ("figures", options.json)):
            if path is not None:
                print(f"\n{what}: {path}")
        sys.stdout.flush()
    except BrokenPipeError:  # who reads, such as head, has had enough; nothing is left for the flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _message(error: Exception, model: str) -> str:
    """One message without line breaks."""
    if isinstance(error, OSError) and not isinstance(error, pg.PathgraphError) and error.strerror:
        return f"{error.filename or model}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"{model}: there is not enough memory for this model"
    if isinstance(error, OverflowError) and not isinstance(error, pg.PathgraphError):
        return f"{model}: a number of the model is beyond the range of float64"
    return " ".join(str(error).split()) or type(error).__name__


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        box=options.box,
        qs=options.q,
        seed=options.seed,
        trials=options.trials,
        shares=options.shares,
        bits=options.bits,
        formats=options.formats,
        samples=options.samples,
        exact=options.exact,
        certificates=not options.no_certificates,
    )


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None] | None]:
    """On a terminal, the part that is being computed, in one line that is wiped at the end."""
    if quiet or not sys.stderr.isatty():
        yield None
        return

    def say(part: str) -> None:
        print(f"\r\x1b[K{part} ...", end="", file=sys.stderr, flush=True)

    say("reading")
    try:
        yield say
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _report(analysis: Analysis, into: Path) -> Path:
    """Write the page; return its path."""
    found = {}
    if is_available():
        found = pictures(analysis)
    else:
        reason = "matplotlib is not installed; pip install 'pathgraph[plot]', or pip install '.[plot]' in a checkout"
        analysis.left_out.append(LeftOut("pictures", reason))
    summary = analysis.summary
    tiles = [
        ("parameters", count(summary.n_parameters)),
        ("neurons", count(summary.n_neurons)),
        ("edges", count(summary.n_edges)),
        ("paths", count(summary.paths)),
        *((f"path-norm, q = {norm.q:g}", power(norm.log)) for norm in analysis.norms),
    ]
    if analysis.lipschitz is not None:
        tiles.append(("Lipschitz bound", ceiling(min(analysis.lipschitz.bounds.values()))))
    lead = f"{summary.inputs} in, {summary.outputs} out; a ReLU network seen through its paths."
    text = page(analysis.source, lead, tiles, document(analysis), found, f"Written by pathgraph {pg.__version__}.")
    into.mkdir(parents=True, exist_ok=True)
    path = into / "index.html"
    path.write_text(text, encoding="utf-8")
    return path


# -- options --------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pathgraph",
        description="Analyse a ReLU network: sizes, path-norms, Lipschitz and generalisation bounds, scores by "
        "layer, and how far the outputs can move when weights are pruned or rounded. Exit code 0, 1 if the model is "
        "refused, 2 for wrong arguments.",
    )
    parser.add_argument("model", metavar="MODEL", help="an ONNX file, or a file that pathgraph.save wrote")
    files = parser.add_argument_group("output")
    files.add_argument("--report", type=folder, metavar="DIR", help="write one self-contained page DIR/index.html, too")
    files.add_argument("--json", type=writable, metavar="FILE", help="write every figure there, too")
    files.add_argument("--quiet", action="store_true", help="print nothing but errors")
    reading = parser.add_argument_group("reading an ONNX file")
    reading.add_argument(
        "--input-shape", type=shape, metavar="N,N,...", help="shape of the input, without the batch axis"
    )
    reading.add_argument("--relu6", choices=["relu", "exact"], help="take ReLU6 for ReLU, or model it by two ReLUs")
    reading.add_argument(
        "--leaky-relu", action="store_const", const="exact", help="model LeakyReLU and PReLU by two ReLUs"
    )
    what = parser.add_argument_group("what is computed")
    what.add_argument(
        "--box",
        type=_box,
        default=1.0,
        metavar="D",
        help="half-widths of the box of inputs |x_i| <= D: a number, numbers with commas, or a .npy file (default: 1)",
    )
    what.add_argument(
        "--q", type=_qs, default=(1, 2, 4), metavar="Q,Q,...", help="orders of path-norms (default: 1,2,4)"
    )
    what.add_argument("--samples", type=_natural, metavar="N", help="training samples, for the generalisation bound")
    what.add_argument("--trials", type=_count, metavar="N", help="random inputs (default: 64, fewer for large models)")
    what.add_argument("--seed", type=_count, default=0, metavar="N", help="of the random inputs (default: 0)")
    what.add_argument(
        "--shares", type=_shares, metavar="S,S,...", help="shares of the weights to prune, between 0 and 1"
    )
    what.add_argument("--bits", type=_bits, metavar="N,N,...", help="bits of fixed-point weights, from 2 to 32")
    what.add_argument(
        "--formats",
        type=_formats,
        metavar="F,F,...",
        help=f"float formats: {', '.join(FLOAT_NAMES)}; or none",
    )
    what.add_argument("--no-certificates", action="store_true", help="leave out pruning and precision certificates")
    what.add_argument(
        "--exact", action="store_true", help="compute in rationals: rigorous, and slow beyond small models"
    )
    return parser


def _qs(text: str) -> tuple[float, ...]:
    found = listed(text, float, "numbers >= 0 or inf with commas, as in 1,2,inf", lambda q: q >= 0)
    return tuple(int(q) if math.isfinite(q) and q == int(q) else q for q in found)


def _shares(text: str) -> tuple[float, ...]:
    return listed(text, float, "numbers between 0 and 1 with commas, as in 0.1,0.5", lambda s: 0 <= s <= 1)


def _bits(text: str) -> tuple[int, ...]:
    return listed(text, int, "integers from 2 to 32 with commas, as in 4,8", lambda n: 2 <= n <= 32)


def _formats(text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    return listed(
        text, str, f"'none', or some of {', '.join(FLOAT_NAMES)} with commas", lambda name: name in FLOAT_NAMES
    )


def _natural(text: str) -> int:
    return int(listed(text, int, "an integer >= 1", lambda n: n >= 1)[0])


def _count(text: str) -> int:
    return int(listed(text, int, "an integer >= 0", lambda n: n >= 0)[0])


def _box(text: str) -> Any:
    if text.endswith(".npy"):
        try:
            widths = np.load(text, allow_pickle=False).astype(np.float64).ravel()
        except (OSError, ValueError) as error:
            raise argparse.ArgumentTypeError(f"{text}: needed an array of numbers ({error})") from None
        if not (np.isfinite(widths).all() and (widths >= 0).all() and widths.size):
            raise argparse.ArgumentTypeError(f"{text}: needed finite numbers >= 0")
        return widths
    found = listed(text, float, "numbers >= 0 with commas, or a .npy file", lambda d: 0 <= d < math.inf)
    return found[0] if len(found) == 1 else np.array(found)
