"""The search that the checks of the kit share: the smallest example for which something goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

__all__ = ["smallest"]


def smallest(examples: SearchStrategy[Any], is_wrong: Callable[[Any], bool], max_examples: int) -> list[Any]:
    """The smallest example found for which `is_wrong` holds, in a list; an empty one if there is none.

    The search is the same at every call. What `is_wrong` raises is passed on.
    """
    quiet = settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        return [find(examples, is_wrong, settings=quiet)]
    except NoSuchExample:
        return []
