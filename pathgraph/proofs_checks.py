"""The theorem checks, re-exported from the package ``pathgraph_proofs_checks``; runnable with ``python -m``."""

from pathgraph_proofs_checks import (
    Check,
    Equality,
    Inequality,
    Mutant,
    Profile,
    Report,
    all_checks,
    decode,
    encode,
    examine,
    main,
    network_from_text,
    network_to_text,
    refute,
    replay,
    summary,
)

__all__ = [
    "Check",
    "Equality",
    "Inequality",
    "Mutant",
    "Profile",
    "Report",
    "all_checks",
    "decode",
    "encode",
    "examine",
    "main",
    "network_from_text",
    "network_to_text",
    "refute",
    "replay",
    "summary",
]

if __name__ == "__main__":
    raise SystemExit(main())
