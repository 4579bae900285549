"""How far apart two networks are: path-metrics, and how far outputs move when parameters move."""
