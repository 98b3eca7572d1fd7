"""Programs equal the networks that they were made of, at sizes that they were not made with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic_core import to_jsonable_python
from torch import nn
from torch_geometric.nn import SAGEConv, global_mean_pool

import gkd
from gkd.deployment.export import _RUNNERS, TOLERANCE, ByName, ExportError, export_network
from gkd.deployment.prediction import predict
from gkd.errors import ParameterError
from gkd.training.model_record import Array, ModelRecord
from gkd.training.weights import write_weights

X = Array(dtype="float32", shape=["nodes", 5])
EDGES = Array(dtype="int64", shape=[2, "edges"])
WEIGHTS = Array(dtype="float32", shape=["edges"])
GRAPH = {"x": X, "edge_index": EDGES}
LABELS = {
    "y": Array(dtype="int64", shape=["nodes"]),
    "train_mask": Array(dtype="bool", shape=["nodes"]),
}

CASES: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Array]]] = {
    "gat": ("gat", {"hidden_channels": (4,), "heads": (2, 3)}, GRAPH),
    "gcn": ("gcn", {"hidden_channels": 4, "norm": "batch"}, GRAPH),
    "gcn-weighted": ("gcn", {"hidden_channels": 4}, GRAPH | {"edge_weight": WEIGHTS}),
    "gcn-pooled": (
        "gcn",
        {"hidden_channels": 4, "pool": "mean", "jumping_knowledge": "cat", "self_loops": False},
        GRAPH,
    ),
    "sage": ("sage", {"hidden_channels": 4, "norm": "layer", "normalise": True}, GRAPH),
    "gin": ("gin", {"hidden_channels": 4, "pool": "max"}, GRAPH),
    "cpf": ("cpf", {"hidden_channels": 4, "num_layers": 2, "steps": 3}, GRAPH | LABELS),
    "mlp": ("mlp", {"hidden_channels": 4, "residual": True}, {"x": X}),
    "dgcnn": ("dgcnn", {"channels": (4, 4), "embedding": 8, "head": (4,), "k": 3}, {"pos": X}),
    "dgcnn-points": (
        "dgcnn",
        {"channels": (4,), "embedding": 8, "head": (4,), "k": 3, "per_point": True},
        {"pos": X},
    ),
}


def weights_of(folder: Path, name: str) -> Path:
    model, params, arrays = CASES[name]
    params = {"in_channels": 5, "out_channels": 3, **params}
    torch.manual_seed(0)
    network = gkd.create("model", model, **params)
    for module in network.modules():  # statistics that do something
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
    record = ModelRecord(
        model=model,
        params=to_jsonable_python(params),
        inputs=list(arrays),
        arrays=dict(arrays),
        nodes=40,
    )
    write_weights(folder / "weights.safetensors", network, record)
    return folder / "weights.safetensors"


@pytest.mark.parametrize("name", CASES)
def test_a_program_of_torch_equals_the_network(name: str, tmp_path: Path) -> None:
    weights, out = weights_of(tmp_path, name), tmp_path / "made" / "student.pt2"
    exported = export_network(weights, "torch-export", out)
    assert exported.inputs == tuple(CASES[name][2])
    assert exported.largest_error is not None
    assert exported.largest_error <= TOLERANCE
    program = torch.export.load(out).module()
    # What the draws do not have: repeated edges, loops, nodes without edges.
    edges = torch.tensor([[0, 0, 1, 1, 2, 2], [1, 1, 0, 1, 2, 2]])
    arrays = {"x": torch.randn(6, 5), "pos": torch.randn(6, 5), "edge_index": edges}
    arrays |= {"y": torch.tensor([2, 0, 1, 1, 0, 2]), "train_mask": torch.arange(6) < 2}
    if "edge_weight" in CASES[name][2]:  # a repeated edge has no one weight
        arrays["edge_index"] = torch.tensor([[0, 1, 1, 2], [1, 0, 1, 1]])
        arrays["edge_weight"] = torch.tensor([0.5, 2.0, 3.0, 1.0])
    values = [arrays[key] for key in CASES[name][2]]
    student = gkd.load_student(weights)
    torch.testing.assert_close(program(*values), student(*values), rtol=1e-5, atol=1e-5)


def test_a_program_of_onnx_equals_the_network(tmp_path: Path) -> None:
    # The other one that is tried is GAT's, of the page that shows how students are used.
    out = tmp_path / "student.onnx"
    exported = export_network(weights_of(tmp_path, "dgcnn"), "onnx", out)
    session = onnxruntime.InferenceSession(str(out))
    assert [one.shape[0] for one in session.get_inputs()] == ["nodes"] * len(exported.inputs)
    assert exported.largest_error is not None
    assert exported.largest_error <= TOLERANCE


def test_weights_are_copied_with_what_rebuilds_them(tmp_path: Path) -> None:
    out = tmp_path / "copy.safetensors"
    assert export_network(weights_of(tmp_path, "mlp"), "safetensors", out).largest_error is None
    assert isinstance(gkd.load_student(out), nn.Module)


class Looks(nn.Module):
    """Depends on the content of a tensor, in Python."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if bool(x.sum() > 0) else x


class Breaks(nn.Module):
    """Gives no number while it is exported."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.nan if torch.compiler.is_exporting() else x


class Rounds(nn.Module):
    """Gives something else while it is exported."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.round() if torch.compiler.is_exporting() else x


@pytest.fixture
def of_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(network: nn.Module, arrays: Mapping[str, Array], *more: str) -> Path:
        record = ModelRecord(model="mine", inputs=["x", *more], arrays=dict(arrays))
        monkeypatch.setattr("gkd.hosting.host.Host.create", lambda host, kind, name: network)
        write_weights(tmp_path / "weights.safetensors", network, record)
        return tmp_path / "weights.safetensors"

    return make


class Pools(nn.Module):
    """Insists on a batch vector, as PyTorch Geometric's examples do."""

    def forward(self, x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        return global_mean_pool(x, batch)


def test_a_network_that_insists_on_a_batch_vector_gets_one_graph(
    of_module: Any, tmp_path: Path
) -> None:
    weights = of_module(Pools(), {"x": X}, "batch")
    out = tmp_path / "student.pt2"
    assert export_network(weights, "torch-export", out).largest_error == pytest.approx(0, abs=1e-6)
    np.savez(tmp_path / "sample.npz", x=np.ones((4, 5)))
    assert predict(weights, tmp_path / "sample.npz")["outputs"].tolist() == [[1.0] * 5]


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Looks(), r"mine cannot be exported for free numbers .*test_export\.py:\d+\]; a network"),
        (Rounds(), "differs from the network"),
        (Breaks(), "differs from the network by nan"),
    ],
)
def test_what_cannot_be_exported_leaves_no_file(
    of_module: Any,
    network: nn.Module,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = of_module(network, {"x": X})
    with pytest.raises(ExportError, match=words):
        export_network(weights, "torch-export", tmp_path / "student.pt2")
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "student.pt2").exists()


def test_a_program_that_does_not_run_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(arrays: object) -> torch.Tensor:
        raise RuntimeError("no kernel for this operator")

    monkeypatch.setitem(_RUNNERS, "torch-export", lambda path: run)
    with pytest.raises(ExportError, match="mlp: the program in torch-export does not run: no ker"):
        export_network(weights_of(tmp_path, "mlp"), "torch-export", tmp_path / "student.pt2")
    assert not (tmp_path / "student.pt2").exists()


class Takes(nn.Module):
    """Takes the whole batch, and looks at a part of it, as examples of PyTorch Geometric do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = SAGEConv(5, 3)

    def forward(self, data: Any) -> torch.Tensor:
        x = self.layer(data.x, data["edge_index"])
        assert x.shape[0] == data.num_nodes
        return global_mean_pool(x, data.batch)


class Lacks(nn.Module):
    def forward(self, data: Any) -> torch.Tensor:
        return data.pos


@pytest.fixture
def of_whole_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(network: nn.Module, arrays: Mapping[str, Array]) -> Path:
        record = ModelRecord(model="mine", inputs="batch", arrays=dict(arrays))
        monkeypatch.setattr("gkd.hosting.host.Host.create", lambda host, kind, name: network)
        write_weights(tmp_path / "weights.safetensors", network, record)
        return tmp_path / "weights.safetensors"

    return make


@pytest.mark.parametrize("form", ["torch-export", "onnx"])
def test_of_a_network_of_whole_batches_it_shows_what_it_looks_at(
    of_whole_batches: Any, form: str, tmp_path: Path
) -> None:
    weights = of_whole_batches(Takes(), GRAPH | LABELS)
    exported = export_network(weights, form, tmp_path / "student")
    assert exported.inputs == ("x", "edge_index")
    edges = np.array([[0, 1, 2], [1, 2, 3]])
    np.savez(tmp_path / "sample.npz", x=np.ones((4, 5)), edge_index=edges)
    assert predict(weights, tmp_path / "sample.npz")["outputs"].shape == (1, 3)


@pytest.mark.parametrize(
    ("network", "arrays", "words"),
    [
        (Lacks(), GRAPH, "cannot take one graph: one graph has no 'pos'; .*edge_index"),
        (Looks(), {}, "called with a whole batch, and its file was written when nobody noted"),
    ],
)
def test_a_network_of_whole_batches_that_cannot_be_tried_is_refused(
    of_whole_batches: Any,
    network: nn.Module,
    arrays: Mapping[str, Array],
    words: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(ParameterError, match=words):
        export_network(of_whole_batches(network, arrays), "torch-export", tmp_path / "student.pt2")


def test_a_program_that_differs_leaves_what_was_there(of_module: Any, tmp_path: Path) -> None:
    out = tmp_path / "student.pt2"
    out.write_text("another student")
    with pytest.raises(ExportError, match="differs from the network"):
        export_network(of_module(Rounds(), {"x": X}), "torch-export", out)
    assert out.read_text() == "another student"
    assert not list(tmp_path.glob(".*"))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ParameterError, match=r"gkd\[export\]"):
        export_network(weights_of(tmp_path, "mlp"), "onnx", tmp_path / "student.onnx")


def test_a_batch_vector_is_refused_while_exporting() -> None:
    network = gkd.create("model", "gcn", in_channels=5, out_channels=3, pool="sum").eval()
    record = ModelRecord(model="gcn", inputs=["x", "edge_index", "batch"])
    batch = Array(dtype="int64", shape=["nodes"])
    called = ByName(network, record, GRAPH | {"batch": batch})
    values = torch.randn(4, 5), torch.tensor([[0], [1]]), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ParameterError, match="one graph or cloud in each call"):
        torch.export.export(called, values)
