"""The theorem checks, re-exported from the package ``pathgraph_proofs_checks``; runnable with ``python -m``."""

from pathgraph_proofs_checks import (
    Check,
    ConjectureError,
    Equality,
    Inequality,
    Mutant,
    Profile,
    Report,
    all_checks,
    decode,
    drawn,
    encode,
    examine,
    load,
    main,
    network_from_text,
    network_to_text,
    refute,
    replay,
    summary,
    theorem,
)

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

if __name__ == "__main__":
    raise SystemExit(main())
