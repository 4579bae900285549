"""Wrong versions of the kernels of path sums and of evaluation: a change of the text each, which must be caught."""

from tests.cuda_on_cpu.mutants import of

BARRIER = "            __syncthreads();\n"

MUTANTS = [
    *of(
        "path_sums",
        # barriers
        ("no barrier between levels", f"        if (level + 1 < last)\n{BARRIER}", ""),
        # guards
        ("neurons of the next level", "v < stop && side < sides", "side < sides"),
        ("sides that are not there", "v < stop && side < sides", "v < stop"),
        (
            "one edge too many",
            "hi = start[v + 1], consecutive = run[v];\n                    if",
            "hi = start[v + 1] + 1, consecutive = run[v];\n                    if",
        ),
        ("every lane writes the sum", "if (is_mine && part == 0)", "if (is_mine)"),
        ("no bias at entry 0", "if (bias[v] >= 0)", "if (bias[v] > 0)"),
        ("every block sets the constant", "if (constant && blockIdx.x == 0)", "if (constant)"),
        # sums
        ("a reduction that stops early", "offset >= width", "offset > width"),
        ("the start is left out", "total = add(total, x[(v + 1) * sides + side]);\n", ""),
        ("outputs of one side only", "out[i] = x[(long long)positions[k] * sides + side]", "out[i] = x[positions[k]]"),
        ("a fourth power with three factors", "(w * w) * (w * w)", "(w * w) * w"),
        ("signs are kept", "    return fabs(w);", "    return w;"),
        # the ends of the range
        ("products that vanish are not seen", "fabs(factor) < TINY || fabs(product) < TINY", "fabs(factor) < TINY"),
        ("powers that vanish are not seen", "fabs(factor) < TINY || fabs(product) < TINY", "fabs(product) < 0"),
        ("sums that overflow are not seen", "return fabs(total) <= TOP ? 0 : LOST;", "return 0;"),
        ("small summands are dropped", "gap > 1100", "gap > 10"),
        ("a larger fraction does not count", "return high.m < low.m ? low : high;", "return high;"),
        ("the exponent of a product", "a.m * b.m, a.e + b.e", "a.m * b.m, a.e"),
        ("negative widths are not seen", "(POWER != 0 && weight < 0)", "false"),
        # what two threads do
        (
            "the status is set without an atomic",
            "atomicOr(status, found);\n}\n\n// The numbers",
            "*status |= found;\n}\n\n// The numbers",
        ),
        # 32 bits
        ("edges by 32 bits", "term(w[e], x[(consecutive", "term(w[int(e)], x[(consecutive"),
        ("antecedents by 32 bits", "x[((long long)antecedent[e] + 1) * sides + side]", "x[int(antecedent[e]) + 1]"),
    ),
    *of(
        "path_marginals",
        ("slices are added before all are there", f"[threadIdx.x] = total;\n{BARRIER}", "[threadIdx.x] = total;\n"),
        ("slices are reused while they are read", f"            }}\n{BARRIER}        }}", "            }\n        }"),
        ("columns that are not there", "const bool is_mine = column < columns;", "const bool is_mine = true;"),
        ("fixed entries have a place", "if (at >= 0)\n", ""),
        ("a slice is left out", "k < 8; ++k", "k < 7; ++k"),
        ("masses without biases", "e < hi + (own >= 0)", "e < hi"),
        ("masses without the way to the source", "multiply(sent, in, found)", "sent"),
        ("the last place of a parameter is left out", "i < start[p + 1]", "i + 1 < start[p + 1]"),
        ("targets are counted from 0", "consecutive + i - lo;", "consecutive + i;"),
        ("edges by source in another order", "w[entry[i]]", "w[i]"),
        ("results that overflow are not seen", "found |= TOO_LARGE;", "found |= 0;"),
        ("entries by 32 bits", "term(w[start[v] + u - run[v]]", "term(w[int(start[v] + u - run[v])]"),
        ("owners by 32 bits", "mass[at] = through;", "mass[int(at)] = through;"),
        ("a chain of slices by one thread", "if (is_mine && threadIdx.y == 0)", "if (is_mine)"),
    ),
    *of(
        "evaluate",
        ("no barrier between levels", f"        if (level + 1 < last)\n{BARRIER}", ""),
        (
            "a tile is read before it is written",
            "tile[k][threadIdx.x] = value;\n            }\n        __syncthreads();",
            "tile[k][threadIdx.x] = value;\n            }",
        ),
        (
            "a tile is read while the next one comes",
            "tile[threadIdx.x][k];\n        __syncthreads();\n    }\n    if",
            "tile[threadIdx.x][k];\n    }\n    if",
        ),
        ("every neuron is clipped", "if (activation[v] == RELU && total < 0)", "if (total < 0)"),
        ("ReLUs keep small negative values", "RELU && total < 0)", "RELU && total < -1)"),
        ("samples that are not there are read", "? sample[i] : batch - 1", "? sample[i] : sample[i]"),
        ("samples that are not there are written", "    if (sample >= batch)\n        return;\n", ""),
        ("the other end of a pool", "turns = is_upper ? rank : degree - rank + 1;", "turns = rank;"),
        ("a candidate is taken twice", "c == bound && e > last", "c == bound && e >= last"),
        ("ties from below are left out", "c == bound && e < last", "false"),
        ("every group has four neurons", "group[g + 1] - v == 4", "true"),
        ("inputs are computed", "            if (activation[v] == INPUT)\n                continue;\n", ""),
        ("infinite values are not seen", "if (!is_finite(total))", "if (false)"),
        ("infinite inputs are not seen", "if (!is_finite(value))", "if (false)"),
        ("the bias of the neuron before", "total += w[bias[v]];", "total += w[bias[v] - 1];"),
        ("rows by 32 bits", "x + (u + 1) * batch", "x + int((u + 1) * batch)"),
        (
            "inputs by 32 bits",
            "x[((long long)positions[columns + k]) * batch + samples + threadIdx.x] = ",
            "x[int(positions[columns + k] * batch) + samples + threadIdx.x] = ",
        ),
    ),
    *of(
        "path_values",
        ("the first parameter is left out", "if (place[i] >= 0)", "if (place[i] > 0)"),
        ("fixed entries are taken, too", "if (place[i] >= 0)", "if (true)"),
        ("ties without ties", "if (has_ties && value", "if (value"),
        ("ties are not compared", "value != values[first[i]]", "false"),
        ("what is not finite", "found |= INVALID;", "found |= 0;"),
    ),
]
