"""What is kept of runs in the folder of results."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from programs import program
from run_directories import ENVIRONMENT, summary, write_run

from gkd.report.results import pooled_results, run_results


@pytest.fixture(scope="module")
def keep() -> ModuleType:
    return program("results/keep.py")


def run(folder: Path, seed: int, epochs: int = 100) -> Path:
    history = [{"epoch": n, "validation/micro_f1": n / 100} for n in range(1, epochs + 1)]
    networks = [
        summary(
            method,
            seed,
            value + seed / 100,
            history=history,
            epochs=epochs,
            best_epoch=round(100 * value) + seed,
        )
        for method, value in (("baseline", 0.53), ("lsp", 0.6))
    ]
    write_run(folder, networks, methods=("baseline", "lsp"), seeds=(seed,))
    recipe = folder / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(
        text.replace("[dataset]", f'[dataset]\nroot = "{folder.parent}/data-{seed}"'),
        encoding="utf-8",
    )
    command = f"gkd run x --set dataset.root={folder.parent}/data-{seed} --out {folder}"
    environment = ENVIRONMENT | {"command": command, "data": "abc"}
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    return folder


def test_long_curves_lose_epochs_and_nothing_else_is_lost(keep: ModuleType, tmp_path: Path) -> None:
    directory = run(tmp_path / "a", 0)
    keep.main("name", [directory], tmp_path / "results")
    kept, whole = run_results(tmp_path / "results" / "name"), run_results(directory)
    epochs = [[row["epoch"] for row in one.history] for one in kept.networks]
    assert epochs == [[1, 2, 5, *range(10, 101, 5)]] * 2
    assert kept.rows == whole.rows
    assert kept.comparisons == whole.comparisons
    # The epoch in question is none of those that are left.
    assert whole.reached["lsp"].epochs == 53
    assert kept.reached == whole.reached
    short = run(tmp_path / "short", 0, epochs=25)
    keep.main("short", [short], tmp_path / "results")
    assert run_results(tmp_path / "results" / "short").networks == run_results(short).networks


def test_no_path_of_the_machine_is_kept(keep: ModuleType, tmp_path: Path) -> None:
    keep.main("name", [run(tmp_path / "a", 0)], tmp_path / "results")
    for path in (tmp_path / "results" / "name").iterdir():
        assert str(tmp_path) not in path.read_text(encoding="utf-8")
    (environment,) = run_results(tmp_path / "results" / "name").environments
    assert environment.command == "gkd run x --set dataset.root=DATA --out a"


def test_seeds_are_added_to_what_was_kept(keep: ModuleType, tmp_path: Path) -> None:
    runs = [run(tmp_path / str(seed), seed) for seed in range(3)]
    keep.main("name", runs[:2], tmp_path / "results")
    keep.main("name", [tmp_path / "results" / "name", runs[2]], tmp_path / "results")
    (expected,) = pooled_results(runs)
    found = run_results(tmp_path / "results" / "name")
    assert found.rows == expected.rows
    assert found.comparisons == expected.comparisons
    assert found.reached == expected.reached
    commands = [environment.command for environment in found.environments]
    assert commands == [f"gkd run x --set dataset.root=DATA --out {seed}" for seed in range(3)]


def test_runs_that_are_not_one_are_refused(keep: ModuleType, tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", 0), run(tmp_path / "b", 0)]
    with pytest.raises(SystemExit, match="2 runs"):
        keep.main("name", runs, tmp_path / "results")
