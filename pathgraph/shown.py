"""How numbers and mappings are shown in representations, short enough for a line, and arguments in errors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context
from fractions import Fraction
from itertools import islice
from math import isfinite, log2
from typing import Any

import numpy as np

__all__ = [
    "argument_text",
    "article",
    "counted",
    "decimal_text",
    "mapping_text",
    "number_text",
    "shortened",
    "told_apart",
    "whole_text",
]

MOST_ITEMS, MOST_CHARACTERS = 200, 400
"""Up to so many an argument is shown as it is in an error."""


def number_text(value: Any, digits: int = 6, rounding: str = ROUND_HALF_EVEN) -> str:
    """A number with about `digits` digits; fractions that are longer than 20 characters as ``~`` decimals.

    `rounding` is one of `decimal`'s, for floats: enclosures are shown by enclosures.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from pathgraph.shown import number_text
    >>> number_text(2.0), number_text(2 / 3), number_text(Fraction(1, 3)), number_text(Fraction(1, 3**40))
    ('2.0', '0.666667', '1/3', '~8.22526e-20')
    """
    if isinstance(value, np.ndarray):
        parts = [number_text(part, digits, rounding) for part in value[:6]]
        return f"[{', '.join(parts)}{', ...' if len(value) > 6 else ''}]"
    if isinstance(value, (Fraction, int, np.integer)) and not isinstance(value, bool):
        size = Fraction(int(value.numerator), int(value.denominator))
        if max(abs(size.numerator), size.denominator).bit_length() < 64 and len(str(size)) <= 20:
            return str(value)
        return "~" + decimal_text(size, digits)
    if isinstance(value, (float, np.floating)):
        text = _rounded(value, digits, rounding)
        return f"{text}.0" if text.lstrip("-").isdecimal() else text
    return str(value)


def _rounded(value: Any, digits: int, rounding: str) -> str:
    if isfinite(value):  # the shortest decimal that is the float, rounded: 0.1 is 0.1 in every direction
        value = float(Context(prec=digits, rounding=rounding).create_decimal(str(value)))
    return f"{float(value):.{digits}g}"


def decimal_text(value: Fraction, digits: int) -> str:
    """A fraction of any size in scientific notation, without its full expansion."""
    size = abs(value)
    if not size:
        return "0"
    bits = size.numerator.bit_length() - size.denominator.bit_length()
    exponent = int(bits / log2(10))  # within one of the right one
    scaled = float(size / Fraction(10) ** exponent)
    mantissa, _, shift = f"{scaled:.{digits - 1}e}".partition("e")
    total = exponent + int(shift)
    sign = "-" if value < 0 else ""
    if -5 < total < digits:
        return f"{float(value):.{digits}g}"
    return f"{sign}{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{total}"


def argument_text(value: Any) -> str:
    """How an argument is shown in an error: as Python writes it, if that is short.

    Rationals of more than some 60 digits come as decimals, collections of more than 200 items as the number of these,
    and any other text of more than 400 characters without its middle. What cannot be written, such as an integer with
    more digits than Python writes in a list, is named by its type.

    Examples
    --------
    >>> from pathgraph.shown import argument_text
    >>> argument_text([1, "two"]), argument_text(10**100), argument_text(range(3)), argument_text([0] * 10**6)
    ("[1, 'two']", '~1e100', 'range(0, 3)', 'a list of 1,000,000 items')
    """
    if _is_long(value):
        return number_text(value)
    if isinstance(value, (list, tuple, set, frozenset, dict)) and len(value) > MOST_ITEMS:
        return f"{article(type(value).__name__)} of {len(value):,} items"
    try:
        return shortened(repr(value), MOST_CHARACTERS)
    except Exception:  # above all, an integer inside with more digits than Python writes; or what writes it is at fault
        return article(type(value).__name__)


def whole_text(value: Any) -> str:
    """A number with all its digits, lest two that differ look equal; rationals of more than 60 as decimals."""
    return number_text(value) if _is_long(value) else str(value)


def _is_long(value: Any) -> bool:
    """Whether a rational has more than some 60 digits."""
    is_rational = isinstance(value, (int, Fraction))
    return is_rational and max(abs(value.numerator), value.denominator).bit_length() > 200


def mapping_text(mapping: Mapping[Any, Any]) -> str:
    """A mapping with its first six items."""
    parts = [f"{key!r}: {value!r}" for key, value in islice(mapping.items(), 6)]
    return f"{{{', '.join(parts)}{', ...' if len(mapping) > 6 else ''}}}"


def counted(number: int, noun: str) -> str:
    """A number and a noun, with an s unless there is one.

    Examples
    --------
    >>> counted(1, "factor"), counted(0, "factor")
    ('1 factor', '0 factors')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def article(word: str) -> str:
    """A word behind its indefinite article."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def shortened(text: str, size: int = 24) -> str:
    """The text, with dots for its middle if it is longer than `size`."""
    return text if len(text) <= size else f"{text[: size // 2 - 1]}...{text[-(size // 2 - 2) :]}"


def told_apart(names: Sequence[str], size: int = 24) -> list[str]:
    """Names shortened to `size`, without the parts that all have in common, and by their ends if they would be alike.

    Examples
    --------
    >>> from pathgraph.shown import told_apart
    >>> told_apart(["a/net/first/kernel:0", "a/net/second/kernel:0"], 12)
    ['first', 'second']
    >>> told_apart(["stem", "layer1/layer1.0/conv1", "layer1/layer1.1/conv1"], 16)
    ['stem', '...ayer1.0/conv1', '...ayer1.1/conv1']
    """
    if len(names) > 1 and max(map(len, names)) > size:
        parts = [re.split(r"(?<=[/.])", name) for name in names]
        for place in (0, -1):
            while min(map(len, parts)) > 1 and len({part[place] for part in parts}) == 1:
                for part in parts:
                    del part[place]
        names = ["".join(part).rstrip("/.") for part in parts]
    found = [shortened(name, size) for name in names]
    times = Counter(found)
    ends = [name if len(name) <= size else "..." + name[3 - size :] for name in names]
    return [end if times[text] > 1 else text for text, end in zip(found, ends, strict=True)]
