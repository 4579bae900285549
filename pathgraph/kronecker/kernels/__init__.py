"""Compiled products with Kronecker-sparse matrices on the CPU: `launch` and `chains` for users, `numba_*` compiled."""
