"""``gkd reproduce`` from data to report, on a data set of thirty tiny clouds."""

import json

import modelnet_files
import pytest

from gkd.cli import main

SMALL = (
    f"dataset.points={modelnet_files.POINTS}",
    "dataset.download=false",
    "teacher.params={channels=[4, 4, 4, 4], embedding=4, head=[4], k=3}",
    "student.params={channels=[4, 4, 4], embedding=4, head=[4], k=3}",
    "teacher.training.epochs=1",
    "teacher.training.batch_size=8",
    "training.epochs=1",
    "training.batch_size=8",
    "feature_space.epochs=[1]",
    "feature_space.objects=3",
    "seeds=[0]",
)


def test_figure_1_is_a_picture_and_numbers(tmp_path, capsys):
    data = modelnet_files.write(tmp_path / "data", modelnet_files.miniature())
    settings = [word for one in (f"dataset.root={data}", *SMALL) for word in ("--set", one)]
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "figure1", "--out", str(out), *settings])
    assert not ended.value.code
    printed = capsys.readouterr().out
    found = json.loads((out / "results.json").read_text())["rank_correlations"]
    assert {method: set(epochs) for method, epochs in found.items()} == {
        "baseline": {"1"},
        "lsp": {"1"},
    }
    assert set(found["lsp"]["1"]) == {"0"}
    structure = (out / "table.md").read_text().partition("Rank correlation")[2].partition("\n* ")[0]
    assert structure.count("\n| baseline ") == structure.count("\n| lsp ") == 1
    assert "paper, figure 1 (b)" in printed
    assert "teacher.training.epochs 1 (250 there)" in printed
    assert (out / "feature_space.png").is_file()
