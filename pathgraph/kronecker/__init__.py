"""Kronecker-sparse matrices: patterns, matrices, chains of them, and how they are multiplied."""
