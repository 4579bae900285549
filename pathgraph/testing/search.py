"""The search that the checks of the kit share: the smallest example for which something goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import Flaky, NoSuchExample, Unsatisfiable
from hypothesis.strategies import SearchStrategy

from pathgraph.errors import ParameterError

__all__ = ["smallest"]


def smallest(examples: SearchStrategy[Any], is_wrong: Callable[[Any], bool], max_examples: int) -> list[Any]:
    """The smallest example found for which `is_wrong` holds, in a list; an empty one if there is none.

    The search is the same at every call. What `is_wrong` raises is passed on. If it holds at some calls only, the last
    example for which it held is given.

    Raises
    ------
    ParameterError
        If nothing is drawn.
    """
    wrong: list[Any] = []

    def noted(example: Any) -> bool:
        found = is_wrong(example)
        if found:
            wrong[:] = [example]
        return found

    quiet = settings(
        max_examples=int(max_examples),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        return [find(examples, noted, settings=quiet)]
    except NoSuchExample:
        return []
    except Flaky:
        return wrong
    except Unsatisfiable as error:
        raise ParameterError(
            f"needed a strategy that draws something, and that assumptions let through: {error}"
        ) from error
