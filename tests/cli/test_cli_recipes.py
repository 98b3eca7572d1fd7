"""``gkd recipes``: those that come with gkd, one of them, any of them checked."""

import hashlib
from pathlib import Path

import pytest
from command_line import Run
from ppi_archive import miniature, write, zipped

from gkd.recipe.shipped import recipe_files, shipped_recipes
from gkd_data import ppi
from gkd_data.public_archive import PublicArchive

SMALL = """\
title = "mine"
seeds = [0, 1]

[dataset]
name = "communities"
train_graphs = 2
validation_graphs = 1
test_graphs = 1
nodes = 30
degree = 4

[teacher]
name = "gat"
params = { hidden_channels = [4], heads = [2, 2] }
training = { epochs = 3 }

[student]
name = "mlp"

[training]
epochs = 2
batch_size = 3

[[methods]]
name = "logits"
terms = [{ loss = "kd" }]
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "here" / "mine.toml"
    file.parent.mkdir()
    file.write_text(SMALL)
    return file


def test_the_list_has_a_line_for_each_recipe(run: Run) -> None:
    heading, *rows = run("recipes").rows
    assert heading == "Name Needs What it trains"
    assert [row.split()[0] for row in rows] == shipped_recipes()
    assert "communities nothing GAT on generated communities" in rows
    assert "ppi-lsp dataset.root GAT on PPI, distilled by the local structure preserving loss" in (
        rows
    )


def test_the_list_as_json(run: Run) -> None:
    rows = {row["name"]: row for row in run("recipes", "--json").json}
    assert list(rows) == shipped_recipes()
    assert all(row["title"] for row in rows.values())
    assert (rows["glnn-cora"]["dataset"], rows["glnn-cora"]["needs"]) == ("nodes", ["dataset.file"])


def test_a_recipe_is_shown_as_it_is_written(run: Run) -> None:
    for file in recipe_files():
        shown = run("recipes", "show", file.name.removesuffix(".toml")).out
        assert shown == file.read_text(encoding="utf-8")


def test_what_is_right_is_said(run: Run, mine: Path) -> None:
    outcome = run("recipes", "check", mine)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.rows[0] == f"{mine} can be run: its networks took their first batches"
    (dataset,) = (row for row in outcome.rows if row.startswith("dataset"))
    assert dataset.startswith("dataset communities: ")
    assert "nodes = 30" in dataset
    assert "samples 2 train, 1 validation, 1 test" in outcome.rows
    assert "task multi-label: 32 features in, 40 out" in outcome.rows
    (teacher,) = (row for row in outcome.rows if row.startswith("teacher"))
    assert teacher.endswith("parameters, 3 epochs")
    assert "methods logits (kd), baseline" in outcome.rows
    assert "networks 5: teachers 1, students 4 (methods 2, seeds 2)" in outcome.rows
    assert any(row.startswith("warning: training.batch_size = 3 is more") for row in outcome.rows)
    assert list(mine.parent.iterdir()) == [mine]  # nothing is left, nothing is trained


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("seeds", "sedes", 2, "unknown key; did you mean 'seeds'?"),
        ('"gat"', '"gta"', 13, "no model is called 'gta'; did you mean 'gat'?"),
        ("hidden_channels", "hiden_channels", 12, "did you mean 'hidden_channels'?"),
        ('"kd"', '"lsp"', 24, "lsp compares features"),  # that is found by trying it
        ("nodes = 30", "nodes = 0", 9, "parameter 'nodes' must be"),
    ],
)
def test_what_is_wrong_is_one_message_with_its_line(
    run: Run, mine: Path, old: str, new: str, line: int, words: str
) -> None:
    mine.write_text(SMALL.replace(old, new, 1))
    outcome = run("recipes", "check", mine)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {mine}:{line}: ")
    assert words in outcome.err


def test_wrong_names_exit_with_2(run: Run) -> None:
    outcome = run("recipes", "show", "dmeo")
    assert (outcome.status, outcome.out) == (2, "")
    assert "did you mean 'demo'?" in outcome.err
    assert run("recipes", "chek").status == 2
    outcome = run("recipes", "check", "demo", "--set", "training.epohcs=3")
    assert outcome.status == 2
    assert "did you mean 'epochs'?" in outcome.err


@pytest.fixture
def on_ppi(mine: Path) -> Path:
    """The same networks on the layout of PPI, whose folder nobody has named."""
    head, _, tail = SMALL.partition("[dataset]")
    teacher = tail[tail.index("[teacher]") :]
    mine.write_text(f'{head}[dataset]\nname = "ppi"\n\n{teacher}')
    return mine


def test_a_check_downloads_nothing(
    run: Run, on_ppi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "public").mkdir()
    source = zipped(write(tmp_path / "files", miniature()), tmp_path / "public" / "ppi.zip")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    monkeypatch.setattr(ppi, "PUBLIC_ARCHIVE", PublicArchive("PPI", source.as_uri(), digest))
    folder = tmp_path / "mine"
    folder.mkdir()
    outcome = run("recipes", "check", on_ppi, "--set", f"dataset.root={folder}")
    assert (outcome.status, outcome.out, list(folder.iterdir())) == (2, "", [])
    assert f"there is no PPI at {folder}: a run downloads it from {source.as_uri()}" in outcome.err
    assert f"put it at {folder / 'ppi.zip'}" in outcome.err


def test_the_root_of_data_is_that_of_the_environment_where_nothing_else_gives_one(
    run: Run, on_ppi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data", miniature())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GKD_DATA", raising=False)
    outcome = run("recipes", "check", on_ppi)
    assert (outcome.status, outcome.out) == (2, "")
    assert f"{on_ppi}:4: dataset.root is missing" in outcome.err
    assert "--set dataset.root=FOLDER, or by GKD_DATA=FOLDER" in outcome.err

    monkeypatch.setenv("GKD_DATA", "data")
    assert f"root {tmp_path / 'data'}" in run("recipes", "check", on_ppi).rows
    assert run("run", on_ppi, "--out", "done").status == 0
    assert f'root = "{tmp_path / "data"}"' in Path("done", "recipe.toml").read_text()

    outcome = run("recipes", "check", on_ppi, "--set", "dataset.root=elsewhere")
    assert f"there is no folder {tmp_path / 'elsewhere'}" in outcome.err
    monkeypatch.setenv("GKD_DATA", "elsewhere")
    outcome = run("taps", on_ppi)
    assert "error: GKD_DATA=elsewhere: dataset: there is no folder" in outcome.err


def test_python_is_no_recipe(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text("import torch\n")
    outcome = run("recipes", "check", file)
    assert (outcome.status, outcome.out) == (2, "")
    assert "nets.py is Python: expected a recipe, a TOML file, in which name = 'nets:CLASS'" in (
        outcome.err
    )


def test_a_folder_of_a_run_is_no_recipe(run: Run, mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "done"
    folder.mkdir()
    (folder / "recipe.toml").write_text(mine.read_text())
    outcome = run("run", folder, "--resume")
    assert outcome.status == 2
    assert f"`gkd run {folder / 'recipe.toml'} --out {folder} --resume` goes on" in outcome.err


def test_the_root_of_the_environment_is_that_of_pytorch_geometric_too(
    run: Run, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GKD_DATA", raising=False)
    planetoid = (mine, "--set", "dataset={name='pyg', dataset='Planetoid', name_='Cora'}")
    outcome = run("recipes", "check", *planetoid)
    assert outcome.status == 2
    assert "dataset.root is missing" in outcome.err

    monkeypatch.setenv("GKD_DATA", "data")
    outcome = run("recipes", "check", *planetoid)
    assert f"there is no Planetoid at {tmp_path / 'data' / 'Cora' / 'raw'}" in outcome.err
    # What keeps no files is given no folder, and a folder of its own stands above.
    outcome = run("recipes", "check", mine, "--set", "dataset={name='pyg', dataset='KarateClub'}")
    assert "root" not in outcome.err
    outcome = run("recipes", "check", *planetoid, "--set", "dataset.root=other")
    assert f"there is no Planetoid at {tmp_path / 'other' / 'Cora' / 'raw'}" in outcome.err
    outcome = run("recipes", "check", mine, "--set", "dataset={name='pyg', dataset='Planetiod'}")
    assert "did you mean 'Planetoid'" in outcome.err


def test_how_many_seeds_can_decide_is_said(run: Run, mine: Path) -> None:
    def row(max_seeds: int) -> str:
        rows = run("recipes", "check", mine, "--set", f"max_seeds={max_seeds}").rows
        (found,) = (row for row in rows if row.startswith("seeds"))
        return found

    takes = "looking after every seed, a verdict on one method takes 5 seeds at least"
    assert row(5) == f"seeds {takes}; at most 5 are trained"
    assert row(4).startswith(f"seeds warning: {takes}: with max_seeds = 4 nothing can be decided")


def test_the_epochs_of_a_term_are_those_that_a_run_counts(run: Run, mine: Path) -> None:
    def methods(window: str) -> str:
        weight = f"methods.logits.terms.0.weight={{value = 1.0, {window}}}"
        settings = ("--set", "training.epochs=10", "--set", weight)
        rows = run("recipes", "check", mine, *settings).rows
        return next(row for row in rows if row.startswith("methods"))

    assert methods("from_epoch = 2, until_epoch = 30") == (
        "methods logits (kd in epochs 3 to 10), baseline"
    )
    assert methods("from_epoch = 10") == "methods logits (kd in no epoch), baseline"
    assert methods("until_epoch = 4") == "methods logits (kd in epochs 1 to 4), baseline"
    assert methods("from_epoch = 0") == "methods logits (kd), baseline"
