"""Wrong versions of the kernel of chains: a change of the text each, which must be caught."""

from tests.cuda_on_cpu.mutants import of

BARRIER = "        __syncthreads();\n"
READ, WRITE = (f"i * {v}_i + q * {v}_q + (l0 + group) * {v}_l + (n0 + column) * {v}_n" for v in "xy")

MUTANTS = of(
    "chains",
    ("a factor begins before all is read", f"{BARRIER}\n        int current", "\n        int current"),
    ("a factor begins before the last one ends", f"current ^= 1;\n    {BARRIER}", "current ^= 1;\n"),
    ("the next tile comes while results are read", f"        }}\n{BARRIER}    }}\n}}", "        }\n    }\n}"),
    ("one buffer", "out = memory[current ^ 1]", "out = memory[current]"),
    ("vectors that are not there are read", "is_there = n0 + column < n && ", "is_there = "),
    ("parts that are not there are read", "n && l0 + group < d;", "n;"),
    ("vectors that are not there are written", "if (n0 + column < n && l0", "if (l0"),
    ("parts that are not there are written", "if (n0 + column < n && l0 + group < d)", "if (n0 + column < n)"),
    ("values that are not there", "if (l0 + group < d) {", "{"),
    ("rows of a strip that are not there", "b_s - j0 < STRIP ? b_s - j0 : STRIP", "STRIP"),
    ("factors from the first to the last", "int s = factors - 1; s >= 0; --s", "int s = 0; s < factors; ++s"),
    ("values of the first part", "i % a * a_s * b_s * line + l0", "l0"),
    ("the values do not repeat", "i % a * a_s", "i * a_s"),
    ("neighbours in the wrong order", "l * d + group;", "l + group;"),
    ("one term too few", "k < c_s; ++k", "k < c_s - 1; ++k"),
    ("the values of the factor before", "values + factor[4]", "values"),
    ("entries before parts", "q = is_batch_outer ? e / GROUPS % rows", "q = is_batch_outer ? e % rows"),
    ("reads by 32 bits", READ, f"int({READ})"),
    ("writes by 32 bits", WRITE, f"unsigned({WRITE})"),
    ("values by 32 bits", "own = values + factor[4] +", "own = values + int(factor[4]) +"),
    ("one tile for a block", "tile += gridDim.x", "tile = n_tiles * l_runs * groups"),
    ("imaginary parts whose product is not subtracted", "both_real - sum.both_imag", "both_real + sum.both_imag"),
    ("an imaginary part that is half there", "sum.imag_of_x + sum.imag_of_w", "sum.imag_of_x"),
    ("imaginary parts of values with those of vectors", "w.imag * x.real", "w.imag * x.imag"),
    ("values that are taken for their conjugates", "both_imag += w.imag", "both_imag -= w.imag"),
)
