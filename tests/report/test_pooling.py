"""Runs of one recipe, for other seeds, are one; whatever else differs keeps them apart."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from run_directories import ENVIRONMENT, summary, write_run

from gkd.report.results import pooled_results

WEIGHTS = "weights.safetensors"


def run(folder: Path, seed: int, teacher: Mapping[str, Any] | None = None) -> Path:
    students = [summary("baseline", seed, 0.9), summary("lsp", seed, 0.95)]
    teachers = [] if teacher is None else [summary("teacher", 0, 0.97) | teacher]
    return write_run(folder, [*teachers, *students], methods=("baseline", "lsp"), seeds=(seed,))


def with_environment(folder: Path, **changes: object) -> Path:
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT | changes), encoding="utf-8")
    return folder


def test_students_are_compared_seed_by_seed_over_the_runs(tmp_path: Path) -> None:
    runs = [run(tmp_path / f"run-{seed}", seed) for seed in (4, 2)]
    (pooled,) = pooled_results(runs)
    assert pooled.directory == "run-4, run-2"
    assert [row.seeds for row in pooled.rows] == [[2, 4], [2, 4]]
    (one,) = pooled.comparisons
    assert [*one.differences] == [2, 4]
    assert pooled.protocol["seeds"] == "2, 4"
    assert pooled.missing == ["teacher"]
    assert pooled.foreign == []


def test_runs_that_share_a_student_stay_apart(tmp_path: Path) -> None:
    runs = [run(tmp_path / name, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    assert [one.directory for one in pooled_results(runs)] == ["a, c", "b"]


def test_another_recipe_or_other_data_keep_runs_apart(tmp_path: Path) -> None:
    first = with_environment(run(tmp_path / "a", 0), data="abc")
    same = with_environment(run(tmp_path / "b", 1), data="abc")
    other_data = with_environment(run(tmp_path / "c", 2), data="abd")
    other_recipe = with_environment(run(tmp_path / "d", 3), data="abc")
    recipe = other_recipe / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("communities", "molecules"))
    found = pooled_results([first, same, other_data, other_recipe])
    assert [one.directory for one in found] == ["a, b", "c", "d"]


def test_teachers_that_differ_and_other_machines_are_named(tmp_path: Path) -> None:
    first, same, other = (
        run(tmp_path / name, seed, {"checksums": {WEIGHTS: weights}})
        for seed, (name, weights) in enumerate((("a", "x"), ("b", "x"), ("c", "y")))
    )
    with_environment(same, versions={"torch": "1"}, hardware=None)
    (pooled,) = pooled_results([first, same, other])
    assert len(pooled.rows[0].seeds) == 1  # of the teacher
    told = [one for one in pooled.foreign if "its numbers may not belong" not in one]
    assert told == [
        "b ran on other versions and hardware than a.",
        "c has a teacher other than that of a, whose row is shown; its students are compared with "
        "their own baselines.",
    ]
