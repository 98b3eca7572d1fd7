import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gkd.errors import DataError
from gkd.training.weights import load_weights, read_network, read_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def refusal(path: Path, model: nn.Module | None = None) -> str:
    with pytest.raises(DataError) as caught:
        load_weights(model or network(), path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1500
    return str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict"])
def test_state_dicts_of_torch_are_loaded(tmp_path: Path, key: str | None, zipped: bool) -> None:
    path, trained = tmp_path / "t.pt", network()
    state = trained.state_dict()
    content = state if key is None else {"epoch": 3, key: state, "optimizer": {"state": {}}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    model = network()
    load_weights(model, path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])
    with pytest.raises(DataError, match=r"is a file of torch.save, and a safetensors file is exp"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (network(), "or hold a whole module; write torch.save(module.state_dict(), …)"),
        ({"student": network().state_dict(), "teacher": network().state_dict()}, "several state d"),
        ({"epoch": 3}, "hold a dict without one"),
        ([torch.ones(2)], "hold a list without one"),
        ({}, "hold a dict without one"),
        ({"0.weight": torch.eye(3).to_sparse()}, "hold a dict without one"),
    ],
)
def test_other_files_of_torch_are_explained(tmp_path: Path, content: object, words: str) -> None:
    path = tmp_path / "t.pt"
    torch.save(content, path)
    assert words in refusal(path)


@pytest.mark.parametrize("kind", ["a.pt2", "renamed.pt", "a.onnx"])
def test_exported_programs_are_told_from_weights(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if path.suffix == ".onnx":
        path.write_bytes(b"\x08\n\x12\x07pytorch\x1a\n2.13.0+cpu:")
    else:
        program = torch.export.export(network(), (torch.zeros(2, 3),))
        with path.open("wb") as file:
            torch.export.save(program, file)
    by = "onnxruntime" if path.suffix == ".onnx" else "torch.export.load"
    for read in (read_network, lambda path: load_weights(network(), path)):
        with pytest.raises(DataError) as caught:
            read(path)
        assert f"{path} is a program, which {by} runs" in str(caught.value)
        assert "gkd export made it of: a run's folder, or weights.safetensors" in str(caught.value)


def test_torchscript_and_damage_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    torch.save(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    assert "they are damaged" in refusal(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network()), path)
    assert "is a program, which torch.jit.load runs" in refusal(path)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"", "cannot be read"),
        (b"nothing that anyone knows", "cannot be read"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path: Path, head: bytes, what: str) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(head)
    assert what in refusal(path)
    assert "cannot be read" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "student."])
def test_what_a_wrapper_puts_before_names_is_named(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "t.safetensors"
    state = network().state_dict()
    save_file({prefix + name: tensor for name, tensor in state.items()}, path)
    message = refusal(path)
    assert f"all names in the file begin with {prefix!r}" in message
    save_file(state, path)
    wrapped = nn.ModuleDict({prefix.strip(".").replace(".", "_"): network()})
    assert "all names in the model begin with" in refusal(path, wrapped)


def test_weights_of_another_network_are_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_file({f"layers.{i}.weight": torch.zeros(2) for i in range(500)}, path)
    message = refusal(path)
    assert (
        "9 of the model's are not there (0.bias, 0.weight, 1.bias, 1.num_batches_tracked, …)"
        in message
    )
    assert "500 of the file's it has not (layers.0.weight" in message
    save_file(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).state_dict(), path)
    assert "of another model: 0.weight is [4, 5], the model's [4, 3]" in refusal(path)


@pytest.mark.parametrize(
    ("weight", "what"),
    [
        (torch.full((4, 3), 1e39, dtype=torch.float64), "too large for the model's torch.float32"),
        (torch.full((4, 3), torch.nan), "holds NaN or infinity"),
        (torch.ones(4, 3, dtype=torch.int32), "is torch.int32, but the model's is torch.float32"),
        (torch.ones(4, 3, dtype=torch.complex64), "is torch.complex64, but the model's is"),
    ],
)
def test_numbers_that_the_model_cannot_have_are_refused(
    tmp_path: Path, weight: torch.Tensor, what: str
) -> None:
    path = tmp_path / "t.safetensors"
    save_file(network().state_dict() | {"0.weight": weight}, path)
    assert what in refusal(path)


def test_other_floating_types_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    weight = torch.tensor([[0.5, 1.0, 2.0]] * 4)
    for dtype in (torch.float64, torch.bfloat16, torch.float8_e4m3fn):
        save_file(network().state_dict() | {"0.weight": weight.to(dtype)}, path)
        model = network()
        load_weights(model, path)
        assert torch.equal(model[0].weight, weight)
