"""The theorems of pathgraph as executable checks, each with the wrong versions that it must refute.

Without its extra the import is an error that says so; as a command it prints that, and exits with 2.
"""

try:
    import hypothesis  # noqa: F401
    import rich  # noqa: F401
except ImportError as error:
    import sys

    _said = (
        f"pathgraph.proofs_checks needs {error.name}, which is not installed; pip install 'pathgraph[checks]', or "
        "pip install '.[checks]' in a checkout"
    )
    # A facade holds no logic, and it imports this package before its `main`: a command is known by its module.
    if getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", None) == "pathgraph.proofs_checks":
        print(_said, file=sys.stderr)
        raise SystemExit(2) from None
    raise ImportError(_said) from error

from pathgraph.testing.outcome import Equality, Inequality
from pathgraph_proofs_checks.cli import main
from pathgraph_proofs_checks.codec import decode, encode, network_from_text, network_to_text, summary
from pathgraph_proofs_checks.conjectures import ConjectureError, load
from pathgraph_proofs_checks.registry import Check, Mutant, all_checks, drawn, theorem
from pathgraph_proofs_checks.runner import Profile, Report, examine, refute, replay

__all__ = [
    "Check",
    "ConjectureError",
    "Equality",
    "Inequality",
    "Mutant",
    "Profile",
    "Report",
    "all_checks",
    "decode",
    "drawn",
    "encode",
    "examine",
    "load",
    "main",
    "network_from_text",
    "network_to_text",
    "refute",
    "replay",
    "summary",
    "theorem",
]
