"""Wrong versions of the kernels of Kronecker-sparse products: a change of the text each, which must be caught."""

from tests.cuda_on_cpu.mutants import of

OFFSETS = "(i0 + i) * c_i + (l0 + l) * c_l + in_m * c_row + (n0 + column) * c_col"

HELD_A, HELD_B = (
    f"                held_{v}[t] = *(const Pack<VALUE, {v.upper()}_WIDTH>*)next_{v}[t];\n            next"
    for v in "ab"
)

MUTANTS = [
    *of(
        "products",
        # barriers
        (
            "a chunk is read before all of it is there",
            "held_b);\n            __syncthreads();\n",
            "held_b);\n",
        ),
        ("the first chunk is read before all of it is there", "held_b);\n        __syncthreads();\n", "held_b);\n"),
        ("one buffer for two chunks", "turn(1);", "turn(0);"),
        ("the next chunk of A over the one that is read", "chunks_a + (1 - buffer)", "chunks_a + buffer"),
        ("the next chunk of B over the one that is read", "chunks_b + (1 - buffer)", "chunks_b + buffer"),
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
        # what is not there
        ("products l of A that are not there", "(l0 + l < d ? l : 0) * a_l", "l * a_l"),
        ("products i of A that are not there", "(i0 + i < groups ? i : 0) * a_i", "i * a_i"),
        ("rows of A that are not there", "(m0 + row < m ? row : 0)", "row"),
        ("one row too many of A", "(m0 + row < m ? row : 0)", "(m0 + row <= m ? row : 0)"),
        ("products l of B that are not there", "(l0 + l < d ? l : 0) * b_l", "l * b_l"),
        ("products i of B that are not there", "(i0 + i < groups ? i : 0) * b_i", "i * b_i"),
        ("columns of B that are not there", "(n0 + column < n ? column : 0)", "column"),
        ("one column too many of B", "(n0 + column < n ? column : 0)", "(n0 + column <= n ? column : 0)"),
        ("products l of C that are not there", "if (l0 + l < d && i0", "if (i0"),
        ("products i of C that are not there", "i0 + i < groups && in_m < m", "in_m < m"),
        ("rows of C that are not there", "in_m < m && n0 + column < n", "n0 + column < n"),
        ("columns of C that are not there", "in_m < m && n0 + column < n", "in_m < m"),
        ("A before the depth", f"if (k >= missing)\n{HELD_A}", HELD_A),
        ("B before the depth", f"if (k >= missing)\n{HELD_B}", HELD_B),
        ("one place of the depth too few", f"if (k >= missing)\n{HELD_A}", f"if (k > missing)\n{HELD_A}"),
        ("one place of the depth too many", f"if (k >= missing)\n{HELD_B}", f"if (k + 1 >= missing)\n{HELD_B}"),
        ("padding that is no number", "held_a[t] = Pack<VALUE, A_WIDTH>()", "held_a[t] = Pack<VALUE, A_WIDTH>{NAN}"),
        # from chunk to chunk
        (
            "A goes on by the strides of B",
            "++t)\n                next_a[t] += turn_a",
            "++t)\n                next_a[t] += turn_b",
        ),
        (
            "B goes on by the strides of A",
            "++t)\n                next_b[t] += turn_b",
            "++t)\n                next_b[t] += turn_a",
        ),
        ("A goes on by one place too few", "turn_a = BK * a_col", "turn_a = (BK - 1) * a_col"),
        ("B goes on along its columns", "turn_b = BK * b_row", "turn_b = BK * b_col"),
        ("the last chunk is left out", "(chunks - 1) * turn_a", "(chunks > 1 ? chunks - 2 : 0) * turn_a"),
        ("a chunk too many", "(chunks - 1) * turn_a", "chunks * turn_a"),
        ("a chunk too many in the loop", "while (next_a[0] < end_a)", "while (next_a[0] <= end_a)"),
        ("no end between two turns", "            if (!(next_a[0] < end_a))\n                break;\n", ""),
        ("the last chunk where the first one is", "last = CHUNK * SIZE;", "last = 0;"),
        ("the last chunk where the second one is", "            last = 0;\n", ""),
        (
            "a place of the last chunk is left out",
            "BK; ++k)\n            multiply",
            "BK - 1; ++k)\n            multiply",
        ),
        (
            "a place of a chunk is left out",
            "BK; ++k)\n                multiply",
            "BK - 1; ++k)\n                multiply",
        ),
        # parts of the depth
        ("a part goes on to the end", "depth - low < part ? depth - low : part", "depth - low"),
        ("every part begins at the first of A", "(low - missing) * a_col", "(0 - missing) * a_col"),
        ("every part begins at the first of B", "(low - missing) * b_row", "(0 - missing) * b_row"),
        ("the last part is as long as the others", "depth - low < part ? depth - low : part", "part"),
        ("all parts are written to one place", "C + rest * c_part + ", "C + "),
        # packs
        ("packs of A that overlap", "(thread + t * THREADS) * A_WIDTH", "(thread + t * THREADS)"),
        ("packs of B that overlap", "(thread + t * THREADS) * B_WIDTH", "(thread + t * THREADS)"),
        ("every pack of A is a line", "is_line_a = !(a_lanes & 255 << 16)", "is_line_a = true"),
        ("every pack of B is a line", "is_line_b = !(b_lanes & 255 << 24)", "is_line_b = true"),
        (
            "packs of A that are not aligned",
            f"t)\n{HELD_A[:-17]}",
            f"t)\n{HELD_A[:-17]}".replace("next_a[t]", "(next_a[t] + sizeof(VALUE))"),
        ),
        ("packs along l that lie along rows", "beside_a * A_LINE", "beside_a"),
        ("packs of B along l that lie along columns", "beside_b * B_LINE", "beside_b"),
        ("packs of C are lines", "from[u * step_c]", "from[u]"),
        ("packs of C by one number", "if (c_width == VEC)", "if (false)"),
        ("packs of C without a width", "if (c_width == VEC)", "if (true)"),
        ("vectors that are not aligned", "#define A_LINE (BM + VEC)", "#define A_LINE (BM + 1)"),
        # indices
        ("A does not repeat", "a_i0 = split(unused, a)", "a_i0 = i0"),
        ("l and i are exchanged", "(i * run_l + l) * A_LINE + row", "(l * run_i + i) * A_LINE + row"),
        ("the rows of the tile before", "split(rest, m_tiles) * BM", "split(rest, m_tiles) * (BM - 1)"),
        ("batch-first tiles in the other order", "        if (is_batch_outer)\n", "        if (!is_batch_outer)\n"),
        ("a fragment of the next group", "own_b = (group * B_LINE", "own_b = ((group ^ 1) * B_LINE"),
        ("rows of a thread that lie apart", "(v / VEC * ROWS + ty) * VEC", "(v / VEC + ty) * VEC"),
        ("sums of the tile before", "sum[y][x] = 0;", "if (tile == blockIdx.x)\n                    sum[y][x] = 0;"),
        ("only one tile for a block", "tile += gridDim.x", "tile = tiles"),
        (
            "results are added to what is there",
            "put(TOTAL* at, TOTAL a)\n{\n    *at = a;",
            "put(TOTAL* at, TOTAL a)\n{\n    *at += a;",
        ),
        # 32 bits
        ("tiles of A by 32 bits", "A + (a_i0 * a_i", "A + int(a_i0 * a_i"),
        ("tiles of B by 32 bits", "B + (i0 * b_i", "B + int(i0 * b_i"),
        ("places within B by 32 bits", "k * b_row);", "int(k * b_row));"),
        ("steps of B by 32 bits", "turn_b = BK * b_row", "turn_b = int(BK * b_row)"),
        ("parts of A by 32 bits", "(low - missing) * a_col", "int((low - missing) * a_col)"),
        ("parts of B by 32 bits", "(low - missing) * b_row", "int((low - missing) * b_row)"),
        ("C by 32 bits", OFFSETS, f"int({OFFSETS})"),
        ("C by 32 bits without sign", OFFSETS, f"unsigned({OFFSETS})"),
        ("numbers that are divided, by 32 bits", "(before | count) >> 32", "count >> 32"),
    ),
    *of(
        "product_parts",
        ("the first part counts twice", "p = 1; p < parts", "p = 0; p < parts"),
        ("the last part does not count", "p = 1; p < parts", "p = 1; p < parts - 1"),
        ("parts by 32 bits", "partial[p * count + e]", "partial[int(p * count + e)]"),
        ("one turn for many sums", "e < count; e += step", "e < count; e = count"),
    ),
]
