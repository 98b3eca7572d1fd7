"""Run directories as training leaves them, with numbers that the tests choose."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RECIPE = """\
title = {title}
seeds = {seeds}

[dataset]
name = "communities"

[teacher]
name = "gat"

[student]
name = "gat"

{methods}
"""

ENVIRONMENT = {
    "command": "gkd run ppi-lsp --seed 0",
    "device": "cpu",
    "devices": 1,
    "hardware": {"cpu": "a CPU", "cores": 2, "gpu": None},
    "versions": {"gkd": "0.1.0", "torch": "2.13.0"},
}


def summary(
    method: str,
    seed: int,
    metric: float | None,
    *,
    name: str = "micro_f1",
    parameters: int = 185_172,
    **more: Any,
) -> dict[str, Any]:
    """One network's summary, whose validation rises to its test metric over four epochs."""
    reached = 0.5 if metric is None else metric
    history = [
        {
            "epoch": epoch,
            "loss": 1.0 / epoch,
            "task": 0.8 / epoch,
            f"term/{method}": 0.2 / epoch,
            f"validation/{name}": reached * epoch / 4,
        }
        for epoch in range(1, 5)
    ]
    return {
        "network": "teacher" if method == "teacher" else "student",
        "method": method,
        "seed": seed,
        "parameters": parameters,
        "epochs": 4,
        "best_epoch": 4,
        "selection": f"validation {name}",
        "validation": {name: reached},
        "test": {name: metric},
        "training_seconds": 40.0,
        "seconds_per_epoch": 10.0,
        "milliseconds_per_sample": 12.3,
        "history": history,
        **more,
    }


def write_run(
    folder: Path,
    summaries: Iterable[Mapping[str, Any]],
    *,
    title: str = "A title",
    methods: tuple[str, ...] = ("baseline", "lsp", "at"),
    seeds: tuple[int, ...] = (0, 1, 2),
) -> Path:
    """Write a run directory that holds the given summaries."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = "\n".join(f'[[methods]]\nname = "{method}"\n' for method in methods)
    text = RECIPE.format(title=json.dumps(title), seeds=list(seeds), methods=tables)
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT), encoding="utf-8")
    for one in summaries:
        place = (
            folder / "teacher"
            if one["network"] == "teacher"
            else folder / "students" / str(one["method"]) / f"seed-{one['seed']}"
        )
        place.mkdir(parents=True, exist_ok=True)
        (place / "summary.json").write_text(json.dumps(one), encoding="utf-8")
    return folder


def complete_run(folder: Path) -> Path:
    """Teacher, baseline, a method that helps, one that does not; three seeds."""
    baseline, lsp, at = (0.957, 0.956, 0.958), (0.9610, 0.9601, 0.9617), (0.954, 0.957, 0.958)
    students = [
        summary(method, seed, value)
        for method, values in (("baseline", baseline), ("lsp", lsp), ("at", at))
        for seed, value in enumerate(values)
    ]
    teacher = summary("teacher", 0, 0.976, parameters=3_640_748)
    write_run(folder, [teacher, *students], title="LSP on PPI")
    measured = [
        {"methods": methods, "requests": {kind: request(time) for kind, time in times.items()}}
        for methods, times in (
            (["teacher"], {"first": 61.0, "again": 48.0, "1": 5.25, "10": 12.0}),
            (["baseline", "lsp", "at"], {"first": 20.0, "again": 12.0}),
        )
    ]
    (folder / "latency.json").write_text(json.dumps({"threads": 2, "networks": measured}))
    return folder


def request(p50: float) -> dict[str, float]:
    """Times of a request that takes twice as long now and then."""
    return {"p50": p50, "p99": 2 * p50, "cpu": p50}
