"""Calls at the same time: when `threads.run` has ended, however it has, none of them is under way."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pathgraph import threads


class Slow:
    """A call that takes a while; when one has begun, and how many have ended."""

    def __init__(self):
        self.begun, self.ended = threading.Event(), []

    def __call__(self):
        self.begun.set()
        time.sleep(0.1)
        self.ended.append(1)


@pytest.mark.parametrize("n_others", [1, 5])
def test_after_an_exception_nothing_is_under_way(n_others):
    slow = Slow()

    def fail():
        assert slow.begun.wait(60)
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        threads.run([fail, *[slow] * n_others])
    n_ended = len(slow.ended)
    assert n_ended >= 1
    time.sleep(0.3)
    assert len(slow.ended) == n_ended


def test_an_exception_of_another_thread_is_raised_here():
    with pytest.raises(ValueError, match="other"):
        threads.run([lambda: time.sleep(0.05), lambda: int("other")])


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="the system has no alarms")
def test_after_an_interruption_nothing_is_under_way():
    slow = Slow()

    def interrupt(*_):
        raise KeyboardInterrupt

    def first():
        assert slow.begun.wait(60)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        time.sleep(60)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            threads.run([first, slow])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert slow.ended == [1]


def test_where_there_are_no_threads_calls_are_made_here(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_pools", {})
    monkeypatch.setattr(threading.Thread, "start", refuse)
    made = []
    assert threads.run([lambda k=k: made.append(k) or k for k in range(4)]) == [0, 1, 2, 3]
    assert made == [0, 1, 2, 3]
    monkeypatch.undo()
    assert threads.run([lambda k=k: made.append(k) or k for k in range(4)]) == [0, 1, 2, 3]
    assert sorted(made) == [0, 0, 1, 1, 2, 2, 3, 3]


def allowed_cores(barrier):
    """The thread and the cores that it may have, asked while the others are under way, too."""
    barrier.wait(60)
    found = threading.get_native_id(), os.sched_getaffinity(0)
    barrier.wait(60)
    return found


has_cores = pytest.mark.skipif(
    not threads._is_openblas()
    or not hasattr(os, "sched_getaffinity")
    or not 1 < len(os.sched_getaffinity(0)) <= threads.FEW,
    reason="there is one core, or many, or the system does not say which ones a thread may have, or it is no OpenBLAS",
)


@pytest.fixture
def pool(monkeypatch):
    """Threads of our own, one of which runs."""
    with threads.Pool(2) as pool:
        monkeypatch.setattr(threads, "_pools", {os.getpid(): pool})
        pool.submit(int).result()
        yield pool


@has_cores
def test_threads_keep_away_from_the_core_of_their_caller(pool):
    everything, both = os.sched_getaffinity(0), threading.Barrier(2)
    (_, mine), (other, its) = threads.run([lambda: allowed_cores(both)] * 2)
    assert len(mine) == 1
    assert its == everything - mine
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == everything
    with pytest.raises(ValueError, match="first"):
        threads.run([lambda: int("first"), int])
    assert os.sched_getaffinity(0) == everything


@has_cores
def test_a_thread_that_is_started_meanwhile_keeps_off_that_core_too(pool):
    everything, three = os.sched_getaffinity(0), threading.Barrier(3)
    (me, mine), *others = threads.run([lambda: allowed_cores(three)] * 3)
    assert len({me, *(other for other, _ in others)}) == 3
    for other, cores in others:
        assert cores == everything - mine
        assert os.sched_getaffinity(other) == everything


@has_cores
def test_a_thread_that_begins_when_all_is_over_may_run_everywhere(monkeypatch):
    """A call of a caller that keeps its core starts a thread, which has that core until it begins, and begins late."""
    everything, begins, both = os.sched_getaffinity(0), threading.Event(), threading.Barrier(2)
    with threads.Pool(2) as pool:
        begin = pool._initializer
        monkeypatch.setattr(pool, "_initializer", lambda: begins.wait(60) and begin())
        monkeypatch.setattr(threads, "_pools", {os.getpid(): pool})
        assert threads.run([lambda: threads.run([int, int]), int]) == [[0, 0], 0]
        begins.set()
        asked = [pool.submit(allowed_cores, both) for _ in range(2)]
        assert [each.result(60)[1] for each in asked] == [everything] * 2


@has_cores
def test_wherever_a_call_is_interrupted_cores_are_given_back(pool, monkeypatch):
    everything, allow, n_interrupted = os.sched_getaffinity(0), os.sched_setaffinity, 0

    def interrupted(thread, cores):
        allow(thread, cores)
        if next(calls) == n_interrupted:
            raise KeyboardInterrupt

    while True:
        calls = itertools.count()
        with monkeypatch.context() as patch:
            patch.setattr(os, "sched_setaffinity", interrupted)
            try:
                threads.run([int, int])
                break
            except KeyboardInterrupt:
                assert os.sched_getaffinity(0) == everything
        n_interrupted += 1
        both = threading.Barrier(2)
        (_, mine), (_, its) = threads.run([lambda both=both: allowed_cores(both)] * 2)
        assert (len(mine), its) == (1, everything - mine)
    assert n_interrupted > 3


@has_cores
def test_threads_with_too_many_cores_are_left_alone_until_they_have_few(pool, monkeypatch):
    everything, both = os.sched_getaffinity(0), threading.Barrier(2)
    with monkeypatch.context() as patch:
        patch.setattr(threads, "FEW", 1)
        assert [cores for _, cores in threads.run([lambda: allowed_cores(both)] * 2)] == [everything] * 2
    (_, mine), (_, its) = threads.run([lambda: allowed_cores(both)] * 2)
    assert (len(mine), its) == (1, everything - mine)


@has_cores
def test_where_threads_cannot_be_kept_apart_they_are_not(pool, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert threads.run([int, int]) == [0, 0]
    monkeypatch.setattr(threads, "_core_function", lambda: None)
    assert threads.run([int, int]) == [0, 0]


AT_THE_END = """
import atexit
from pathgraph import threads
atexit.register(lambda: print(threads.run([lambda: 1, lambda: 2])))
threads.run([lambda: 1, lambda: 2])
"""


def test_calls_when_the_interpreter_ends():
    done = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 2]"
    assert not done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no forks")
def test_a_fork_has_threads_of_its_own():
    script = "import os, sys\nfrom pathgraph import threads\nthreads.run([int, int])\nchild = os.fork()\n"
    script += "os.write(1, f'{threads.run([int, int])}\\n'.encode())\nif child: sys.exit(os.waitpid(child, 0)[1])\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["[0, 0]"] * 2


def test_forks_and_other_blas_leave_cores_alone(monkeypatch):
    """A fork shares the cores with its parent, and a BLAS that starts its threads late would leave them on one core."""
    with monkeypatch.context() as patch:
        patch.setattr(threads, "HOME", -1)
        assert threads._core() is None
    monkeypatch.setattr(threads, "_is_openblas", lambda: False)
    threads._core_function.cache_clear()
    try:
        assert threads._core() is None
    finally:
        threads._core_function.cache_clear()


def test_threads_are_counted_without_what_is_private(monkeypatch):
    numba = pytest.importorskip("numba")
    before = numba.get_num_threads()  # wakes those of Numba
    try:
        numba.set_num_threads(1)
        assert threads.count() == 1
        monkeypatch.delattr("numba.np.ufunc.parallel._get_num_threads")
        monkeypatch.setattr(numba, "get_num_threads", lambda: 5)
        assert threads.count() == 5
    finally:
        monkeypatch.undo()
        numba.set_num_threads(before)
