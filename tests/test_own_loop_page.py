"""What the page about loops of one's own shows does what the page says."""

import re
import warnings
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch.nn.functional import cross_entropy

import gkd

PAGE = Path(__file__).parents[1] / "docs" / "own-loop.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_networks_of_a_users_own_are_distilled_as_they_are() -> None:
    names: dict[str, object] = {}
    exec(compile(BLOCKS[1], "own-loop.md", "exec"), names)
    assert set(names["report"].terms) == {"kd", "at"}
    student, batch = names["mine"].student, names["batch"]
    assert torch.equal(names["report"].logits, student(batch.x)[1])
    assert student.hidden.weight.grad.abs().max() > 0
    weighted = vars(batch) | {"edge_weight": torch.zeros(batch.edge_index.shape[1])}
    assert not torch.equal(
        names["mine"](type(batch)(**weighted)).terms["kd"], names["report"].terms["kd"]
    )


def test_peers_and_averages_teach() -> None:
    names: dict[str, object] = {}
    for block in (BLOCKS[0], BLOCKS[2]):  # it goes on from the loop
        exec(compile(block, "own-loop.md", "exec"), names)
    peers = names["peers"]
    assert isinstance(peers, gkd.Distiller)
    assert [term.name for term in peers.terms] == ["kd", "back", "average"]
    assert all(p.grad is not None for p in peers.parameters())


def test_the_student_leaves_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    (leaving,) = (block for block in BLOCKS if "torch.onnx.export" in block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter, about itself
        for block in (BLOCKS[0], leaving):
            exec(compile(block, "own-loop.md", "exec"), names)
    session = onnxruntime.InferenceSession("student.onnx")
    x, edge_index = torch.randn(9, 32), torch.randint(9, (2, 20))
    (logits,) = session.run(None, {"x": x.numpy(), "edge_index": edge_index.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(logits), names["student"](x, edge_index))


def test_models_of_geometric_are_distilled_by_its_loader() -> None:
    names: dict[str, object] = {"gkd": gkd, "torch": torch}
    exec(compile(BLOCKS[-2], "own-loop.md", "exec"), names)
    assert all(p.grad is not None for p in names["student"].parameters())


def test_networks_of_several_types_of_nodes_are_distilled() -> None:
    names: dict[str, Any] = {"gkd": gkd, "torch": torch}
    exec(compile(BLOCKS[-1], "own-loop.md", "exec"), names)
    pair, data = names["pair"], names["data"]
    assert pair.student.head.weight.grad.abs().max() > 0
    ours, theirs = (
        pair.networks[name](data.x_dict, data.edge_index_dict) for name in ("student", "teacher")
    )
    report = pair(data)
    torch.testing.assert_close(report.task, cross_entropy(ours, data["paper"].y))
    expected = gkd.create("loss", "kd")(gkd.View(logits=ours), gkd.View(logits=theirs))
    torch.testing.assert_close(report.terms["kd"], expected)
    assert len(BLOCKS) == 6  # each is in one of the tests above
