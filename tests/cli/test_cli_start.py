"""What the command line can answer without loading anything that takes long."""

import subprocess
import sys
import warnings

import pytest

import gkd.cli
from gkd.cli import main

# Prints, after the answer, those of the packages that take longest to import that were loaded.
PROGRAM = """
import sys
from gkd.cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = {"torch", "lightning", "torchmetrics", "matplotlib", "h5py"}
    print("loaded:", *sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def answer(*arguments: str) -> tuple[int, str, set[str]]:
    """Exit status of a command, what it printed, and the heavy packages that it loaded."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    printed, _, loaded = (done.stdout + done.stderr).rpartition("loaded:")
    return done.returncode, printed, set(loaded.split())


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("--version",)])
def test_help_and_version_load_nothing_heavy(arguments):
    status, printed, loaded = answer(*arguments)
    assert status == 0
    assert printed
    assert not loaded


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("rnu",), "no such command"),
        (("run", "dmeo"), "did you mean 'demo'"),
        (("demo", "--set", "training.epohcs=3"), "did you mean 'epochs'"),
        (("demo", "--set", "training.epochs"), "expected KEY=VALUE"),
        (("demo", "--set", "methods.lps.name=x"), "did you mean 'lsp'"),
        (("demo", "--set", "training.epochs=many"), "got 'many'"),
        (("reproduce", "tabel2"), "did you mean 'table2'"),
        (("taps", "dmeo"), "did you mean 'demo'"),
    ],
)
def test_a_mistake_in_the_recipe_is_told_before_anything_heavy_is_loaded(arguments, expected):
    status, printed, loaded = answer(*arguments)
    assert status == 2
    assert expected in printed
    assert not loaded


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("dataset.name=comunities", "dataset.name: no dataset is called 'comunities'"),
        ("teacher.name=gta", "teacher.name: no model is called 'gta'; did you mean 'gat'?"),
        ("student.name=gta", "student.name: no model is called 'gta'"),
        ("methods.lsp.student={name='gta'}", "student.name: no model is called 'gta'"),
        ("methods.lsp.terms.0.loss=lps", "terms.0.loss: no loss is called 'lps'"),
        ("methods.lsp.terms.0.graph={name='nkk'}", "terms.0.graph.name: no graph is called 'nkk'"),
    ],
)
def test_a_misspelt_component_is_told_where_it_is_named(setting, expected, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["run", "communities", "--set", setting])
    assert exit.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: --set {setting}: ")
    assert expected in message


@pytest.mark.parametrize("command", ["run", "taps"])
def test_a_misspelt_component_is_told_before_anything_heavy_is_loaded(command):
    status, printed, loaded = answer(command, "communities", "--set", "teacher.name=gta")
    assert status == 2
    assert "did you mean 'gat'" in printed
    assert not loaded


MISTAKEN = [
    ("student.params.hidden_channls=[3]", "did you mean 'hidden_channels'"),
    ("teacher.params.heads=3", "parameter 'heads' must be"),
    ("methods.kd.terms.0.params.temprature=2", "did you mean 'temperature'"),
    ("methods.lsp.terms.0.params.sigma=-1", "kernel 'rbf': parameter 'sigma' must be"),
    ("methods.lsp.terms.0.weigher={name='homophily',mod='x'}", "unknown parameter 'mod'"),
    ("methods.lsp.terms.0.graph={name='knn',k=0}", "parameter 'k' must be"),
    ("methods.lsp.student_params={dropot=0.5}", "did you mean 'dropout'"),
]


@pytest.mark.parametrize(("setting", "expected"), MISTAKEN)
def test_a_mistaken_parameter_is_told_before_data_are_read(setting, expected, capsys, tmp_path):
    no_data = f"dataset.root={tmp_path}"
    with pytest.raises(SystemExit) as exit:
        main(["run", "table2", "--set", no_data, "--set", setting])
    assert exit.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: --set {setting}: ")
    assert expected in printed.err
    assert "reading" not in printed.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "PATH"),
        ("report", "PATH"),
        ("run", "communities", "--resume", "--out", "PATH"),
        ("run", "communities", "--out", "PATH"),
    ],
    ids=" ".join,
)
def test_a_path_that_no_system_takes_is_one_message(arguments, capsys):
    long = "x" * 5000
    with pytest.raises(SystemExit) as exit:
        main([long if one == "PATH" else one for one in arguments])
    assert exit.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "too long" in message


def test_warnings_are_plain_lines(capsys, monkeypatch):
    def warn_and_ask(**options: object) -> None:
        for file in (gkd.cli.__file__, "/elsewhere/thing.py"):
            warnings.warn_explicit("all is \x1b[2J random", UserWarning, file, 7)

    monkeypatch.setattr("gkd.commands.listing.show_plugins", warn_and_ask)
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(SystemExit):
            main(["plugins"])
    assert capsys.readouterr().err.splitlines() == [
        "warning: all is \\x1b[2J random",
        "warning: /elsewhere/thing.py:7: UserWarning: all is \\x1b[2J random",
    ]
    assert warnings.showwarning is before
