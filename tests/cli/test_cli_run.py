"""``gkd run``, ``demo``, ``reproduce`` and ``taps`` with the shipped plugins."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from long_tests import LONG
from warm_python import warm_python

from gkd.cli import main
from gkd.recipe.shipped import reproductions
from gkd.training.failures import FailedNetworks, ProcessDied
from gkd.training.recipe_run import Run

pytestmark = pytest.mark.usefixtures("quick_latency")

SMALL = (
    "dataset.train_graphs=2",
    "dataset.validation_graphs=1",
    "dataset.test_graphs=1",
    "dataset.nodes=40",
    "dataset.degree=6",
    "teacher.params.hidden_channels=[4, 4]",
    "teacher.training.epochs=2",
    "training.epochs=2",
)
SMALL_SETTINGS = [word for setting in SMALL for word in ("--set", setting)]
SMALL_DEMO = (
    "dataset.points=24",
    "dataset.train_per_class=2",
    "dataset.validation_per_class=1",
    "dataset.test_per_class=1",
    "teacher.training.epochs=1",
    "training.epochs=2",
    "feature_space.sample='test/helix/0'",
)


def gkd(*arguments: object) -> int:
    """Run the command line, and return its exit status."""
    with pytest.raises(SystemExit) as exit:
        main([str(argument) for argument in arguments])
    return int(exit.value.code or 0)


def test_demo_leaves_a_report_and_prints_the_table(tmp_path, capsys):
    out = tmp_path / "run"
    settings = [word for setting in SMALL_DEMO for word in ("--set", setting)]
    assert gkd("demo", "--out", out, "--seed", 0, *settings) == 0
    assert "run0-feature-space" in (out / "report.html").read_text()
    assert (out / "feature_space.png").is_file()
    printed = capsys.readouterr().out
    assert "baseline" in printed
    assert "lsp" in printed
    assert f"report: {out / 'report.html'}" in printed.splitlines()
    results = json.loads((out / "results.json").read_text())
    assert {network["method"] for network in results["networks"]} == {"teacher", "baseline", "lsp"}


def test_runs_go_to_a_new_folder_each_and_resume_finds_the_newest(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("run", "communities", "--seed", 3, "--seed", 4, *SMALL_SETTINGS)
    command += ("--set", "training.epochs=1", "--set", "teacher.training.epochs=1")
    assert gkd(*command) == 0
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("communities-")
    assert {path.name for path in folder.glob("students/lsp/*")} == {"seed-3", "seed-4"}
    capsys.readouterr()
    assert gkd(*command, "--resume") == 0
    assert "lsp seed 4: finished before" in capsys.readouterr().out
    assert list(Path("runs").iterdir()) == [folder]


def test_interrupts_say_how_to_resume(tmp_path, capsys, monkeypatch):
    def interrupted(self: Run, *_: object) -> None:
        self.directory.start(self.file.recipe, {})
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "train", interrupted)
    arguments = ["run", "communities", "--out", str(tmp_path / "a folder")]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gkd", *arguments])
    assert gkd(*arguments) == 130
    assert f"gkd run communities --out '{tmp_path}/a folder' --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FailedNetworks({"lsp seed 3": "broken"}, 4), "1 of 4 networks are not trained:"),
        (ProcessDied("lsp seed 3: its process 1 (pid 7) was killed"), "what was trained is kept"),
    ],
)
def test_failures_say_how_to_resume(tmp_path, capsys, monkeypatch, error, words):
    train = Run.train

    def failing(self: Run, *_: object) -> None:
        train(self)
        raise error

    monkeypatch.setattr(Run, "train", failing)
    arguments = ["run", "communities", "--seed", "3", "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gkd", *arguments])
    assert gkd(*arguments, *SMALL_SETTINGS) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert f"resume with:\n  gkd run communities --seed 3 --out {tmp_path}/run --resume" in told.err
    reported = isinstance(error, FailedNetworks)  # a process that died may be killed again
    assert (tmp_path / "run" / "report.html").is_file() == reported
    assert ("report: " in told.out) == reported


def test_an_interrupt_before_training_leaves_nothing(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gkd.training.recipe_run.dry_run", interrupted)
    assert gkd("run", "communities", "--out", tmp_path / "run") == 130
    assert "before anything was trained" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path, capsys, monkeypatch):
    def full(checkpoint: object, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gkd.training.checkpoints._save", full)
    out = tmp_path / "run"
    assert gkd("run", "communities", "--out", out, *SMALL_SETTINGS) == 2
    told = capsys.readouterr().err
    assert f"No space left on device; what was trained is kept, and --resume --out {out}" in told
    assert "Traceback" not in told


def _heed_interrupts():
    # What a shell starts in the background, or nohup, ignores them, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("end", ["reader", "disk", "both"])
def test_a_run_goes_on_when_nobody_takes_its_output(tmp_path, end):
    if end == "disk" and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    out = tmp_path / "run"
    command = [*warm_python(), "-m", "gkd", "run", "communities", "--out", str(out)]
    command += SMALL_SETTINGS
    with Path("/dev/full").open("w") if end == "disk" else nullcontext(subprocess.PIPE) as place:
        process = subprocess.Popen(
            command,
            stdout=place,
            stderr=subprocess.STDOUT if end == "both" else subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    if process.stdout is not None:  # as head does
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert (out / "report.html").is_file()
    if errors is not None:
        what = "No space left on device" if end == "disk" else "Broken pipe"
        assert errors.count(f"standard output: {what}; the run goes on without") == 1
        assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("number", "code", "word", "more"),
    [
        (signal.SIGINT, 130, "interrupted", ()),
        (signal.SIGTERM, 143, "terminated", ()),
        (signal.SIGHUP, 129, "hung up", ()),
        pytest.param(signal.SIGTERM, 143, "terminated", ("--jobs", "2"), marks=LONG),
        pytest.param(signal.SIGINT, 130, "interrupted", ("--jobs", "2"), marks=LONG),
        pytest.param(signal.SIGKILL, -9, "", ("--jobs", "2"), marks=LONG),
        pytest.param(signal.SIGTERM, 143, "terminated", ("--devices", "2"), marks=LONG),
        pytest.param(signal.SIGKILL, -9, "", ("--devices", "2"), marks=LONG),
        pytest.param(signal.SIGTERM, 143, "terminated", ("--executor", "ray"), marks=LONG),
    ],
)
def test_a_real_interrupt_leaves_a_resumable_run(tmp_path, number, code, word, more):
    out = tmp_path / "run"
    # Below a client there are no processes to look for.
    command = [sys.executable] if more else warm_python()
    command = [*command, "-m", "gkd", "run", "communities", "--out", str(out), *SMALL_SETTINGS]
    command += ["--set", "training.epochs=100000", *more]
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=_heed_interrupts,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "baseline seed 0" in line:
            break
    last = out / "students" / "baseline" / "seed-0" / "last.ckpt"
    while not last.is_file() and process.poll() is None:  # the line comes first
        time.sleep(0.01)
    started = descendants(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert last.is_file()
    if number != signal.SIGKILL:
        assert f"{word}; resume with:" in errors
        assert "--resume" in errors
        assert not list(out.rglob("*partial"))
    end = time.monotonic() + 10
    while (left := [pid for pid in started if is_running(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that these have."""
    place = Path(f"/proc/{pid}/task/{pid}/children")
    children = place.read_text().split() if place.exists() else []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "dmo"), "did you mean 'demo'"),
        (("run", "communities", "--set", "trainig.epochs=3"), "did you mean 'training'"),
        (("run", "communities", "--set", "dataset.nodez=3"), "did you mean 'nodes'"),
        (("run", "communities", "--precision", "half"), "'bf16-mixed'"),
        (("run", "communities", "--device", "gpu"), "no device 'gpu'"),
        (("run", "communities", "--devices", "0"), "--devices 0"),
        (
            ("run", "communities", "--devices", "3", "--device", "cpu"),
            "3 devices cannot share a batch of 2",
        ),
        (("run", "communities", "--device", "cpu", "--precision", "16-mixed"), "needs a GPU"),
        (("run", "communities", "--seed", "-1"), "seeds.0"),
        (
            ("run", "communities", "--set", "seeds=0,1"),
            "got '0,1'; did you mean [0,1]? Or --seed 0 --seed 1\n",
        ),
        (
            ("run", "communities", "--set", "seeds=0,one"),
            "must be list[int >= 0] of length >= 1, got '0,one'\n",
        ),
        (
            ("run", "communities", "--set", "teacher.params.heads=4,4,4"),
            "got '4,4,4'; did you mean [4,4,4]?\n",
        ),
        (
            ("run", "ppi-lsp", "--set", "dataset.root=.", "--set", "dataset.points=128"),
            "error: --set dataset.points=128: dataset: dataset 'ppi': unknown parameter 'points'",
        ),
        (("run", "communities", "--executor", "prcess"), "did you mean 'process'"),
        (("run", "communities", "--resume"), "no run of 'communities'"),
        (
            ("run", "communities", "--set", "methods.lsp.terms.0.student=layer.2"),
            "did you mean 'layers",
        ),
        (("run", "communities", "--set", "student.params.heads=[2]"), "number of heads"),
        (("reproduce", "tabel2"), "did you mean 'table2'"),
        (("reproduce", "communities"), "cannot be reproduced"),
        (("reproduce", "tab2"), "did you mean table2?"),
        (("reproduce", "Fig. 4"), "did you mean figure4?"),
        (("reproduce", "1"), "did you mean figure1 or table1?"),
        (("reproduce", "7"), "available: figure1,"),
        (("taps", "dmo"), "did you mean 'demo'"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    tmp_path, capsys, monkeypatch, arguments, expected
):
    monkeypatch.chdir(tmp_path)
    assert gkd(*arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert expected in message
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_reproduce_names_what_can_be_reproduced(capsys):
    known = reproductions()
    assert set(known) >= {*(f"table{number}" for number in range(1, 7)), "figure4"}
    assert gkd("reproduce", "nothing") == 2
    assert ", ".join(known) in capsys.readouterr().err
    assert gkd("reproduce", "--help") == 0
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"Table or figure of the paper: {', '.join(known)}." in words


def test_a_folder_in_use_is_refused(tmp_path, capsys):
    (tmp_path / "letter.txt").touch()
    assert gkd("run", "communities", "--out", tmp_path) == 2
    assert "already there; name a new folder" in capsys.readouterr().err


def test_taps_as_a_table(capsys):
    assert gkd("taps", "communities", *SMALL_SETTINGS) == 0
    printed = capsys.readouterr().out
    assert "layers.1" in printed
    assert "GATLayer" in printed


def test_taps_as_json(capsys):
    assert gkd("taps", "communities", "--json", *SMALL_SETTINGS) == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(dict.fromkeys(row["network"] for row in rows)) == [
        "teacher",
        "student",
    ]
    (layer,) = [row for row in rows if (row["network"], row["path"]) == ("teacher", "layers.1")]
    assert layer["type"] == "GATLayer"
    assert layer["shape"] == [2 * 40, 4 * 4]
    assert layer["parameters"] > 0
