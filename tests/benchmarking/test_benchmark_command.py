"""``gkd bench``: what it prints, whom it blames; benchmarks of installed distributions."""

import builtins
import json
import sys
from collections.abc import Callable

import pytest
from fake_benchmark import Timed
from fake_distributions import Site

from gkd.benchmarking import Goal, MissingPackageError, Setting
from gkd.benchmarking.installed import choose_benchmarks, load_benchmarks
from gkd.benchmarking.process_memory import process_peak
from gkd.cli import main
from gkd.commands import bench
from gkd.errors import GkdError, PluginError, UnknownNameError

SMALL = """
import torch
from gkd.benchmarking import Benchmark

class Filled(Benchmark):
    alternative = "nothing"
    def ours(self, setting):
        return lambda: [torch.ones(30_000_000)]
    def theirs(self, setting):
        return lambda: [torch.ones(1)]

class Broken(Filled):
    def ours(self, setting):
        raise ValueError("out of order")

BENCHMARKS = {"filled": Filled, "broken": Broken}
"""


class Absent(Timed):
    """A benchmark whose alternative is not there."""

    def theirs(self, setting: Setting) -> None:
        raise MissingPackageError("nowhere is not installed; pip install nowhere")


class Long(Timed):
    """A benchmark for those who can wait."""

    long = True


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Run the command on benchmarks of known duration; return status, output, error output."""
    known = {
        "timed": lambda: Timed(goal=Goal(speed=2.0)),
        "slower": lambda: Timed(ours=[6.0], goal=Goal(time=1.5)),
        "absent": Absent,
        "long": Long,
    }
    monkeypatch.setattr("gkd.benchmarking.installed.load_benchmarks", lambda: known)
    measure = bench.measure
    monkeypatch.setattr(
        bench,
        "measure",
        lambda name, benchmark, setting, repeats: measure(
            name, benchmark, setting, repeats, clock=benchmark.clock
        ),
    )

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["bench", *arguments])
        return caught.value.code, *capsys.readouterr()

    return command


def test_the_table_names_both_sides_the_ratio_and_the_goal(run) -> None:
    status, out, _ = run("timed", "slower", "--quick")
    assert status == 0
    first, second = (line for line in out.splitlines() if line.startswith(("timed", "slower")))
    assert "slow" in first
    assert "3.0x (3.0 to 3.0) as fast" in first
    assert "at least 2x as fast: reached" in first
    assert "2.00x (2.00 to 2.00) the time" in second
    assert "at most 1.5x the time: MISSED" in second


def test_json_has_the_circumstances_and_every_number(run) -> None:
    status, out, err = run("timed", "--quick", "--json", "--repeats", "2", "--threads", "1")
    assert status == 0
    document = json.loads(out)
    (case,) = document["cases"]
    assert case["speed"]["median"] == 3.0
    assert case["ours"]["process_bytes"] is None
    assert document["hardware"]["threads"] == 1
    assert document["versions"]["torch"]
    assert document["dtype"] == "float32"
    assert "timed" in err  # progress does not go among JSON


def test_an_unknown_case_is_one_error_with_the_nearest(run) -> None:
    status, out, err = run("tmied", "timed", "--quick")
    assert (status, out) == (2, "")
    assert "'timed'" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--device", "cdua", "cuda"),
        ("--dtype", "float23", "float32"),
        ("--repeats", "0", "--repeats"),
    ],
)
def test_an_option_that_cannot_be_followed(run, option: str, value: str, word: str) -> None:
    status, out, err = run("timed", option, value)
    assert (status, out) == (2, "")
    assert word in err


def test_what_is_not_installed_does_not_keep_others_from_running(run) -> None:
    status, out, _ = run("absent", "timed", "--quick")
    assert status == 0
    assert "absent did not run: nowhere is not installed; pip install nowhere" in out
    assert "3.0x" in out
    status, out, _ = run("absent", "timed", "--quick", "--json")
    assert json.loads(out)["not_run"] == {"absent": "nowhere is not installed; pip install nowhere"}


def test_asked_for_alone_it_is_the_error(run) -> None:
    status, out, err = run("absent", "--quick")
    assert (status, out) == (2, "")
    assert "pip install nowhere" in err


def test_quick_leaves_long_ones_out_unless_asked_for(run) -> None:
    _, out, _ = run("--quick")
    assert "\nlong " not in out
    _, out, _ = run("long", "--quick")
    assert "\nlong " in out


def test_fresh_processes_are_measured_unless_quick(run, monkeypatch) -> None:
    peaks = {True: 3 * 2**20, False: 5 * 2**20}
    monkeypatch.setattr(bench, "process_peak", lambda *_, ours, threads: peaks[ours])
    _, out, _ = run("timed", "--repeats", "1")
    assert "3 MiB / 5 MiB" in out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak memory")
def test_a_fresh_process_tells_the_peak_of_one_side(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.folder / "small.py").write_text(SMALL, encoding="utf-8")
    site.declare("small", {"own": "small:BENCHMARKS"}, group="gkd.benchmarks")
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    ours, theirs = (
        process_peak("filled", Setting(), ours=side, threads=1) for side in (True, False)
    )
    assert 100e6 < ours - theirs < 260e6
    with pytest.raises(GkdError, match="out of order"):
        process_peak("broken", Setting(), ours=True, threads=1)


def test_distributions_bring_benchmarks(site: Site) -> None:
    (site.folder / "small.py").write_text(SMALL, encoding="utf-8")
    site.declare("small", {"own": "small:BENCHMARKS"}, group="gkd.benchmarks")
    assert {"filled", "lsp-rbf"} <= load_benchmarks().keys()
    assert list(choose_benchmarks(["filled"])) == ["filled"]


def test_two_of_one_name_are_an_error(site: Site) -> None:
    (site.folder / "small.py").write_text(SMALL, encoding="utf-8")
    for name in ("small", "smaller"):
        site.declare(name, {"own": "small:BENCHMARKS"}, group="gkd.benchmarks")
    with pytest.raises(PluginError, match="'broken', which is there already"):
        load_benchmarks()


def test_benchmarks_that_cannot_be_loaded_are_blamed(site: Site) -> None:
    site.declare("lost", {"own": "nowhere:BENCHMARKS"}, group="gkd.benchmarks")
    with pytest.raises(PluginError, match="lost: nowhere:BENCHMARKS cannot be loaded"):
        load_benchmarks()


def test_unknown_names_are_refused_before_anything_is_made(site: Site) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lsp-rbf'"):
        choose_benchmarks(["lsp-rbf", "lsp-rfb"])


def test_without_torch_geometric_the_case_says_how_to_install_it(monkeypatch) -> None:
    real = builtins.__import__

    def fake(name, *rest):
        if name.startswith("torch_geometric"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    benchmark = choose_benchmarks(["gat-student"])["gat-student"]
    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(MissingPackageError, match="pip install torch-geometric"):
        benchmark.theirs(Setting())
