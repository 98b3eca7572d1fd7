"""Losses equal the public code that they name: values that it gave for recorded inputs.

Each file of ``recorded/`` has the inputs, what made the value and the value itself, computed in
float64 by the public code. ``factor`` is in what units it computes: theirs = factor · ours.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import gkd
from gkd.testing.subject import selected

RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted(
    (Path(__file__).parent / "recorded").glob("*.json")
)}  # fmt: skip


def view_of(recorded: dict[str, Any]) -> gkd.View:
    layers = tuple(floats(layer) for layer in recorded.get("layers", ()))
    logits, features = (floats(recorded.get(part)) for part in ("logits", "features"))
    features = layers[-1] if layers else features
    graph = None
    if "edge_index" in recorded:
        rows = next(len(each) for each in (features, logits) if each is not None)
        edges = torch.tensor(recorded["edge_index"], dtype=torch.int64).reshape(2, -1)
        graph = gkd.Graph(edges, rows)
    batch = torch.tensor(recorded["batch"]) if "batch" in recorded else None
    return gkd.View(logits=logits, features=features, layers=layers, graph=graph, batch=batch)


def floats(values: Any) -> Any:
    return None if values is None else torch.tensor(values, dtype=torch.float64)


def numbers(values: Any) -> torch.Tensor:
    tensor = torch.tensor(values)
    return floats(values) if tensor.is_floating_point() else tensor


@pytest.mark.parametrize("name", RECORDED)
def test_the_value_of_public_code(name: str) -> None:
    recorded = RECORDED[name]
    loss = gkd.create("loss", recorded["loss"], **recorded["params"])
    student, teacher = view_of(recorded["student"]), view_of(recorded["teacher"])
    loss.build(student, teacher)
    loss.double()
    if "state" in recorded:
        state = {key: floats(value) for key, value in recorded["state"].items()}
        loss.load_state_dict(state, strict=False)
    asked = {}
    if any(key in recorded for key in ("labels", "nodes", "inputs")):
        labels, nodes = (
            torch.tensor(recorded[key]) if key in recorded else None for key in ("labels", "nodes")
        )
        inputs = {key: numbers(value) for key, value in recorded.get("inputs", {}).items()}
        passes = {name: floats(logits) for name, logits in recorded.get("passes", {}).items()}
        asked["step"] = gkd.Step.of(
            student,
            labels=labels,
            nodes=nodes,
            inputs=inputs,
            logits=lambda network="student", /, **changed: passes[network],
        )
    if "teachers" in recorded:
        asked["teachers"] = {name: view_of(view) for name, view in recorded["teachers"].items()}
    value = loss(student=student, teacher=teacher, **asked)
    assert value.numel() == 1 or loss.per_row
    assert recorded["factor"] * value.mean().item() == pytest.approx(recorded["value"], rel=1e-6)


@pytest.mark.parametrize("name", gkd.names("loss"))
def test_losses_name_the_code_that_they_are_compared_with(name: str) -> None:
    compared = {each["code"] for each in RECORDED.values() if each["loss"] == name}
    assert set(selected(f"loss:{name}")[0].specimen.parity) == compared
