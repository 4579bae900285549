"""Benchmarks, run by hand: ``python -m tests.bench.NAME``. They time, they do not judge; no test imports them."""
