"""Compiled products with Kronecker-sparse matrices on the CPU: `launch` for users of it, `numba_tiles` compiled."""
