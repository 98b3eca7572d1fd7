import io
import json
import sys
from pathlib import Path

import pytest
from run_directories import complete_run, summary, write_run

from gkd.cli import main

FILES = {"results.json", "table.md", "report.html"}


def gkd(*arguments: object) -> int:
    """Run the command line, and return its exit status."""
    with pytest.raises(SystemExit) as exit:
        main([str(argument) for argument in arguments])
    return int(exit.value.code or 0)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return complete_run(tmp_path / "ppi-lsp")


def test_it_writes_the_files_and_prints_the_table(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gkd("report", run_dir) == 0
    assert {path.name for path in run_dir.iterdir()} >= FILES
    assert "lsp beat the baseline by 0.39 points" in capsys.readouterr().out


def test_json_is_what_the_file_holds(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gkd("report", run_dir, "--json") == 0
    written = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out) == written


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_output_may_have_an_encoding_that_lacks_characters(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    recipe = run_dir / "recipe.toml"
    title = "\N{GREEK SMALL LETTER SIGMA} \N{RIGHTWARDS ARROW} \N{CJK UNIFIED IDEOGRAPH-4E2D}"
    recipe.write_text(recipe.read_text().replace("LSP on PPI", title), encoding="utf-8")
    assert gkd("report", run_dir) == 0
    printed = streams["stdout"].buffer.getvalue().decode(encoding)
    assert "? ? ?" in printed
    assert "lsp beat the baseline by 0.39 points" in printed
    assert gkd("report", run_dir, "--json") == 0
    text = streams["stdout"].buffer.getvalue().decode(encoding).removeprefix(printed)
    assert json.loads(text)["title"] == title
    assert gkd("report", run_dir / "\N{GREEK SMALL LETTER SIGMA}") == 2
    assert b"error: " in streams["stderr"].buffer.getvalue()


def test_several_runs_make_one_report(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, out = complete_run(tmp_path / "ppi-kd"), tmp_path / "compared"
    assert gkd("report", run_dir, other, "--out", out, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [run["directory"] for run in printed["runs"]] == ["ppi-lsp", "ppi-kd"]
    assert {path.name for path in out.iterdir()} == FILES
    assert not FILES & {path.name for path in run_dir.iterdir()}


def test_runs_of_one_recipe_pool_their_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        write_run(
            tmp_path / f"seed-{seed}",
            [summary("baseline", seed, 0.9), summary("lsp", seed, 0.92 + 0.01 * seed)],
            methods=("baseline", "lsp"),
            seeds=(seed,),
        )
        for seed in range(3)
    ]
    assert gkd("report", *runs) == 0
    printed = capsys.readouterr().out
    assert "lsp beat the baseline by 3.00 points" in printed
    assert "3 paired seeds" in printed
    assert "one seed: no spread" in (runs[0] / "table.md").read_text(encoding="utf-8")
    assert gkd("report", *runs, "--out", tmp_path / "pooled", "--json") == 0
    assert json.loads(capsys.readouterr().out)["directory"] == "seed-0, seed-1, seed-2"


def test_a_folder_that_is_no_run_exits_with_2(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = run_dir.parent / "ppi-lps"
    assert gkd("report", missing) == 2
    captured = capsys.readouterr()
    assert f"there is no folder {missing}: did you mean {run_dir}?" in captured.err
    missing.mkdir()
    assert gkd("report", missing) == 2
    captured = capsys.readouterr()
    assert f"{missing} is not a run directory (it has no recipe.toml): did you" in captured.err
    assert "Traceback" not in captured.err


def test_a_report_that_cannot_be_written_exits_with_2(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    occupied = tmp_path / "a file"
    occupied.write_text("", encoding="utf-8")
    assert gkd("report", run_dir, "--out", occupied) == 2
    assert "no report can be written" in capsys.readouterr().err
