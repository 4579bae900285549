"""What the compiler makes of the kernels: how logs and instructions are read, budgets, and that the report is current.

None of it needs a compiler; `make test-gpu` compiles.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pathgraph as pg
from pathgraph_gpu import sources
from pathgraph_gpu.configurations import Configuration
from pathgraph_gpu.report import budgets, command, compiled, nvrtc, sass, tables
from pathgraph_gpu.report.occupancy import ARCHITECTURES, occupancy
from pathgraph_gpu.report.ptxas import Resources, parse_log
from pathgraph_gpu.report.sass import Mix, innermost_loops, instructions_of, main_loop, mix
from tests.cuda_on_cpu.runtime import GXX, needs_compiler

COMMITTED = Path(__file__).parents[2] / "docs" / "benchmarks" / "gpu-compile.json"

# -- logs ---------------------------------------------------------------------------------------------------------

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'second' for 'sm_90'
ptxas info    : Function properties for second
ptxas         .     136 bytes stack frame, 140 bytes spill stores, 144 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 136 bytes cumulative stack size, 1600 bytes smem, 360 bytes cmem[0]
ptxas info    : Compile time = 34.149 ms
ptxas info    : Compiling entry function 'first' for 'sm_90'
ptxas info    : Function properties for first
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers
"""
HELPER = """ptxas info    : Function properties for _Z6helperf
ptxas         .     16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
"""


def test_a_log_gives_the_resources_of_every_kernel():
    assert parse_log(LOG) == {"second": Resources(32, 136, 140, 144, 1600), "first": Resources(10, 0, 0, 0, 0)}


def test_functions_that_were_not_inlined_count_to_every_kernel():
    found = parse_log(LOG + HELPER)
    assert found == {"second": Resources(32, 152, 148, 148, 1600), "first": Resources(10, 16, 8, 4, 0)}


@pytest.mark.parametrize("line", [4, 5])
def test_a_log_without_spills_or_registers_is_refused(line):
    lines = LOG.splitlines()
    del lines[line - 1]
    with pytest.raises(pg.FileFormatError, match="second"):
        parse_log("\n".join(lines))


def test_a_log_without_kernels_is_refused():
    with pytest.raises(pg.FileFormatError, match="ptxas -v"):
        parse_log("ptxas info    : 0 bytes gmem\n")


# -- occupancy ----------------------------------------------------------------------------------------------------

# Blocks on a multiprocessor of each architecture, for threads, registers and shared memory of a block, as NVIDIA's own
# calculator has them (cuda_occupancy.h of CUDA 12.9).
BLOCKS = {
    (256, 32, 0): [4, 8, 6, 6, 8, 8, 6],
    (64, 242, 8704): [4, 4, 4, 4, 4, 4, 4],
    (256, 185, 33792): [1, 1, 1, 1, 1, 1, 1],
    (96, 43, 0): [10, 13, 13, 13, 13, 13, 13],
    (1024, 64, 49152): [1, 1, 1, 1, 1, 1, 1],
    (32, 32, 1000): [16, 32, 16, 24, 32, 32, 24],
}


@pytest.mark.parametrize("kernel", BLOCKS, ids=str)
def test_occupancy_is_that_of_nvidias_calculator(kernel):
    assert [occupancy(architecture, *kernel).blocks for architecture in ARCHITECTURES] == BLOCKS[kernel]


def test_occupancy_says_what_limits_it():
    assert occupancy(80, 1024, 32, 0).limited_by == "warps"
    assert occupancy(80, 32, 16, 0).limited_by == "blocks"
    assert occupancy(80, 256, 128, 0).limited_by == "registers"
    assert occupancy(80, 64, 32, 48 * 1024).limited_by == "shared memory"
    full = occupancy(90, 1024, 255, 0)
    assert (full.blocks, full.share) == (0, 0)


@pytest.mark.parametrize(
    "wrong", [(70, 32, 32, 0), (80, 0, 32, 0), (80, 1025, 32, 0), (80, 32, 256, 0), (80, 32, 32, -1)]
)
def test_what_no_kernel_has_is_refused(wrong):
    with pytest.raises(pg.ParameterError):
        occupancy(*wrong)


# -- instructions -------------------------------------------------------------------------------------------------


def listing(*lines, start=0, name="f"):
    """As nvdisasm writes it; a line is an opcode and its operands."""
    listed = []
    for line in lines:
        opcode, _, operands = line.partition(" ")
        listed.append({"opcode": opcode, **({"operands": operands} if operands else {})})
    return {"function-name": name, "start": start, "sass-instructions": listed}


def code(*lines, start=0):
    return instructions_of(json.dumps([{}, [listing(*lines, start=start)]]))["f"]


NESTED = (
    "MOV R1,c[0x0][0x28]",  # 0
    "LDG.E R2,desc[UR4][R4.64]",  # 1, the outer loop
    "FFMA R0,R1,R2,R0",  # 2, the inner one
    "FFMA.FTZ R3,R1,R2,R3",
    "LDS.128 R8,[R9]",
    "@ISETP.GE.AND P0,PT,R5,R6,PT",
    "BRA 0x20",  # 6
    "BRA P0,0x10",  # 7
    "EXIT",
    "BRA 0x90",  # 9, the trap at the end
    "NOP",
    "NOP",
)


def test_loops_are_found_and_the_innermost_one_with_the_most_arithmetic_is_the_main_one():
    found = code(*(line.lstrip("@") for line in NESTED))
    assert len(found) == 10
    assert innermost_loops(found) == [(2, 7)]
    assert main_loop(found) == (2, 7)
    assert mix(found) == Mix({"multiply-add": 2, "integer": 1, "shared": 1, "control": 1}, 2, 0, True)
    assert mix(found).per_other == 2 / 3
    assert mix(found).per_feeding == float("inf")


def test_addresses_count_from_the_section_not_from_the_function():
    shifted = [line.lstrip("@").replace("BRA 0x20", "BRA 0x120").replace("P0,0x10", "P0,0x110") for line in NESTED]
    assert innermost_loops(code(*shifted, start=0x100)) == [(2, 7)]


def test_of_two_loops_the_one_with_more_multiply_adds_counts():
    small = ("FFMA R0,R1,R2,R0", *["FADD R0,R1,R0"] * 5, "BRA 0x0")
    large = ("FFMA R0,R1,R2,R0", "DFMA R4,R2,R2,R4", "BRA 0x70")
    assert main_loop(code(*small, *large)) == (7, 10)


def test_without_multiply_adds_the_loop_with_the_most_arithmetic_on_floats_counts():
    found = code("IADD3 R0,R0,R1,RZ", "BRA 0x0", "FADD R0,R1,R0", "BRA 0x20")
    assert main_loop(found) == (2, 4)
    assert mix(found).multiply_adds == 0


def test_a_kernel_without_such_a_loop_counts_as_a_whole():
    found = mix(code("LDG.E R0,[R2]", "FFMA R0,R0,R1,R0", "BRA 0x20", "EXIT"))
    assert not found.in_loop
    assert found.total == 4


@pytest.mark.parametrize(
    ("line", "kind", "multiply_adds"),
    [
        ("FFMA2 R0,R2,R4,R6", "multiply-add", 2),
        ("HFMA2.MMA R0,R2,R4,R6", "multiply-add", 2),
        ("FFMA R0,-R2,|R4|,R6.reuse", "multiply-add", 1),
        ("HFMA2 R3,-RZ,RZ,0,0", "integer", 0),
        ("HFMA2.MMA R3,-RZ,RZ,1.875,0", "integer", 0),
        ("FFMA R3,RZ,R1,R2", "integer", 0),
        ("IMAD.MOV.U32 R1,RZ,RZ,c[0x0][0x28]", "integer", 0),
        ("UIADD3 UR4,UR4,0x1,URZ", "integer", 0),
        ("ULDC.64 UR4,c[0x0][0x118]", "global", 0),
        ("LDGSTS.E.128 [R0],[R2]", "global", 0),
        ("STS.128 [R1],R4", "shared", 0),
        ("WARPSYNC 0xffffffff", "control", 0),
        ("MUFU.RCP R0,R1", "float", 0),
        ("NOP", "nop", 0),
        ("QUUX R0", "other", 0),
    ],
)
def test_kinds_of_instructions(line, kind, multiply_adds):
    (found,) = code(line, "EXIT")[:1]
    assert (found.kind, found.multiply_adds) == (kind, multiply_adds)


def test_nops_are_no_others():
    assert mix(code("DFMA R0,R2,R4,R0", "NOP", "NOP", "LDS R2,[R3]", "BRA 0x0")).per_other == 1 / 2
    assert mix(code("FFMA R0,R2,R4,R0", "EXIT")[:1]).per_other == float("inf")


FED = (
    "LDG.E.128 R40,desc[UR4][R50.64]",  # 0, for the next turn
    "ISETP.GE.AND P0,PT,R60,R61,PT",  # 1, guards the read below
    "IMAD R9,R10,0x640,RZ",  # 2, the address of the read below
    "LDS.128 R8,[R9+0x10]",  # 3, sets R8 to R11
    "LDS.64 R12,[R14]",  # 4, nobody needs it: R12 is set again
    "CS2R R12,SRZ",  # 5
    "DFMA R0,R10,R12,R0",  # 6
    "LOP3.LUT R10,R10,0x1,RZ,0x3c,!PT",  # 7, needed in the next turn
    "IADD3 R62,P1,R62,0x4,RZ",  # 8
    "STS.128 [R63],R40",  # 9
    "BRA P2,0x0",  # 10
)


def test_the_main_tile_is_what_the_multiply_adds_depend_on():
    found = code(*FED)
    assert sass.feeding(found) == {2, 3, 5, 7}
    assert mix(found).feeding == 4
    assert mix(found).per_feeding == 1 / 4


def test_a_read_under_a_predicate_depends_on_it_and_may_leave_what_was_there():
    listed = listing(*FED)
    listed["sass-instructions"][3]["predicate"] = "@!P0"
    found = instructions_of(json.dumps([{}, [listed]]))["f"]
    assert sass.feeding(found) == {1, 2, 3, 5, 7}
    listed["sass-instructions"][5]["predicate"] = "@P0"
    found = instructions_of(json.dumps([{}, [listed]]))["f"]
    assert sass.feeding(found) == {1, 2, 3, 4, 5, 7}


@pytest.mark.parametrize(
    ("line", "written", "read"),
    [
        ("IMAD.WIDE R2,R4,0x8,R6", {"R2", "R3"}, {"R4", "R6", "R7"}),
        ("IADD3 R4,P0,R2,R3,RZ", {"R4", "P0"}, {"R2", "R3"}),
        ("IADD3.X R5,R6,R7,RZ,P0,!PT", {"R5"}, {"R6", "R7", "P0"}),
        ("LDG.E.128.CONSTANT R4,desc[UR4][R2.64+0x10]", {"R4", "R5", "R6", "R7"}, {"UR4", "UR5", "R2", "R3"}),
        ("STS.64 [R1+0x8],R4", set(), {"R1", "R4", "R5"}),
        ("BRA P0,0x0", set(), {"P0"}),
        ("DFMA R0,R2,-R4.reuse,R6", {"R0", "R1"}, {"R2", "R3", "R4", "R5", "R6", "R7"}),
        ("SHFL.BFLY PT,R4,R5,0x10,0x1f", {"R4"}, {"R5"}),
    ],
)
def test_registers_that_are_set_and_read(line, written, read):
    (found,) = code(line, "EXIT")[:1]
    assert (found.written, found.read) == (written, read)


@pytest.mark.parametrize("text", ["", "[]", "[{}, [{}]]", '[{}, [{"function-name": "f"}]]', "[{}, 3]"])
def test_what_is_no_disassembly_is_refused(text):
    with pytest.raises(pg.FileFormatError, match="nvdisasm"):
        instructions_of(text)


def program(tmp_path, text):
    path = tmp_path / "nvdisasm"
    path.write_text(f"#!{sys.executable}\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_the_disassembler_is_called_with_the_cubin(tmp_path):
    answer = json.dumps([{}, [listing("EXIT", name="g")]])
    text = (
        f"import sys\nassert open(sys.argv[2], 'rb').read() == b'cubin' and sys.argv[1] == '-json'\nprint({answer!r})"
    )
    assert list(sass.disassembled(b"cubin", program(tmp_path, text))) == ["g"]


def test_a_disassembler_that_fails_is_said_to(tmp_path):
    text = "import sys\nsys.exit('no such architecture')"
    with pytest.raises(nvrtc.CompilationError, match="no such architecture"):
        sass.disassembled(b"cubin", program(tmp_path, text))


# -- the compiler -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [nvrtc.Nvrtc, sass.disassembler])
def test_without_the_wheels_the_error_says_what_to_install(what, monkeypatch):
    for module in (nvrtc, sass):
        monkeypatch.setattr(module, "nvidia_folders", tuple)
    with pytest.raises(nvrtc.CompilationError, match="gpu-report"):
        what()


# A compiler of which the "cubin" is the text, and the log says what it was asked for.
FAKE = r"""
#include <string>
#include <cstring>
struct Program { std::string text, log; };
extern "C" {
const char* nvrtcGetErrorString(int code) { return code == 5 ? "five" : "other"; }
int nvrtcVersion(int* major, int* minor) { *major = 12; *minor = 9; return 0; }
int nvrtcCreateProgram(Program** out, const char* text, const char*, int, const char**, const char**)
{ if (!strcmp(text, "bad")) return 5; *out = new Program{text, ""}; return 0; }
int nvrtcCompileProgram(Program* p, int n, const char** options)
{ for (int i = 0; i < n; ++i) { p->log += options[i]; p->log += "\n"; }
  if (p->text == "warns") p->log += "kernel.cu(1): warning #177-D\n";
  return p->text == "fails" ? 6 : 0; }
int nvrtcGetProgramLogSize(Program* p, size_t* n) { *n = p->log.size() + 1; return 0; }
int nvrtcGetProgramLog(Program* p, char* out) { memcpy(out, p->log.c_str(), p->log.size() + 1); return 0; }
int nvrtcGetCUBINSize(Program* p, size_t* n) { *n = p->text.size(); return 0; }
int nvrtcGetCUBIN(Program* p, char* out) { memcpy(out, p->text.data(), p->text.size()); return 0; }
int nvrtcDestroyProgram(Program** p) { delete *p; return 0; }
}
"""


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nvrtc")
    (folder / "fake.cpp").write_text(FAKE, encoding="utf-8")
    library = folder / "libnvrtc.so"
    subprocess.run([GXX, "-shared", "-fPIC", "-w", str(folder / "fake.cpp"), "-o", str(library)], check=True)
    return nvrtc.Nvrtc(str(library))


@needs_compiler
def test_a_text_is_compiled_for_an_architecture_with_its_macros(compiler):
    assert compiler.version == "12.9"
    cubin, log = compiler.compile("a text", ("-DTILE=8",), 89)
    assert cubin == b"a text"
    assert {"-arch=sm_89", "-std=c++17", "--ptxas-options=-v", "-DTILE=8"} <= set(log.splitlines())


@needs_compiler
@pytest.mark.parametrize(("text", "what"), [("warns", "warned"), ("fails", "refused"), ("bad", "five")])
def test_warnings_and_errors_are_errors(compiler, text, what):
    with pytest.raises(nvrtc.CompilationError, match=what):
        compiler.compile(text, (), 80)


# -- reports ------------------------------------------------------------------------------------------------------

TILE = Configuration("evaluate", "evaluate_levels", ("-DVALUE=float",), (32, 8), 0, True, np.dtype(np.float32))
PLAIN = Configuration("path_values", "path_take", ("-DVALUE=float",), (256,), 1024, False, np.dtype(np.float32))
GOOD = Mix({"multiply-add": 8, "shared": 2}, 8, 2, True)


def report(**changes):
    """A report of two kernels; `changes` replace fields of the resources of the first, or its mix."""
    resources = dataclasses.replace(Resources(64, 0, 0, 0, 2048), **{k: v for k, v in changes.items() if k != "mix"})
    entries = {
        compiled._key(one): compiled.Entry(
            one,
            dict.fromkeys(ARCHITECTURES, resources if one is TILE else Resources(32, 0, 0, 0, 0)),
            dict.fromkeys(ARCHITECTURES, changes.get("mix", GOOD)) if one is TILE else {80: Mix()},
            dict.fromkeys(ARCHITECTURES, "5a"),
        )
        for one in (TILE, PLAIN)
    }
    texts = {file: compiled.digest(file) for file in ("evaluate", "path_values")}
    return compiled.Report({"compiler": "12.9", "disassembler": "13.5"}, texts, entries)


def test_a_report_is_kept_as_text():
    text = report().to_json()
    assert compiled.Report.from_json(text) == report()
    assert len(text.splitlines()) == 5
    with pytest.raises(pg.FileFormatError, match="compile report"):
        compiled.Report.from_json("{}")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"spill_stores": 32, "spill_loads": 32}, None),
        ({"spill_stores": 36}, "36 bytes are spilled"),
        ({"spill_loads": 33}, "33 bytes are spilled"),
        ({"shared": 48 * 1024}, None),
        ({"shared": 48 * 1024 + 4}, "of shared memory"),
        ({"registers": 255}, None),
        ({"mix": Mix({"multiply-add": 8, "shared": 2, "nop": 9, "integer": 5}, 8, 2, True)}, None),
        ({"mix": Mix({"multiply-add": 8, "shared": 3}, 8, 3, True)}, "2.67 multiply-adds"),
    ],
)
def test_budgets(changes, problem):
    found = budgets.violations(report(**changes))
    assert bool(found) == (problem is not None)
    assert all(problem in sentence for sentence in found)
    assert len(found) in (0, len(ARCHITECTURES))


def test_a_block_that_does_not_fit_is_over_budget():
    big = report(registers=255)
    key = compiled._key(TILE)
    entry = dataclasses.replace(big.entries[key], configuration=dataclasses.replace(TILE, block=(1024,)))
    found = budgets.violations(dataclasses.replace(big, entries={key: entry}))
    assert len(found) == len(ARCHITECTURES)
    assert "does not fit" in found[0]


def test_half_precision_has_no_budget_of_multiply_adds():
    poor = report(mix=Mix({"multiply-add": 1, "integer": 9}, 1, 9, True))
    key = compiled._key(TILE)
    half = dataclasses.replace(TILE, dtype=np.dtype(np.float16))
    entry = dataclasses.replace(poor.entries[key], configuration=half)
    assert budgets.violations(poor)
    assert not budgets.violations(dataclasses.replace(poor, entries={key: entry}))


def test_loops_have_a_budget_where_operands_are_read_in_packs():
    poor = report(mix=Mix({"multiply-add": 8, "shared": 2, "integer": 1}, 8, 2, True))
    assert not budgets.violations(poor)
    (entry, *_) = poor.entries.values()
    for widths, columns, dtype, is_poor in (
        (("1", "4"), 8, "float32", True),
        (("1", "1"), 8, "float32", False),
        (("2", "2"), 4, "float64", False),
        (("2", "2"), 8, "float64", True),
    ):
        options = tuple(f"-D{which}_WIDTH={width}" for which, width in zip("AB", widths, strict=True))
        options = ("-DTM=8", f"-DTN={columns}", *options)
        one = dataclasses.replace(TILE, options=options, dtype=np.dtype(dtype))
        found = dataclasses.replace(poor, entries={compiled._key(one): dataclasses.replace(entry, configuration=one)})
        assert len(budgets.violations(found)) == (len(ARCHITECTURES) if is_poor else 0)
        assert all("2.67" in sentence and "of the loop" in sentence for sentence in budgets.violations(found))


def test_a_report_of_other_kernels_is_stale():
    good, key = report(), compiled._key(TILE)
    assert budgets.stale(good, [TILE, PLAIN]) == []
    (found,) = budgets.stale(dataclasses.replace(good, texts=good.texts | {"evaluate": "0"}), [TILE, PLAIN])
    assert "another text" in found
    (found,) = budgets.stale(good, [TILE])
    assert "no configuration" in found
    (found,) = budgets.stale(dataclasses.replace(good, entries={key: good.entries[key]}), [TILE, PLAIN])
    assert "not in the report" in found
    (found,) = budgets.stale(good, [dataclasses.replace(TILE, block=(64,)), PLAIN])
    assert "another block" in found
    fewer = dataclasses.replace(good.entries[key], resources={80: Resources(1, 0, 0, 0, 0)})
    (found,) = budgets.stale(dataclasses.replace(good, entries=good.entries | {key: fewer}), [TILE, PLAIN])
    assert "lacks architectures" in found
    fewer = dataclasses.replace(good.entries[key], programs={})
    (found,) = budgets.stale(dataclasses.replace(good, entries=good.entries | {key: fewer}), [TILE, PLAIN])
    assert "lacks architectures" in found
    fewer = dataclasses.replace(good.entries[key], mixes={80: GOOD})
    (found,) = budgets.stale(dataclasses.replace(good, entries=good.entries | {key: fewer}), [TILE, PLAIN])
    assert "lacks instruction counts" in found


def test_differences_from_what_is_compiled_are_seen():
    assert budgets.differences(report(), report()) == []
    assert len(budgets.differences(report(), report(registers=65))) == len(ARCHITECTURES)
    assert len(budgets.differences(report(), report(mix=Mix()))) == len(ARCHITECTURES)
    other = dataclasses.replace(report(), versions={"compiler": "13.0", "disassembler": "13.5"})
    assert "13.0" in budgets.differences(report(), other)[0]
    empty = dataclasses.replace(report(), entries={})
    assert len(budgets.differences(empty, report())) == 2


# -- making and checking one --------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """A compiler that always says the same, and the tasks it was given; those that were disassembled come twice."""
    done = []

    class Compiler:
        def compile(self, text, options, architecture, *, name):
            done.append((name.removesuffix(".cu"), options, architecture))
            return f"{name} {architecture}".encode(), name

    def parsed(name):
        names = {"evaluate.cu": ["evaluate_levels", "evaluate_load"], "path_values.cu": ["path_take"]}[name]
        return dict.fromkeys(names, Resources(40, 0, 0, 0, 0))

    def disassembled(cubin):
        name, architecture = cubin.decode().split()
        done.append((name.removesuffix(".cu"), "disassembled", int(architecture)))
        return dict.fromkeys(parsed(name), GOOD)

    for name, fake in (
        ("Nvrtc", Compiler),
        ("parse_log", parsed),
        ("disassembled", disassembled),
        ("mix", lambda m: m),
    ):
        monkeypatch.setattr(compiled, name, fake)
    monkeypatch.setattr(compiled.importlib.metadata, "version", lambda wheel: "1.0")
    for module in (compiled, command):
        monkeypatch.setattr(module, "configurations", lambda: [TILE, PLAIN])
    return done


def test_everything_is_compiled_for_every_architecture(counted):
    found = compiled.compile_report(jobs=1)
    assert budgets.stale(found, [TILE, PLAIN]) == []
    assert sorted(task[::2] for task in counted if task[1] != "disassembled") == [
        (file, architecture) for file in ("evaluate", "path_values") for architecture in ARCHITECTURES
    ]
    assert [task[::2] for task in counted if task[1] == "disassembled"] == [
        *(("evaluate", architecture) for architecture in ARCHITECTURES),
        ("path_values", 80),
    ]
    assert set(found.entries[compiled._key(PLAIN)].mixes) == {80}


def test_a_program_that_is_known_is_not_disassembled(counted):
    known = compiled.compile_report(jobs=1)
    counted.clear()
    assert compiled.compile_report(jobs=1, counted=known) == known
    assert len(counted) == 2 * len(ARCHITECTURES)
    assert all(task[1] != "disassembled" for task in counted)
    key = compiled._key(TILE)
    other = known.entries[key].programs | {90: "0"}
    changed = known.entries | {key: dataclasses.replace(known.entries[key], programs=other)}
    counted.clear()
    assert compiled.compile_report(jobs=1, counted=dataclasses.replace(known, entries=changed)) == known
    assert [task[2] for task in counted if task[1] == "disassembled"] == [90]


def test_or_for_one_architecture_each_by_turns(counted):
    compiled.compile_report(once=True, jobs=1)
    assert [task[2] for task in counted if task[1] != "disassembled"] == list(ARCHITECTURES[:2])


def test_what_is_known_is_not_compiled_again(counted):
    known = compiled.compile_report(jobs=1)
    counted.clear()
    assert compiled.compile_report(jobs=1, known=known) == known
    assert not counted
    changed = dataclasses.replace(known, texts=known.texts | {"path_values": "0"})
    assert compiled.compile_report(jobs=1, known=changed) == known
    assert {task[0] for task in counted} == {"path_values"}
    counted.clear()
    assert compiled.compile_report(jobs=1, known=dataclasses.replace(known, versions={})) == known
    assert len([task for task in counted if task[1] != "disassembled"]) == 2 * len(ARCHITECTURES)


def test_the_command_writes_and_checks(counted, tmp_path, capsys):
    file = tmp_path / "report.json"
    assert command.main([str(file), "--jobs", "1"]) == 0
    counted.clear()
    assert command.main([str(file), "--jobs", "1", "--check"]) == 0
    said = capsys.readouterr().out
    assert "current" in said
    assert "compiled kernels: 14, of which 14 are in the reported programs" in said
    assert len(counted) == 2 * len(ARCHITECTURES)  # all of them, none disassembled
    for extra, number in (("--whole", 2 * len(ARCHITECTURES) + 8), ("--once", 2)):
        counted.clear()
        assert command.main([str(file), "--jobs", "1", "--check", extra]) == 0
        assert len(counted) == number
    capsys.readouterr()
    file.write_text(file.read_text().replace("[40, 0,", "[41, 0,"), encoding="utf-8")
    assert command.main([str(file), "--jobs", "1", "--check"]) == 1
    assert "make gpu-report" in capsys.readouterr().err
    file.write_text(file.read_text().replace("[41, 0,", "[40, 99,"), encoding="utf-8")
    assert command.main([str(file), "--jobs", "1"]) == 0  # stack is no spill
    assert command.main([str(file), "--jobs", "1", "--whole"]) == 0
    assert command.main([str(tmp_path / "none.json"), "--check"]) == 2


def test_the_command_fails_over_budget(counted, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(budgets, "MULTIPLY_ADDS", 4.5)
    assert command.main([str(tmp_path / "report.json"), "--jobs", "1"]) == 1
    assert "multiply-adds" in capsys.readouterr().err


# -- the report that the docs show --------------------------------------------------------------------------------


def committed():
    return compiled.Report.from_json(COMMITTED.read_text(encoding="utf-8"))


def test_the_committed_report_is_of_these_kernels():
    assert budgets.stale(committed(), compiled.configurations()) == []


def test_the_committed_report_is_within_the_budgets():
    assert budgets.violations(committed()) == []


def test_every_translation_unit_has_configurations():
    assert {one.file for one in compiled.configurations()} == set(sources.names())


def test_the_tables_name_every_kernel():
    found = committed()
    text = tables.resources_table(found) + tables.tiles_table(found)
    for one in compiled.configurations():
        assert one.kernel in text
