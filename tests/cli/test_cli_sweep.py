"""``gkd sweep`` at the command line."""

import importlib.util
import subprocess
import sys

import pytest
from test_cli_run import SMALL_SETTINGS, gkd

from gkd.sweep.sweep_run import SweepRun

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
