"""Generalisation bounds that do not depend on how a network is written: by the path-norm, and PAC-Bayes."""
