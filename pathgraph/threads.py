"""Threads of Python for compiled kernels that release its lock: how many there may be, and calls made at the same time.

Numba's own parallel loops take twice as long to compile and do not survive a fork: kernels are called instead on parts
of the work, each on one thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["count", "run"]

T = TypeVar("T")

_pools: dict[int, ThreadPoolExecutor] = {}
"""The threads, by the process that they belong to: a fork has to start its own."""


def count() -> int:
    """What `numba.get_num_threads` says, which is asked only where somebody has already woken Numba's own threads."""
    import numba

    is_awake = getattr(sys.modules.get("numba.np.ufunc.parallel"), "_is_initialized", False)
    return int(numba.get_num_threads() if is_awake else numba.config.NUMBA_NUM_THREADS)


def run(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """The results of some calls, made at the same time.

    A call that no thread has begun when this one gets to it is made here: calls may make calls in turn, and never wait
    for a thread that waits for them; and all are made here where there are no threads to be had. No call is under way
    any more when this one ends, be it by an exception: calls may work on memory that its caller owns.
    """
    if len(tasks) == 1:
        return [tasks[0]()]
    pool = _pools.get(os.getpid())
    if pool is None:
        _pools.clear()
        pool = _pools[os.getpid()] = ThreadPoolExecutor(os.cpu_count() or 1, "pathgraph")
    others = [_submitted(pool, task) for task in tasks[1:]]
    try:
        results = [tasks[0]()]
        for task, other in zip(tasks[1:], others, strict=True):
            results.append(task() if other is None or other.cancel() else other.result())
    finally:
        wait([other for other in others if other is not None and not other.cancel()])
    return results


def _submitted(pool: ThreadPoolExecutor, task: Callable[[], T]) -> Future[T] | None:
    """A call for the threads, or None where the interpreter is about to end, or the system has no more threads."""
    try:
        return pool.submit(task)
    except RuntimeError:
        _pools.pop(os.getpid(), None)
        pool.shutdown(wait=False, cancel_futures=True)  # it may stand in their queue all the same
        return None
