"""``gkd sweep`` at the command line."""

import importlib.util
import subprocess
import sys

import pytest
from test_cli_run import SMALL_SETTINGS, gkd

from gkd.recipe.shipped import shipped_recipe
from gkd.sweep.sweep_run import SweepRun

pytestmark = pytest.mark.usefixtures("quick_latency")

SPACE = ("--space", "training.learning_rate=1e-3..0.1 log", "--trials", 1)


def test_a_sweep_prints_its_best_and_leaves_a_recipe_that_runs(tmp_path, capsys):
    out = tmp_path / "sweep"
    small = [*SMALL_SETTINGS, "--set", "sweep.seeds=[100]", "--set", "seeds=[0]"]
    assert gkd("sweep", "communities", *small, *SPACE, "--out", out) == 0
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("lsp") and "1 of 1" in line for line in printed)
    teacher = out / "teacher" / "weights.safetensors"
    command = f"gkd run {out / 'best.toml'} --set teacher.weights={teacher}"
    assert printed[-1].strip() == command
    assert gkd(*command.split()[1:], "--out", tmp_path / "run") == 0
    assert gkd("sweep", "communities", *small, *SPACE, "--out", out) == 2
    assert "add --resume to go on" in capsys.readouterr().err
    assert gkd("report", out) == 2
    assert f"{out} is the folder of a sweep" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupted(self):
        self.directory.start(self.file.recipe, {})
        raise KeyboardInterrupt

    monkeypatch.setattr(SweepRun, "search", interrupted)
    monkeypatch.setattr(sys, "argv", ["gkd", "sweep", "communities"])
    monkeypatch.chdir(tmp_path)
    assert gkd("sweep", "communities", *SPACE) == 130
    said = capsys.readouterr().err
    assert "resume with:\n  gkd sweep communities --out runs/communities-sweep-" in said
    assert "--resume" in said


def test_a_sweep_is_gone_on_with_by_the_settings_and_the_space_that_it_was_begun_with(
    tmp_path, capsys, monkeypatch
):
    searches = []

    def search(self):
        if not self.resumed:
            self.directory.start(self.file.recipe, {})
        searches.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(SweepRun, "search", search)
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "mine.toml"
    text = shipped_recipe("communities").read_text(encoding="utf-8")
    own.write_text(text, encoding="utf-8")
    for recipe in ("communities", own):
        assert gkd("sweep", recipe, *SPACE, "--set", "dataset.nodes=40") == 130
        assert gkd("sweep", recipe, "--resume", "--trials", 3) == 130
        first, again = searches[-2:]
        assert again.directory.folder == first.directory.folder
        assert again.file.recipe.dataset == first.file.recipe.dataset
        assert again.file.recipe.sweep.space == first.file.recipe.sweep.space
        assert again.file.recipe.sweep.trials == 3
    capsys.readouterr()
    out = searches[0].directory.folder
    assert gkd("sweep", "molecules", "--out", out, "--resume") == 2
    said = capsys.readouterr().err
    assert f"{out} is a sweep of 'GAT on generated communities'" in said
    assert f"`gkd sweep {out / 'sweep.toml'} --out {out} --resume` goes on with it" in said
    assert gkd("sweep", "communities", "--out", out, "--resume", "--set", "dataset.nodes=41") == 2
    assert "dataset.nodes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--space", "training.lerning_rate=1..2"), "did you mean 'training.learning_rate'"),
        (("--space", "training.learning_rate"), "expected KEY=VALUE, such as training.learn"),
        ((), "nothing to sweep"),
        ((*SPACE, "--resume"), "--resume: no run of 'communities-sweep'"),
    ],
)
def test_mistakes_are_one_message(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert gkd("sweep", "communities", *arguments) == 2
    assert words in capsys.readouterr().err


def test_without_optuna_one_sentence_says_how_to_install_it(capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "optuna" else find(name)
    )
    assert gkd("sweep", "communities", *SPACE) == 2
    assert "pip install 'gkd[sweep]'" in capsys.readouterr().err


def test_help_and_other_commands_do_without_optuna():
    program = (
        "import sys; sys.modules['optuna'] = None\n"
        "from gkd.cli import main\nmain(['sweep', '--help'])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "--space" in done.stdout
