"""One model, everything the library says about it: what ``python -m pathgraph MODEL`` computes, prints and draws."""
