"""Calls made at the same time, on threads of Python: for compiled kernels, which release Python's lock.

Numba's own parallel loops take twice as long to compile, and do not survive a fork. So whoever has much to do cuts it
into parts, and `run` calls a kernel once for each part, every call on a thread of its own.

**Cores.** When a thread wakes another one, the system may put both on one core although a second core is idle, and
leave them there for the whole call. (Virtual machines do so, since a core that looks idle may be in use by somebody
else.) Where there are few cores, and the system can be told (Linux), `run` therefore keeps them apart: during the call
the caller stays on its core, and the other threads stay off that core. Afterwards all of them may run where they could
before. Two cases are left alone. A forked process shares the cores with its parent. And a BLAS that starts threads of
its own in the middle of a call would start them on the one core of the caller, where they would stay for good.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

__all__ = ["count", "run"]

T = TypeVar("T")

FEW = 8
"""With more cores than this, threads are not kept apart: there is nearly always an idle one."""

HOME = os.getpid()
"""The process that imported this module: only in it, and not in its forks, are threads kept apart."""


class Pool(ThreadPoolExecutor):
    """Threads that can be kept off the core of their caller.

    One caller at a time can have a core to itself. Its core and the cores on which it could run before are remembered
    after its call: a thread that it started during the call inherited its one core, and may begin to run only later.
    """

    def __init__(self, n_threads: int) -> None:
        self._native_ids: list[int] = []
        self._is_kept = False  # whether some caller has its core to itself now
        self._core = -1  # the core of that caller, or of the last one
        self._allowed: set[int] = set()  # the cores on which that caller could run before; empty: it was not kept there
        self._before: dict[int, set[int]] = {}  # for each thread kept off that core, where it could run before
        self._keeps_core, self._changes = threading.Lock(), threading.Lock()
        super().__init__(n_threads, "pathgraph", self._begin)

    def _begin(self) -> None:
        """Run first in each new thread, which inherits the cores of the thread that started it."""
        thread = threading.get_native_id()
        with self._changes:
            self._native_ids.append(thread)
            if _cores_of(thread) == {self._core}:
                _allow(thread, self._allowed)
            self._keep_off(thread)

    @contextmanager
    def kept_apart(self) -> Iterator[Callable[[], None]]:
        """Keep the threads off the core of the caller, unless another caller has its core to itself already.

        Yields
        ------
        callable
            Keeps the caller itself on its core until the end of the block. To be called when the threads have been
            woken, so that they do not inherit that one core.
        """
        core = _core()
        if core is None or not self._keeps_core.acquire(blocking=False):
            yield lambda: None
            return
        try:
            with self._changes:
                self._is_kept, self._core, self._allowed = True, core, _allowed(0, core)
                for thread in self._native_ids:
                    self._keep_off(thread)
            yield lambda: _allow(0, {core} if self._allowed else set())
        finally:
            with self._changes:
                _allow(0, self._allowed)
                self._is_kept = False
                while self._before:
                    _allow(*self._before.popitem())
            self._keeps_core.release()

    def _keep_off(self, thread: int) -> None:
        """Let a thread run on all its cores but the one that a caller has to itself."""
        allowed = _allowed(thread, self._core) if self._is_kept else set()
        if allowed:
            self._before[thread] = allowed
            _allow(thread, allowed - {self._core})


_pools: dict[int, Pool] = {}
"""The threads of this process, under its number: a fork finds its parent's here, and starts its own."""


def count() -> int:
    """How many threads Numba may use; a call may be cut into as many parts.

    `numba.get_num_threads` would start Numba's own threads, and is asked only if they run already.
    """
    import numba

    is_awake = getattr(sys.modules.get("numba.np.ufunc.parallel"), "_is_initialized", False)
    return int(numba.get_num_threads() if is_awake else numba.config.NUMBA_NUM_THREADS)


def run(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Make some calls at the same time, and return their results in order.

    Parameters
    ----------
    tasks : sequence of callable
        Without arguments. The first one is called on the thread of the caller.

    Notes
    -----
    If no thread has begun a call by the time its result is needed, the caller makes it. So a call may itself use `run`
    without a deadlock, and everything still works where the system has no threads to give.

    When `run` ends, also by an exception, none of the calls is under way any more: they may work on memory that the
    caller owns.
    """
    if len(tasks) == 1:
        return [tasks[0]()]
    pool = _pools.get(os.getpid())
    if pool is None:
        _pools.clear()
        pool = _pools[os.getpid()] = Pool(os.cpu_count() or 1)
    others: list[Future[T] | None] = []
    try:
        with pool.kept_apart() as keep_core:
            others += [_submitted(pool, task) for task in tasks[1:]]
            keep_core()
            results = [tasks[0]()]
        for task, other in zip(tasks[1:], others, strict=True):
            results.append(task() if other is None or other.cancel() else other.result())
    finally:
        wait([other for other in others if other is not None and not other.cancel()])
    return results


def _submitted(pool: ThreadPoolExecutor, task: Callable[[], T]) -> Future[T] | None:
    """Hand a call to the threads; None if the interpreter is about to end, or the system has no more threads."""
    try:
        return pool.submit(task)
    except RuntimeError:
        _pools.pop(os.getpid(), None)
        pool.shutdown(wait=False, cancel_futures=True)  # the call may be in their queue all the same
        return None


def _cores_of(thread: int) -> set[int]:
    """The cores on which a thread (0: this one) may run; none if it has ended, or the system does not tell."""
    with suppress(OSError, AttributeError):
        return os.sched_getaffinity(thread)
    return set()


def _allowed(thread: int, core: int) -> set[int]:
    """The cores on which a thread may run, if `core` is one of a few of them; else none."""
    cores = _cores_of(thread)
    return cores if core in cores and 1 < len(cores) <= FEW else set()


def _allow(thread: int, cores: set[int]) -> None:
    """Let a thread (0: this one) run on these cores only, if there are any and the system permits it."""
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(thread, cores)


def _core() -> int | None:
    """The core that the caller runs on; None if the system does not tell, or threads must not be kept apart."""
    ask = _core_function() if os.getpid() == HOME else None
    found = -1 if ask is None else ask()
    return found if found >= 0 else None


@cache
def _core_function() -> Callable[[], int] | None:
    """The function of the C library that says on which core its caller runs.

    None if NumPy's BLAS is not OpenBLAS. OpenBLAS starts its threads when it is loaded. Another BLAS may start them in
    the first product: if that is made in a call, they would inherit the one core of the caller for good.
    """
    if not hasattr(os, "sched_setaffinity") or not _is_openblas():
        return None
    import ctypes

    with suppress(OSError, AttributeError):
        ask: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu  # keeps the lock of the interpreter
        return ask
    return None


def _is_openblas() -> bool:
    """Whether NumPy says that its BLAS is OpenBLAS."""
    import numpy as np

    try:
        built: Any = np.show_config(mode="dicts")
        return "openblas" in str(built["Build Dependencies"]["blas"]["name"]).lower()
    except (KeyError, TypeError):  # it does not say
        return False
