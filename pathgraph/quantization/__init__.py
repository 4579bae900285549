"""How many bits a network needs: quantizers, worst-case constants, bits for an accuracy, certificates."""
