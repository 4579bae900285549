"""Pictures of networks and of what is computed from them: needs matplotlib (extra ``plot``).

Every function draws on the `ax` that it is given, or on a new figure of its own, and returns the axes; ``ax.figure`` is
the picture. Nothing global changes: no settings, no current figure. `pathgraph.plot.layout` holds the geometry.
"""

from pathgraph.plot.curves import compare_bounds, plot_bits, plot_path_weights, plot_pruning, plot_scores
from pathgraph.plot.kronecker import draw_chain, draw_support
from pathgraph.plot.layers import draw_layers
from pathgraph.plot.networks import draw
from pathgraph.plot.orbits import draw_orbit

__all__ = [
    "compare_bounds",
    "draw",
    "draw_chain",
    "draw_layers",
    "draw_orbit",
    "draw_support",
    "plot_bits",
    "plot_path_weights",
    "plot_pruning",
    "plot_scores",
]
