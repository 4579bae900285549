"""Wrong versions of the kernels of Kronecker-sparse products: a change of the text each, which must be caught."""

from tests.cuda_on_cpu.path_mutants import of

OFFSETS = "(i0 + i) * c_i + (l0 + l) * c_l + in_m * c_row + (n0 + column) * c_col"

MUTANTS = [
    *of(
        "products",
        # barriers
        (
            "a chunk is read before all of it is there",
            "held_b[t];\n                __syncthreads();\n",
            "held_b[t];\n",
        ),
        ("one buffer for two chunks", "                current = CHUNK - current;\n", ""),
        (
            "results are written over a chunk that is read",
            "TOGETHER; ++y) {\n            __syncthreads();\n",
            "TOGETHER; ++y) {\n",
        ),
        (
            "results are read before all are there",
            "* VEC) = line;\n                }\n            __syncthreads();\n",
            "* VEC) = line;\n                }\n",
        ),
        (
            "the next tile is loaded while results are read",
            "            }\n        }\n        __syncthreads();\n",
            "            }\n        }\n",
        ),
        # guards
        ("products l of A that are not there", "from_a[t] = l0 + l < d && ", "from_a[t] = "),
        ("products i of A that are not there", "i0 + i < groups && m0 + row < m", "m0 + row < m"),
        ("rows of A that are not there", "i0 + i < groups && m0 + row < m", "i0 + i < groups"),
        ("products l of B that are not there", "from_b[t] = l0 + l < d && ", "from_b[t] = "),
        ("products i of B that are not there", "i0 + i < groups && n0 + column < n\n", "n0 + column < n\n"),
        ("columns of B that are not there", "i0 + i < groups && n0 + column < n\n", "i0 + i < groups\n"),
        ("products l of C that are not there", "if (l0 + l < d && i0", "if (i0"),
        ("products i of C that are not there", "i0 + i < groups && in_m < m", "in_m < m"),
        ("rows of C that are not there", "in_m < m && n0 + column < n", "n0 + column < n"),
        ("columns of C that are not there", "in_m < m && n0 + column < n", "in_m < m"),
        ("A behind the depth", " && to_a[t] < count * A_STEP", ""),
        ("B behind the depth", " && to_b[t] < count * B_STEP", ""),
        ("one place of the depth too few", "to_b[t] < count * B_STEP", "to_b[t] < (count - 1) * B_STEP"),
        (
            "padding that is no number",
            "widened(next_a[from_a[t]]) : TOTAL(0)",
            "widened(next_a[from_a[t]]) : TOTAL(NAN)",
        ),
        # parts of the depth
        ("a part goes on to the end", "depth - low < part ? depth - low : part", "depth - low"),
        ("the last chunk is left out", "k0 = -BK; k0 < length", "k0 = -BK; k0 + BK < length"),
        ("every part begins at the first of A", "next_a = A + low * a_col", "next_a = A"),
        ("every part begins at the first of B", "next_b = B + low * b_row", "next_b = B"),
        ("the last part is as long as the others", "depth - low < part ? depth - low : part", "part"),
        ("all parts are written to one place", "C + rest * c_part + ", "C + "),
        # indices
        ("A does not repeat", "a_i0 = split(unused, a)", "a_i0 = i0"),
        ("l and i are exchanged", "(i * run_l + l) * A_LINE", "(l * run_i + i) * A_LINE"),
        ("the rows of the tile before", "split(rest, m_tiles) * BM", "split(rest, m_tiles) * (BM - 1)"),
        ("batch-first tiles in the other order", "        if (is_batch_outer)\n", "        if (!is_batch_outer)\n"),
        ("a fragment of the next group", "BK * A_STEP + group * B_LINE", "BK * A_STEP + (group ^ 1) * B_LINE"),
        ("rows of a thread that lie apart", "(v / VEC * ROWS + ty) * VEC", "(v / VEC + ty) * VEC"),
        ("vectors that are not aligned", "#define A_LINE (BM + VEC)", "#define A_LINE (BM + 1)"),
        ("sums of the tile before", "sum[y][x] = 0;", "if (tile == blockIdx.x)\n                    sum[y][x] = 0;"),
        ("only one tile for a block", "tile += gridDim.x", "tile = tiles"),
        (
            "results are added to what is there",
            "put(TOTAL* at, TOTAL a)\n{\n    *at = a;",
            "put(TOTAL* at, TOTAL a)\n{\n    *at += a;",
        ),
        # 32 bits
        ("A by 32 bits", "long long from_a[A_TURNS], from_b", "int from_a[A_TURNS]; long long from_b"),
        ("B by 32 bits", "from_a[A_TURNS], from_b[B_TURNS]", "from_a[A_TURNS]; int from_b[B_TURNS]"),
        ("parts of A by 32 bits", "A + low * a_col", "A + int(low * a_col)"),
        ("parts of B by 32 bits", "B + low * b_row", "B + int(low * b_row)"),
        ("C by 32 bits", OFFSETS, f"int({OFFSETS})"),
        ("C by 32 bits without sign", OFFSETS, f"unsigned({OFFSETS})"),
        ("divisions by 32 bits only", "(before | count) >> 32 ? before / count", "false ? before / count"),
        # the sum of the parts
        ("the first part counts twice", "p = 1; p < parts", "p = 0; p < parts"),
        ("the last part does not count", "p = 1; p < parts", "p = 1; p < parts - 1"),
        ("parts by 32 bits", "partial[p * count + e]", "partial[int(p * count + e)]"),
        ("one turn for many sums", "e < count; e += step", "e < count; e = count"),
    ),
]
