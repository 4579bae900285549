"""Calls at the same time: when `threads.run` has ended, however it has, none of them is under way."""

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
    script += "print(threads.run([int, int]), flush=True)\nif child: sys.exit(os.waitpid(child, 0)[1])\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["[0, 0]"] * 2
