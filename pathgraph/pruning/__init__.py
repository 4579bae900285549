"""Pruning that does not depend on how a network is written: costs, selection, masks, and the smaller network."""
