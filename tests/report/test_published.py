"""Published results beside ours, and what was done otherwise."""

from pathlib import Path

import pytest
from run_directories import summary, write_run

from gkd.errors import RecipeError
from gkd.files import write_sealed_json, write_sealed_text
from gkd.recipe.file import read_recipe, resolved_toml
from gkd.recipe.shipped import reproductions
from gkd.report.published import deviations, value_at
from gkd.report.results import Results, run_results
from gkd.report.table import comparison_table, protocol


def run_of(folder: Path, *settings: str, samples: dict[str, int] | None = None) -> Results:
    networks = [summary("teacher", 0, 0.96), summary("baseline", 0, 0.9), summary("lsp", 0, 0.91)]
    write_run(folder, networks)
    recipe = read_recipe("table2", ["dataset.root=DATA", *settings]).recipe
    write_sealed_text(folder / "recipe.toml", resolved_toml(recipe))
    if samples is not None:
        write_sealed_json(folder / "environment.json", {"samples": samples})
    return run_results(folder)


def test_published_numbers_stand_beside_ours(tmp_path: Path) -> None:
    table = comparison_table([run_of(tmp_path)])
    paper, joshi = (table.header.index(f"{name}, %") for name in ("paper, table 2", JOSHI))
    cells = {row[0]: (row[paper], row[joshi]) for row in table.body}
    assert cells["teacher"] == ("97.6", "97.95")
    assert cells["lsp"] == ("96.1", "97.81")


JOSHI = "Joshi et al., 10 seeds"


def test_what_was_done_otherwise_is_said(tmp_path: Path) -> None:
    samples = {"train": 19, "validation": 2, "test": 2}
    run = run_of(tmp_path, "training.epochs=50", samples=samples)
    said = dict(deviations(run))
    assert said[f"unlike {JOSHI}"] == "19 train samples (20 there)"
    paper = said["unlike paper, table 2"]
    assert "training.epochs 50 (500 there); 19 train samples (20 there); the authors'" in paper
    assert "teacher.training.epochs" not in paper
    assert ("unlike paper, table 2", paper) in protocol(run)


def test_nothing_is_unlike_where_all_is_the_same(tmp_path: Path) -> None:
    run = run_of(tmp_path, samples={"train": 20, "validation": 2, "test": 2})
    assert f"unlike {JOSHI}" not in dict(deviations(run))


@pytest.mark.parametrize("name", [name for name in reproductions() if name.startswith("table")])
def test_every_table_has_the_papers_numbers(name: str) -> None:
    recipe = read_recipe(name, ["dataset.root=DATA"]).recipe
    methods = {"teacher", *(method.name for method in recipe.methods)}
    assert recipe.published
    for source in recipe.published:
        assert source.test.keys() <= methods
        assert all(1 < value < 100 for value in source.test.values())
        for key in source.settings:
            assert value_at(recipe.model_dump(), key) == source.settings[key]


def test_a_split_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="samples"):
        read_recipe("table2", ['published=[{source="a", test={}, samples={training=1}}]'])
