"""Networks of runs are found, and rebuilt from their weights alone."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import gkd
from gkd.deployment.student import find_weights
from gkd.errors import DataError, ParameterError, UnknownNameError
from gkd.files import read_sealed_json
from gkd.training.model_record import ModelRecord
from gkd.training.weights import read_record, read_weights, write_weights


def test_a_student_is_loaded_from_its_weights_alone(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.safetensors"
    shutil.copyfile(finished / "students/lsp/seed-1/weights.safetensors", file)
    student = gkd.load_student(file)
    assert not student.training
    assert student(torch.zeros(5, 32), torch.tensor([[0], [1]])).shape == (5, 40)
    weights = read_weights(file)
    assert all(torch.equal(weights[k], v) for k, v in student.state_dict().items())


def test_the_record_says_what_the_network_is(finished: Path) -> None:
    record = read_record(finished / "students/lsp/seed-0/weights.safetensors")
    assert (record.model, record.task, record.inputs) == ("gat", "multi-label", ["x", "edge_index"])
    assert record.params["hidden_channels"] == [8, 8, 8, 8]
    assert {name: array.shape for name, array in record.arrays.items()} == {
        "x": ["nodes", 32],
        "edge_index": [2, "edges"],
    }
    assert list(record.arrays) == ["x", "edge_index"]


def test_the_seed_is_chosen_by_validation(finished: Path) -> None:
    scores = {
        seed: read_sealed_json(finished / f"students/kd/seed-{seed}/summary.json")["validation"]
        for seed in (0, 1)
    }
    best = max(scores, key=lambda seed: scores[seed]["micro_f1"])
    assert find_weights(finished, "kd").parent.name == f"seed-{best}"
    assert find_weights(finished, "kd", 1 - best).parent.name == f"seed-{1 - best}"
    assert find_weights(finished, "teacher").parent.name == "teacher"
    folder = finished / "students/kd/seed-0"
    assert find_weights(folder) == folder / "weights.safetensors"


def test_the_teacher_of_each_seed_is_found_by_it(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for seed in (3, 4):  # as of a run where each seed has data of its own
        shutil.copytree(finished / "teacher", run / "teacher" / f"seed-{seed}")
    assert find_weights(run, "teacher", 4).parent.name == "seed-4"
    with pytest.raises(UnknownNameError, match="no seed 0 of teacher: it has 3, 4"):
        find_weights(run, "teacher", 0)


def test_code_is_a_folder_and_a_seed_a_number(finished: Path, tmp_path: Path) -> None:
    module = tmp_path / "my_models.py"
    module.write_text("")
    with pytest.raises(ParameterError, match=f"my_models.py is a file: name {tmp_path}"):
        gkd.load_student(finished, "kd", code=module)
    with pytest.raises(ParameterError, match="nowhere is not there"):
        gkd.load_student(finished, "kd", code=tmp_path / "nowhere")
    with pytest.raises(ParameterError, match="seed: expected a whole number, got '0'"):
        gkd.load_student(finished, "kd", seed="0")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "seed", "error", "words"),
    [
        (None, None, DataError, "choose one of baseline, kd, lsp, teacher"),
        ("lps", None, UnknownNameError, "did you mean 'lsp'"),
        ("kd", 7, UnknownNameError, "no seed 7 of kd: it has 0, 1"),
    ],
)
def test_what_is_not_there_is_named(
    finished: Path, method: str | None, seed: int | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        gkd.load_student(finished, method, seed)


@pytest.mark.parametrize("place", ["", "weights.safetensors"])
def test_one_network_has_no_other_methods_or_seeds(finished: Path, place: str) -> None:
    source = finished / "students/kd/seed-0" / place
    for choice in ({"method": "lsp"}, {"seed": 1}):
        with pytest.raises(ParameterError, match="choose among the networks of a run"):
            gkd.load_student(source, **choice)


def test_folders_that_are_no_runs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        gkd.load_student(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no finished network"):
        gkd.load_student(tmp_path)


def test_weights_that_say_nothing_and_models_that_are_gone(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    write_weights(file, torch.nn.Linear(2, 2))
    with pytest.raises(DataError, match="do not say what network"):
        gkd.load_student(file)
    record = ModelRecord(model="gon", distribution="their-plugin 1.0", inputs=["x"])
    write_weights(file, torch.nn.Linear(2, 2), record)
    with pytest.raises(UnknownNameError, match="'gon' of their-plugin"):
        gkd.load_student(file)


def test_a_record_that_was_changed_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    record = ModelRecord(model="mlp", params={"num_layers": 2}, inputs=["x"])
    write_weights(file, torch.nn.Linear(2, 2), record)
    content = file.read_bytes()
    old = json.dumps(json.dumps({"num_layers": 2})).encode()[1:-1]
    assert old in content
    file.write_bytes(content.replace(old, old.replace(b"2", b"3")))
    with pytest.raises(DataError, match="damaged"):
        read_record(file)
