"""Whether a sweep finds what a full grid finds, with a third of its runs: on the recipe beside it.

    python results/sweep/compare.py FOLDER

The grid is the space of ``communities.toml``: every point of it, none pruned. The sweeps have the
ranges that it lies in, a third of its runs, and two seeds of the search; they prune. All look at
validation data alone, with the same seeds of training and the same teacher. FOLDER gets their
folders, which are gone on with where they are there; ``table.md`` is written beside this file.
"""

import sys
from pathlib import Path

import torch
from rich.console import Console

from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.report.formats import difference, metric_heading, metric_value
from gkd.sweep.outcome import Outcome
from gkd.sweep.sweep_report import write_outcome
from gkd.sweep.sweep_run import open_sweep
from gkd.training.devices import Devices
from gkd.training.executor import Serial

HERE = Path(__file__).parent
RANGES = ("training.learning_rate=0.001..0.1 log", "methods.lsp.terms.0.weight=0.1..1000 log")
METHOD = "lsp"
SEARCHES = range(2)


def sweep(folder: Path, settings: list[str], space: tuple[str, ...] = ()) -> Outcome:
    """Search, or go on to."""
    run = open_sweep(
        read_recipe(HERE / "communities.toml", settings, space),
        create_host(),
        Devices("cpu"),
        Console(),
        Serial(),
        out=folder,
        resume=folder.exists(),
    )
    found = run.search()
    write_outcome(found, folder)
    return found


def row(name: str, found: Outcome, grid: Outcome) -> str:
    """Write what one search found, and what it took."""
    (one,) = (one for one in found.methods if one.method == METHOD)
    (whole,) = (one for one in grid.methods if one.method == METHOD)
    assert one.best is not None
    assert one.best.value is not None
    assert whole.best is not None
    assert whole.best.value is not None
    metric = found.metric
    epochs = sum(
        len(path.read_text(encoding="utf-8").splitlines()) - 1
        for path in sorted(Path(name).glob(f"trials/{METHOD}/*/*/metrics.csv"))
    )
    scale = 100 if metric.share else 1
    cells = [
        Path(name).name,
        str(len(one.trials)),
        str(one.count("pruned")),
        str(epochs),
        metric_value(metric, one.best.value),
        difference(metric, scale * (one.best.value - whole.best.value)),
        ", ".join(f"{value:.3g}" for value in one.best.values.values()),
    ]
    return f"| {' | '.join(cells)} |"


def main(folder: Path) -> None:
    """Search, and write the table."""
    torch.set_num_threads(1)
    grid = sweep(folder / "grid", ["sweep.pruning=false"])
    teacher = f"teacher.weights={folder / 'grid' / 'teacher' / 'weights.safetensors'}"
    third = next(one.budget for one in grid.methods if one.method == METHOD) // 3
    heading = f"best validation {metric_heading(grid.metric)}"
    lines = [
        f"| search | trials | pruned | epochs | {heading} | Δ to the grid | values of the best |",
        f"|---|{'---:|' * 5}---|",
        row(str(folder / "grid"), grid, grid),
    ]
    for seed in SEARCHES:
        place = folder / f"sweep-{seed}"
        found = sweep(place, [f"sweep.trials={third}", f"sweep.seed={seed}", teacher], RANGES)
        lines.append(row(str(place), found, grid))
        (HERE / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
