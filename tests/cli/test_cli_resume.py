"""``--resume`` without the settings that the run was begun with."""

from pathlib import Path

import pytest

from gkd.cli import main
from gkd.commands import run_recipe
from gkd.recipe.file import read_recipe
from gkd.training.recipe_run import Run

pytestmark = pytest.mark.usefixtures("quick_latency")

SETTINGS = ("dataset.nodes=40", "dataset.degree=6", "training.epochs=2", "seeds=[3]")


def gkd(*arguments: object) -> int:
    """Run the command line, and return its exit status."""
    with pytest.raises(SystemExit) as exit:
        main([str(argument) for argument in arguments])
    return int(exit.value.code or 0)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """What is trained: nothing is, but a run's folder is made."""
    runs: list[Run] = []

    def train(run: Run, *_: object) -> None:
        if not run.resumed:
            run.directory.start(run.file.recipe, {})
        runs.append(run)

    monkeypatch.setattr(Run, "train", train)
    monkeypatch.setattr(run_recipe, "report", lambda run: None)
    return runs


def begin(recipe: object, out: Path, *settings: str) -> None:
    options = [word for one in settings for word in ("--set", one)]
    assert gkd("run", recipe, "--out", out, *options) == 0


def test_a_shipped_recipe_needs_no_settings_again(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin("communities", tmp_path / "run", *SETTINGS)
    assert gkd("run", "communities", "--out", tmp_path / "run", "--resume") == 0
    first, again = trained
    assert again.resumed
    assert again.file.recipe == first.file.recipe
    assert again.file.recipe.training.epochs == 2
    assert again.file.name == "communities"
    # The newest run is found by the same name.
    assert gkd("run", "communities", "--set", "dataset.nodes=40") == 0
    assert gkd("run", "communities", "--resume") == 0
    assert trained[-1].file.recipe == trained[-2].file.recipe


def test_a_table_goes_on_without_the_folder_of_its_data(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GKD_DATA", raising=False)
    options = ("--out", tmp_path / "t4", "--set", f"dataset.root={tmp_path}")
    assert gkd("reproduce", "table4", *options) == 0
    assert gkd("reproduce", "table4", "--out", tmp_path / "t4", "--resume") == 0
    assert trained[1].file.recipe.dataset.params["root"] == str(tmp_path)


def test_settings_of_others_are_refused_and_a_few_named(
    tmp_path: Path, trained: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    begin("communities", out, *SETTINGS)
    resume = ("run", "communities", "--out", out, "--resume", "--set", "training.epochs=2")
    assert gkd(*resume, "--set", "dataset.nodes=41") == 2
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if line.startswith("  ")] == ["  dataset.nodes was 40, is 41"]
    keys = ("batch_size=3", "workers=1", "learning_rate=0.5", "weight_decay=0.5")
    keys = (*keys, "schedule='cosine'", "gradient_clipping=0.5", "validate_every=2")
    others = [word for key in keys for word in ("--set", f"training.{key}")]
    assert gkd(*resume, *others) == 2
    told = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("  training.") for line in told) == 5
    assert "  and 2 more" in told
    assert len(trained) == 1


def test_a_run_of_another_recipe_is_one_sentence(
    tmp_path: Path, trained: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    begin("communities", out)
    assert gkd("run", "demo", "--out", out, "--resume") == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    title = read_recipe("demo").recipe.title
    assert f"{out} is a run of 'GAT on generated communities', not of {title!r}; `gkd run " in told


def test_a_file_of_ones_own_is_compared_by_what_it_says(
    tmp_path: Path, trained: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    mine, out = tmp_path / "mine.toml", tmp_path / "run"
    assert gkd("recipes", "show", "communities") == 0
    text = capsys.readouterr().out
    assert "\nnodes = " not in text
    mine.write_text(text)
    begin(mine, out, "dataset.nodes=40")
    assert gkd("run", mine, "--out", out, "--resume") == 0
    assert trained[1].file.recipe == trained[0].file.recipe
    mine.write_text(text.replace("[training]", "[training]\nweight_decay = 0.25"))
    assert gkd("run", mine, "--out", out, "--resume") == 2
    assert "  training.weight_decay was 0.0, is 0.25" in capsys.readouterr().err


def test_a_folder_without_a_run_is_said_before_what_the_recipe_lacks(
    tmp_path: Path,
    trained: list[Run],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GKD_DATA", raising=False)
    resume = ("reproduce", "table4", "--resume", "--out", tmp_path / "t4")
    assert gkd(*resume) == 2
    assert f"--resume: there is no folder {tmp_path / 't4'}\n" in capsys.readouterr().err
    (tmp_path / "t4").mkdir()
    assert gkd(*resume) == 2
    assert "t4 is no folder of gkd run: it has no recipe.toml\n" in capsys.readouterr().err
    assert trained == []
