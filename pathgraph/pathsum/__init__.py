"""Sums over paths: the block protocol, semirings, and the sweeps that run them."""
