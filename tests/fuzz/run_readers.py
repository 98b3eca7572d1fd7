"""Readers of what runs write: weights, checkpoints, cache entries, the files of reports."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from kept_drawings import kept_drawings
from mutations import JSON, PICKLED, SAFETENSORS, TEXT
from reading_law import Reader, plain
from run_directories import ENVIRONMENT, complete_run
from torch import nn

from gkd.cache.store import Entry, EntryFiles
from gkd.evaluation.answers import read_answers, write_answers
from gkd.files import read_sealed_json, write_sealed_json, write_sealed_text
from gkd.graph import Graph
from gkd.loss import View
from gkd.report.outputs import json_text, markdown, write_files
from gkd.report.results import run_results
from gkd.training.checkpoints import AtomicCheckpointIO, read_checkpoint, resume_point
from gkd.training.network_training import damage_of, write_finished
from gkd.training.run_directory import RunDirectory
from gkd.training.run_lock import locked
from gkd.training.weights import load_weights, read_weights, write_weights

SEAL = b"sha256 "


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def _require_finite(tensors: dict[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            assert bool(torch.isfinite(tensor).all()), f"{name} is not finite"


def _write_given(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(_model().state_dict(), folder / "given.safetensors")


def _read_given(folder: Path) -> object:
    model = _model()
    load_weights(model, folder / "given.safetensors")
    _require_finite(model.state_dict())
    return None


def _write_given_by_torch(folder: Path) -> None:
    torch.save({"state_dict": _model().state_dict()}, folder / "given.pt")


def _read_given_by_torch(folder: Path) -> object:
    model = _model()
    load_weights(model, folder / "given.pt")
    _require_finite(model.state_dict())
    return None


def _read_own(folder: Path) -> object:
    read = read_weights(folder / "weights.safetensors")
    model = _model()
    load_weights(model, folder / "weights.safetensors")
    _require_finite(model.state_dict())
    return plain(read)


def _write_finished(folder: Path) -> None:
    summary = {"test": {"accuracy": 0.5}, "seed": 0}
    write_finished(folder, _model(), torch.arange(9), summary)


def _finished(folder: Path) -> object:
    """What a resumed run makes of a finished network: nothing, or that it is finished again."""
    if damage := damage_of(folder):
        assert any(name in damage for name in ("summary.json", "weights.", "answers."))
        return "damaged"
    return plain(
        [
            read_sealed_json(folder / "summary.json"),
            read_weights(folder / "weights.safetensors"),
            read_answers(folder),
        ]
    )


def _checkpoint() -> dict[str, Any]:
    model = _model()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(2, 3)).sum().backward()
    optimiser.step()
    return {
        "epoch": 1,
        "global_step": 4,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": model.state_dict(),
        "loops": {"fit_loop": {"epoch_progress": {"current": {"ready": 2, "completed": 1}}}},
        "callbacks": {"EpochLog": {"rows": [{"epoch": 0, "loss": 0.5, "seconds": 0.25}]}},
        "optimizer_states": [optimiser.state_dict()],
        "lr_schedulers": [{"last_epoch": 2, "lr_lambdas": [None]}],
    }


def _write_checkpoints(folder: Path) -> None:
    files = AtomicCheckpointIO()
    for name in ("best.ckpt", "last.ckpt", "last.ckpt"):  # the second is the one before the last
        files.save_checkpoint(_checkpoint(), folder / name)


def _read_checkpoint(folder: Path) -> object:
    return plain(read_checkpoint(folder / "last.ckpt"))


def _resume_point(folder: Path) -> object:
    path, told = resume_point(folder)
    if path is None:  # begins anew, and says so
        assert told
        return plain(_checkpoint())
    return plain(read_checkpoint(path))


_VIEW = View(
    features=torch.arange(12.0).reshape(4, 3),
    graph=Graph(torch.tensor([[0, 1, 2], [1, 2, 0]]), 4),
    edge_values=torch.tensor([0.5, 0.25, 0.125]),
)


_DIGEST = {"x": 5, "number of nodes": 4}


def _entries(folder: Path) -> EntryFiles:
    return EntryFiles(folder / "cache", ["a teacher"])


def _write_entry(folder: Path) -> None:
    assert _entries(folder).write("a", "features", _DIGEST, Entry(_VIEW, "a and b"))
    (path,) = (folder / "cache").iterdir()
    path.rename(folder / "entry")


def _read_entry(folder: Path) -> object:
    files = _entries(folder)
    _, target = files._place(folder / "cache", "a", "features")
    target.write_bytes((folder / "entry").read_bytes())
    entry = files.read("a", "features", _DIGEST)
    if entry is None:  # counts as missing
        entry = Entry(_VIEW, "a and b")
    assert entry.view.graph is not None
    return plain([entry.tensors, entry.view.graph.num_nodes, entry.company])


def _write_run(folder: Path) -> None:
    complete_run(folder)
    for path in folder.rglob("*.json"):
        write_sealed_json(path, json.loads(path.read_text()))
    recipe = (folder / "recipe.toml").read_text()
    write_sealed_text(folder / "recipe.toml", recipe)
    space = {
        "sample": "a",
        "node": 1,
        "tap": "layers.1",
        "pos": [[0.0, 1.0, 2.0], [1.0, 0.5, 0.25]],
    }
    places = {"teacher": "trained", "students/lsp/seed-0": "1", "students/baseline/seed-0": "1"}
    for place, name in places.items():
        content = {**space, "distances": {name: [0.5, 0.0]}}
        write_sealed_json(folder / place / "feature_space.json", content)
    for place in ("teacher", "students/lsp/seed-1"):
        write_answers(folder / place, torch.tensor([0, 2, 1, 1]))


def _report(folder: Path) -> object:
    """Write what the numbers of a report are, which is the quick part."""
    run = run_results(folder)
    markdown([run]).encode()  # as into files
    return plain(json.loads(json_text([run]).encode()))


def _whole_report(folder: Path) -> object:
    run = run_results(folder)
    with kept_drawings():
        write_files([run], folder / "out")
    return plain(json.loads(json_text([run])))


def _old_run(folder: Path) -> None:
    """Write a run of before there were checksums."""
    complete_run(folder)
    space = {
        "sample": "a",
        "node": 1,
        "tap": "layers.1",
        "pos": [[0.0, 1.0, 2.0], [1.0, 0.5, 0.25]],
    }
    for place, name in {"teacher": "trained", "students/lsp/seed-0": "1"}.items():
        content = {**space, "distances": {name: [0.5, 0.0]}}
        (folder / place / "feature_space.json").write_text(json.dumps(content))


def _write_kept(folder: Path) -> None:
    """Write the results of a run alone, as they are published."""
    run = run_results(complete_run(folder / "run"))
    (folder / "results.json").write_text(json_text([run]), encoding="utf-8")
    shutil.rmtree(folder / "run")


def _write_environment(folder: Path) -> None:
    write_sealed_json(folder / "environment.json", {**ENVIRONMENT, "data": "abc"})


def _resume(folder: Path) -> object:
    before = (folder / "environment.json").read_bytes()
    told = RunDirectory(folder).resume({**ENVIRONMENT, "data": "abc"})
    now = read_sealed_json(folder / "environment.json")
    json.dumps(now, allow_nan=False)
    (folder / "environment.json").write_bytes(before)
    return None if told else plain(now)


def _recipe_of_run(folder: Path) -> object:
    from gkd.recipe.file import read_recipe

    RunDirectory(folder).check_recipe(read_recipe("demo").recipe)
    return None


def _write_demo(folder: Path) -> None:
    from gkd.recipe.file import read_recipe, resolved_toml

    write_sealed_text(folder / "recipe.toml", resolved_toml(read_recipe("demo").recipe))


def _holder(folder: Path) -> object:
    """Say who trains in a folder that is in use."""
    from gkd.errors import RecipeError

    with FileLock(folder / ".lock"), pytest.raises(RecipeError) as told, locked(folder):
        raise AssertionError("two have the lock")
    assert len(str(told.value)) < 2000, "a long message"
    return None


def _write_holder(folder: Path) -> None:
    holder = {"process": 12, "host": "a", "since": "2026-11-26T10:00:00+00:00"}
    (folder / ".lock.json").write_text(json.dumps(holder))


_NAMES = (
    "summary.json",
    "recipe.toml",
    "feature_space.json",
    "latency.json",
    "results.json",
    "mixes networks",
)
_OF_REPORTS = {
    "recipe": "recipe.toml",
    "environment": "environment.json",
    "summary": "students/lsp/seed-1/summary.json",
    "teacher": "teacher/summary.json",
    "feature-space": "students/lsp/seed-0/feature_space.json",
    "latency": "latency.json",
}


def _of_report(
    prefix: str, write: Callable[[Path], object], read: Callable[[Path], object]
) -> list[Reader]:
    sealed = write is _write_run
    return [
        Reader(
            f"{prefix}-{name}",
            write,
            file,
            TEXT if file.endswith("toml") else JSON,
            read,
            (b"# sha256 " if file.endswith("toml") else b'"sha256"') if sealed else None,
            _NAMES,
        )
        for name, file in _OF_REPORTS.items()
    ]


READERS = [
    Reader("weights-given", _write_given, "given.safetensors", SAFETENSORS, _read_given),
    Reader("weights-of-torch", _write_given_by_torch, "given.pt", PICKLED, _read_given_by_torch),
    Reader(
        "weights-of-run",
        lambda folder: write_weights(folder / "weights.safetensors", _model()),
        "weights.safetensors",
        SAFETENSORS,
        _read_own,
        b'"gkd":"',
    ),
    Reader("finished-weights", _write_finished, "weights.safetensors", SAFETENSORS, _finished),
    Reader("finished-answers", _write_finished, "answers.safetensors", SAFETENSORS, _finished),
    Reader("finished-summary", _write_finished, "summary.json", JSON, _finished),
    Reader("checkpoint", _write_checkpoints, "last.ckpt", PICKLED, _read_checkpoint, SEAL),
    *(
        Reader(f"resume-{name}", _write_checkpoints, f"{name}.ckpt", PICKLED, _resume_point, SEAL)
        for name in ("last", "best", "previous")
    ),
    Reader("cache-entry", _write_entry, "entry", SAFETENSORS, _read_entry, b'"checksum"'),
    Reader("resume-environment", _write_environment, "environment.json", JSON, _resume),
    Reader("resume-recipe", _write_demo, "recipe.toml", TEXT, _recipe_of_run, names=("--resume",)),
    Reader("lock", _write_holder, ".lock.json", JSON, _holder),
    *_of_report("report", _write_run, _report),
    Reader(
        "report-answers",
        _write_run,
        "students/lsp/seed-1/answers.safetensors",
        SAFETENSORS,
        _report,
        b'"checksum"',
    ),
    *_of_report("report-old", _old_run, _report),
    Reader("report-kept", _write_kept, "results.json", JSON, _report, names=_NAMES),
    *_of_report("page", _old_run, _whole_report),
]
