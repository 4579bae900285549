"""The patterns and batches that products with Kronecker-sparse matrices are timed on.

They were drawn, with this seed, before any kernel was tuned, and are not chosen again. Grid: arXiv 2405.15013, with
what it drops; sizes bounded so that a run ends.
"""

from __future__ import annotations

import random

BATCHES = (64, 512, 4096)
PER_BATCH = 16
SEED = 240515013

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
SIZES = (48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
STRIDES = (1, 4, 16, 64)
DROPPED = {(1024, 256), (512, 128), (256, 64)}

Pattern = tuple[int, int, int, int]


def admissible(batch: int) -> list[Pattern]:
    """Every pattern of the grid with b = c, b = 4c or c = 4b whose arrays are not too large with this batch."""
    found = []
    for a in COUNTS:
        for b in SIZES:
            for c in SIZES:
                for d in STRIDES:
                    is_shape = b in (c, 4 * c) or c == 4 * b
                    is_kept = (b, c) not in DROPPED and (c, b) not in DROPPED
                    is_small = max(b, c) * a * d * batch <= 3e7 and a * b * c * d <= 2e7
                    if is_shape and is_kept and is_small:
                        found.append((a, b, c, d))
    return found


def drawn() -> list[tuple[Pattern, int]]:
    """48 patterns, each with its batch: 16 for each size of batch, without replacement, no pattern twice."""
    source, cases, used = random.Random(SEED), [], set()
    for batch in BATCHES:
        choices = [pattern for pattern in admissible(batch) if pattern not in used]
        for pattern in source.sample(choices, PER_BATCH):
            used.add(pattern)
            cases.append((pattern, batch))
    return cases
