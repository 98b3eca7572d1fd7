"""``gkd evaluate``, ``predict``, ``export``, and the page that shows them, block by block."""

import csv
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Run

import gkd
from gkd.files import read_sealed_json, write_sealed_json

PAGE = Path(__file__).parents[2] / "docs" / "use-your-student.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_page_works(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in BLOCKS:
        if language == "sh":
            for line in text.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "gkd"
                assert run(*arguments).status == 0, line
        elif "onnxruntime" in text:
            # In a process of its own, which has neither torch nor gkd.
            check = 'import sys\nassert not {"torch", "gkd"} & sys.modules.keys()\n'
            subprocess.run([sys.executable, "-c", text + check], check=True, stdout=subprocess.PIPE)
        else:
            exec(compile(text, str(PAGE), "exec"), {})
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    assert [row["row"] for row in rows] == [str(number) for number in range(7)]


def test_evaluation_gives_the_numbers_of_the_run(run: Run, finished: Path) -> None:
    rows = run("evaluate", finished, "--json").json
    assert len(rows) == 7
    for row in rows:
        taught = row["method"] == "teacher"
        folder = "teacher" if taught else f"students/{row['method']}/seed-{row['seed']}"
        reported = read_sealed_json(finished / folder / "summary.json")["test"]
        assert row["micro_f1"] == pytest.approx(reported["micro_f1"], abs=1e-6)
    table = run("evaluate", finished, "--split", "validation").out
    assert table.splitlines()[0].split("  ")[-1].strip() == "micro F1, %"  # as in reports
    reported = read_sealed_json(finished / "teacher" / "summary.json")["validation"]["micro_f1"]
    (teacher,) = (line for line in table.splitlines() if line.startswith("teacher"))
    assert float(teacher.split()[-1]) == pytest.approx(100 * reported, abs=0.006)


def test_evaluation_on_data_that_have_changed_says_so(
    run: Run, finished: Path, tmp_path: Path
) -> None:
    changed = shutil.copytree(finished, tmp_path / "run")
    noted = read_sealed_json(changed / "environment.json")
    write_sealed_json(changed / "environment.json", noted | {"data": "0123456789abcdef"})
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        said = run("evaluate", changed, "--split", "validation")
    assert said.status == 0
    assert "not those of the run: by environment.json they were 0123456789abcdef" in said.err


def sample(path: Path, **changes: Any) -> Path:
    arrays = {"x": np.ones((6, 32)), "edge_index": np.array([[0, 1], [1, 5]])} | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_predictions_are_those_of_the_network(run: Run, finished: Path, tmp_path: Path) -> None:
    data, out = sample(tmp_path / "sample.npz"), tmp_path / "out" / "answers.npz"
    chosen = ("--method", "kd", "--seed", "0")
    assert run("predict", finished, "--data", data, "--out", out, *chosen).status == 0
    answers = np.load(out)
    student = gkd.load_student(finished, "kd", 0)
    with torch.no_grad():
        logits = student(torch.ones(6, 32), torch.tensor([[0, 1], [1, 5]]))
    np.testing.assert_allclose(answers["outputs"], logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answers["probabilities"], logits.sigmoid(), rtol=1e-5)
    np.testing.assert_array_equal(answers["labels"], logits > 0)


@pytest.mark.parametrize("dtype", ["float64", ">f4", "longdouble", ">i2", "uint64"])
def test_numbers_of_every_type_are_read(
    run: Run, finished: Path, tmp_path: Path, dtype: str
) -> None:
    answers = []
    for number, kind in enumerate(("float32", dtype)):
        x = np.arange(6 * 32).reshape(6, 32).astype(kind)
        out = tmp_path / f"{number}.csv"
        data = sample(tmp_path / "sample.npz", x=x)
        assert run("predict", finished, "--data", data, "--out", out, "--method", "kd").status == 0
        answers.append(out.read_text())
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": None, "x_": np.ones((6, 32))}, "no array 'x'; did you mean 'x_'"),
        ({"x": np.ones((6, 31))}, "x must be float32 [6 nodes, 32], got float64 [6, 31]"),
        ({"edge_index": np.ones((2, 2))}, "edge_index must be int64 [2, 2 edges], got float64"),
        (
            {"edge_index": np.ones((9, 2), int)},
            "got int64 [9, 2]: it is transposed, give edge_index.T",
        ),
        ({"edge_index": np.ones(2)}, "edge_index.npy must have 2 axes"),
        ({"edge_index": np.array([[0], [6]])}, "edge_index has nodes outside of 0 to 5"),
        ({"x": np.full((6, 32), np.nan)}, "x.npy holds NaN"),
        ({"x": np.full((6, 32), 1e300)}, "x holds numbers too large for float32"),
        ({"x": np.full((6, 32), "a")}, "x.npy must hold real numbers"),
        ({"batch": np.array([0, 0, 0, 0, 1, 1])}, "batch tells 2 graphs apart: expected one"),
    ],
)
def test_data_of_another_form_are_one_error(
    run: Run, finished: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    data, out = sample(tmp_path / "sample.npz", **changes), tmp_path / "answers.csv"
    outcome = run("predict", finished, "--data", data, "--out", out, "--method", "kd")
    assert (outcome.status, outcome.out) == (2, "")
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize("write", [np.save, lambda path, x: torch.save(torch.from_numpy(x), path)])
def test_files_of_other_writers_are_no_data(
    run: Run, finished: Path, tmp_path: Path, write: Any
) -> None:
    data = tmp_path / "sample.npy"
    write(data, np.ones((6, 32)))
    out = tmp_path / "answers.csv"
    outcome = run("predict", finished, "--data", data, "--out", out, "--method", "kd")
    assert outcome.status == 2
    assert "no complete .npz file of arrays, as numpy.savez(path, x=..., edge_" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "RUN", "--method", "kd", "--format", "onx"), "did you mean 'onnx'"),
        (
            ("export", "RUN", "--method", "kd", "--format", "onnx", "--out", "a.pt2"),
            "a.pt2 is called as torch-export is, and --format says onnx",
        ),
        (
            ("export", "RUN", "--method", "kd", "--out", "a.tflite"),
            "a.tflite does not say what to write: end it in .pt2 (torch-export), .onnx (onnx)",
        ),
        (("export", "RUN"), "choose one of"),
        (
            ("export", "RUN", "--method", "kd", "--out", "RUN", "--format", "onnx"),
            "already there",
        ),
        (("evaluate", "RUN", "--split", "tset"), "did you mean 'test'"),
        (("evaluate", "RUN/students"), "no run's folder"),
        (("evaluate", "RUN/nowhere"), "there is no folder"),
        (("predict", "RUN", "--data", "none.npz", "--out", "a.npz", "--method", "kd"), "none.npz"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, finished: Path, arguments: tuple[str, ...], words: str
) -> None:
    outcome = run(*(word.replace("RUN", str(finished)) for word in arguments))
    assert (outcome.status, outcome.out) == (2, "")
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_the_name_of_the_file_says_the_format(run: Run, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "student.safetensors"
    outcome = run("export", finished, "--method", "kd", "--out", out)
    assert outcome.out.startswith(f"{out}: safetensors, of ")


def test_predictions_are_written_to_known_kinds_of_files(
    run: Run, finished: Path, tmp_path: Path
) -> None:
    data = sample(tmp_path / "sample.npz")
    out = tmp_path / "answers.txt"
    outcome = run("predict", finished, "--data", data, "--out", out, "--method", "kd")
    assert outcome.status == 2
    assert ".npz or .csv" in outcome.err


def test_a_run_whose_layers_work_on_a_part_of_the_edges_at_a_time(run: Run, tmp_path: Path) -> None:
    settings = (
        "dataset.train_graphs=1", "dataset.validation_graphs=1", "dataset.test_graphs=1",
        "dataset.nodes=800", "dataset.degree=2", "teacher.params.hidden_channels=[4, 4]",
        "teacher.training.epochs=1", "training.epochs=1",
        'methods=[{ name = "kd", terms = [{ loss = "kd" }] }]',
    )  # fmt: skip
    parts = ("teacher.edges_per_pass=600", "student.edges_per_pass=600")
    words = [word for setting in (*settings, *parts) for word in ("--set", setting)]
    folder = tmp_path / "run"
    assert run("run", "communities", "--out", folder, "--seed", "0", *words).status == 0
    student = gkd.load_student(folder, method="kd")
    assert student.edges_per_pass == 600
    edges = np.random.default_rng(0).integers(800, size=(2, 1600))
    data = sample(tmp_path / "x.npz", x=np.ones((800, 32)), edge_index=edges)
    out = tmp_path / "answers.npz"
    arguments = ("--method", "kd", "--data", data, "--out", out)
    assert run("predict", folder, *arguments).status == 0
    with torch.no_grad(), np.load(data) as given:
        whole = student(torch.from_numpy(given["x"]).float(), torch.from_numpy(given["edge_index"]))
    assert np.load(out)["outputs"] == pytest.approx(whole.numpy(), abs=1e-4)


def test_edges_of_a_network_without_any_are_not_divided(run: Run, tmp_path: Path) -> None:
    settings = ("student.name=mlp", "student.params={}", "student.edges_per_pass=5")
    words = [word for setting in settings for word in ("--set", setting)]
    outcome = run("run", "communities", "--out", tmp_path / "run", *words)
    assert outcome.status == 2
    assert "student: edges_per_pass: the model is called with x, and what is divid" in outcome.err
