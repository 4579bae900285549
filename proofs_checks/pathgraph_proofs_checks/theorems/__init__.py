"""The theorems, one module each; `pathgraph_proofs_checks.registry.all_checks` finds them."""
