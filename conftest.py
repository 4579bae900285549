"""Hypothesis profiles for tests and doctests, chosen with ``--hypothesis-profile`` (default: ``deterministic``).

* ``deterministic``: the same examples at every run, so that a failure is a fact about the code, not luck;
* ``thorough``: random examples, ten times as many; a failure prints the blob that reproduces it.

Neither keeps a database of examples or has a deadline per example: exact arithmetic varies in speed.
"""

from importlib.util import find_spec

from hypothesis import HealthCheck, settings

# These modules import PyTorch, which is large; `make test-torch` installs it and runs their examples.
collect_ignore_glob = [] if find_spec("torch") else ["pathgraph/io/torch*.py"]

_COMMON = {"database": None, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("deterministic", derandomize=True, max_examples=100, **_COMMON)
settings.register_profile("thorough", derandomize=False, max_examples=1000, print_blob=True, **_COMMON)
settings.load_profile("deterministic")
