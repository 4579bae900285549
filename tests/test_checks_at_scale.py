"""Checks in several processes, some of which are killed; interrupted runs; thorough runs."""

import json
import os
from dataclasses import replace

import pytest
from hypothesis import Phase, find, settings

import pathgraph as pg
from pathgraph.proofs_checks import Profile, all_checks, examine, load, main
from pathgraph_proofs_checks import parallel, resume, versions
from pathgraph_proofs_checks.pairs import untied
from pathgraph_proofs_checks.parallel import ClusterError, LostProcessError, examine_all
from pathgraph_proofs_checks.parts import pooling_dags
from pathgraph_proofs_checks.resume import Results, Shown, read, reused
from pathgraph_proofs_checks.runner import BINS
from pathgraph_proofs_checks.sizes import larger

CHECKS = {check.name: check for check in all_checks()}
SOME = ["contraction-of-pools", "number-of-paths", "output-bound", "product-bound"]
MLP = pg.from_weights([[[1, -2], [3, 1]], [[1, 1], [0, 2]]], [[1, -1], [0, 3]], dtype=object)
DEFAULT = Profile()
TIMES = {"seconds": 0.0, "cpu_seconds": 0.0, "evaluating": 0.0}

KILLER = '''
import os
from pathlib import Path
from pathgraph.proofs_checks import Equality, drawn, theorem

def kill_unless(path, *, always=False):
    """End this process, the first time or every time; never that of the tests."""
    if os.getpid() != {main} and (always or not path.exists()):
        path.touch()
        os.kill(os.getpid(), 9)

@theorem(statement="Its process is killed once.", instances=drawn())
def killed_once(net):
    kill_unless(Path({folder!r}) / "once")
    return Equality(len(net.nodes), len(net.nodes))

@theorem(statement="Its process is killed whenever it runs.", instances=drawn())
def killed_always(net):
    kill_unless(Path({folder!r}) / "always", always=True)
    return Equality(1, 1)
'''


@pytest.fixture(scope="module", autouse=True)
def _no_processes_are_left():
    yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True, kill_workers=True)


@pytest.fixture
def killers(tmp_path):
    file = tmp_path / "killers.py"
    file.write_text(KILLER.format(folder=str(tmp_path), main=os.getpid()))
    return {check.name: check for check in load(file)}


def timeless(reports):
    return {report.check.name: replace(report, **TIMES) for report in reports}


# -- processes --------------------------------------------------------------------------------------------------------


def test_reports_do_not_depend_on_processes_or_on_killed_ones(killers):
    checks = [*(CHECKS[name] for name in SOME), killers["killed-once"]]
    profile = Profile(15)
    alone = timeless(examine_all(checks[::-1], profile, MLP))
    together = list(examine_all(checks, profile, MLP, 2))
    assert len(together) == len(checks)
    assert timeless(together) == alone
    assert all(report.passed for report in together)
    assert together != alone


def test_a_check_that_ends_every_process_is_an_error_and_stops_no_other(killers, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "TRUSTED", 0)  # that a pool is started again is tested above
    checks = [killers["killed-always"], CHECKS["number-of-paths"], CHECKS["output-bound"]]
    reports = {report.check.name: report for report in examine_all(checks, Profile(5), None, 2)}
    assert len(reports) == 3
    lost = reports.pop("killed-always")
    assert lost.verdict == "ERROR"
    assert isinstance(lost.failure.error, LostProcessError)
    assert all(report.passed for report in reports.values())


def test_workers_with_other_sources_are_refused():
    with pytest.raises(ClusterError, match="a worker runs other sources"):
        parallel._accepted(parallel._examine(CHECKS["number-of-paths"], Profile(5), b"", "another digest"))


def test_examples_depend_on_the_seed_and_the_name_alone():
    check = CHECKS["output-bound"]
    first, again, other = (examine(check, Profile(20, seed=seed)) for seed in (0, 0, 1))
    assert timeless([first]) == timeless([again]) != timeless([other])


def test_dask(killers):
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'pathgraph[dask]'")
    checks = [*(CHECKS[name] for name in SOME), killers["killed-once"]]
    expected = timeless(examine_all(checks, Profile(10), MLP))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        assert timeless(examine_all(checks, Profile(10), MLP, dask=cluster.scheduler_address)) == expected


def test_dask_that_does_not_answer(capsys, monkeypatch):
    pytest.importorskip("distributed", reason="needs Dask: pip install 'pathgraph[dask]'")
    monkeypatch.setattr(parallel, "PATIENCE", 1)
    with pytest.raises(SystemExit):
        main(["--no-digits", "--only", "output-bound", "--dask", "tcp://127.0.0.1:9"])
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err


def test_dask_that_is_not_installed(capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(SystemExit):
        main(["--no-digits", "--only", "output-bound", "--dask", "tcp://127.0.0.1:9"])
    assert "pip install 'pathgraph[dask]'" in capsys.readouterr().err


# -- interrupted runs -------------------------------------------------------------------------------------------------


def arguments(*options):
    return ["--no-digits", *(word for name in SOME for word in ("--only", name)), *map(str, options)]


def results(file):
    document = json.loads(file.read_text())
    for row in document["checks"]:
        row.update(TIMES)
    return document


def test_an_interrupted_run_goes_on(tmp_path, capsys, monkeypatch):
    whole, file = tmp_path / "whole.json", tmp_path / "part.json"
    assert main(arguments("--json", whole)) == 0

    def interrupted(check, *args):
        if check.name == SOME[2]:
            raise KeyboardInterrupt
        return examine(check, *args)

    monkeypatch.setattr(parallel, "examine", interrupted)
    assert main(arguments("--resume", file)) == 130
    printed = capsys.readouterr().out
    assert f"interrupted after 2 of 4 checks, which are in {file}" in printed
    part = results(file)
    assert [row["name"] for row in part["checks"]] == SOME[:2]
    assert not part["complete"]
    assert not part["passed"]

    ran = []
    monkeypatch.setattr(parallel, "examine", lambda check, *args: ran.append(check.name) or examine(check, *args))
    assert main(arguments("--resume", file)) == 0
    printed = capsys.readouterr().out
    assert "2 of 4 results are used again; 2 missing" in printed
    assert ran == SOME[2:]
    assert results(file) == results(whole)
    assert not list(tmp_path.glob("*.part"))

    assert main(arguments("--resume", file)) == 0
    assert ran == SOME[2:]
    assert results(file) == results(whole)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    file = tmp_path_factory.mktemp("results") / "results.json"
    assert main(arguments("--json", file)) == 0
    return file.read_text()


def again(text, tmp_path, profile=DEFAULT, net=None):
    file = tmp_path / "results.json"
    file.write_text(text)
    reports, remarks = reused(read(file), [CHECKS[name] for name in SOME], profile, net)
    return [report.check.name for report in reports], "; ".join(remarks)


def test_results_are_used_again_while_nothing_changed(finished, tmp_path):
    assert again(finished, tmp_path) == (SOME, "4 of 4 results are used again")


def test_changed_sources_are_not_used_silently(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "sources", lambda: "other")
    names, said = again(finished, tmp_path)
    assert (names, said) == ([], "0 of 4 results are used again; 4 out of date; what changed: sources")


@pytest.mark.parametrize(
    ("profile", "changed"),
    [(Profile(seed=1), "seed"), (Profile(max_examples=9), "examples"), (Profile(thorough=True), "thorough")],
)
def test_other_examples_are_not_used_silently(finished, tmp_path, profile, changed):
    names, said = again(finished, tmp_path, profile)
    assert names == []
    assert f"4 out of date; what changed: {changed}" in said


def test_other_versions_are_not_used_silently(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "version", lambda name: "0.0")
    names, said = again(finished, tmp_path)
    assert names == []
    assert "hypothesis, networkx, numpy, scipy" in said


def test_another_network_matters_to_the_checks_that_use_it(finished, tmp_path):
    names, said = again(finished, tmp_path, net=MLP)
    assert names == [name for name in SOME if not CHECKS[name].on_network]
    assert "the given network" in said


def test_failed_and_damaged_results_run_again(finished, tmp_path):
    document = json.loads(finished)
    document["checks"][0]["passed"] = False
    document["checks"][1]["mutants"].popitem()
    del document["checks"][2]["histogram"]
    document["checks"].pop()
    names, said = again(json.dumps(document), tmp_path)
    assert names == []
    assert said == "0 of 4 results are used again; 1 failed; 1 missing; 2 unreadable"


def test_a_changed_file_of_a_conjecture_is_out_of_date(killers, tmp_path):
    check = killers["killed-once"]
    file = tmp_path / "results.json"
    Results(file, Profile(5), None, 1).add(examine(check, Profile(5)))
    assert len(reused(read(file), [check], Profile(5), None)[0]) == 1
    with open(check.file, "a") as text:
        text.write("\n# another text\n")
    reports, said = reused(read(file), [check], Profile(5), None)
    assert reports == []
    assert said[-1] == "what changed: the file of the check, or the given network"


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "needed a file that --json wrote"), ("[1]", "got other JSON"), ('{"checks": 3}', "got other JSON")],
)
def test_files_that_hold_no_results(tmp_path, capsys, text, message):
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(SystemExit) as caught:
        main(arguments("--resume", file))
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert file.read_text() == text


@pytest.mark.parametrize("name", SOME)
def test_reports_survive_their_file(name, tmp_path):
    report = examine(CHECKS[name], Profile(20), MLP)
    file = tmp_path / "results.json"
    Results(file, Profile(20), MLP, 1).add(report)
    ((back,), _) = reused(read(file), [CHECKS[name]], Profile(20), MLP)
    assert (back.ratio, back.histogram, back.verdicts) == (report.ratio, report.histogram, report.verdicts)
    assert (back.worst is None) == (report.worst is None)
    if back.worst is not None and not any(isinstance(part, Shown) for part in back.worst):
        assert CHECKS[name](*back.worst).ratio == report.ratio


# -- thorough runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("networks", [untied, pooling_dags])
def test_larger_networks_are_larger(networks):
    found = find(
        larger(networks), lambda net: len(net.hidden) > 5, settings=settings(phases=[Phase.generate], database=None)
    )
    assert len(found.hidden) > 5


def test_most_checks_know_larger_networks():
    assert sum(larger(check.networks) is not check.networks for check in CHECKS.values()) >= 0.9 * len(CHECKS)


def test_a_thorough_run_searches_for_every_mutant_again(tmp_path, capsys):
    check = CHECKS["contraction-of-pools"]
    report = examine(check, Profile(4, thorough=True))
    assert report.instances == 40
    assert list(report.found_again) == [mutant.name for mutant in check.mutants]
    for mutant in check.mutants:
        found = report.found_again[mutant.name]
        assert found is None or not check(*found, **mutant.ingredients)
    assert any(report.found_again.values())


def test_a_thorough_run_says_its_seed_and_is_resumed_with_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Profile, "__init__", quick(Profile.__init__))
    file = tmp_path / "results.json"
    options = ["--no-digits", "--thorough", "--only", "contraction-of-pools", "--resume", str(file)]
    assert main(options) == 0
    printed = capsys.readouterr().out
    seed = json.loads(file.read_text())["run"]["seed"]
    assert f"seed {seed} " in printed
    assert "new counterexamples were searched for" in printed
    assert main(options) == 0
    assert "1 of 1 results are used again" in capsys.readouterr().out
    assert json.loads(file.read_text())["run"]["seed"] == seed


def quick(init):
    return lambda self, max_examples=2, **options: init(self, max_examples, **options)


@pytest.mark.parametrize("name", SOME)
def test_histograms_count_the_ratios_of_inequalities(name):
    report = examine(CHECKS[name], Profile(10))
    assert sum(report.histogram.values()) <= report.instances
    assert bool(report.histogram) == (CHECKS[name].constant is not None)
    assert (report.histogram[BINS] > 0) == (report.tightness == "attained")
