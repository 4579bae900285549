"""Codes of what happens between two networks: to an entry, and on a path."""

ZERO, SAME, SMALLER, LARGER, FLIP = range(5)
"""An entry: one of the two numbers is zero; or the same, a smaller or larger absolute value, another sign."""

UNCHANGED, SHRINKS, GROWS, MIXED, ODD, EVEN = range(6)
"""A path: its entries stay, shrink, grow, some of both, flip an odd number of times, or an even one of at least two."""
