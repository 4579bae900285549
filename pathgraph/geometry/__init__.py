"""The geometry of a rescaling orbit: ranks, tangent kernels, conservation laws, normal forms, equivalence."""
