"""Published results beside ours, and what was done otherwise."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from run_directories import complete_run, summary, write_run

from gkd.errors import RecipeError
from gkd.files import write_sealed_json, write_sealed_text
from gkd.recipe.file import read_recipe, resolved_toml
from gkd.recipe.shipped import shipped_recipes
from gkd.report.cost_table import cost_table, cost_title
from gkd.report.html import page
from gkd.report.outputs import markdown
from gkd.report.published import deviations, value_at
from gkd.report.results import Results, run_results
from gkd.report.size_table import SIZE
from gkd.report.summary import Origin
from gkd.report.table import comparison_table, otherwise
from gkd.report.terminal import print_runs


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


def test_what_was_done_otherwise_stands_below_the_result_table(tmp_path: Path) -> None:
    run = run_of(tmp_path, "training.epochs=50")
    console = Console(width=400, file=StringIO(), highlight=False)
    print_runs([run], console)
    printed = console.file.getvalue()
    for text, before in (
        (printed, SIZE),
        (markdown([run]), f"{SIZE}:"),
        (page([run]), f"<h2>{SIZE}</h2>"),
    ):
        assert text.count("unlike paper, table 2") == 1
        above, _, below = text.partition("unlike paper, table 2")
        assert "96.1" in above  # the published numbers
        assert "training.epochs 50 (500 there)" in below.partition(before)[0]
        assert before in below


def test_of_several_runs_each_is_named_beside_what_it_did_otherwise(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / str(n), f"training.epochs={n}") for n in (50, 60)]
    said = dict(otherwise(runs))
    assert "training.epochs 50 (500" in said["unlike paper, table 2 (50)"]
    assert "training.epochs 60 (500" in said["unlike paper, table 2 (60)"]


def test_nothing_is_unlike_where_all_is_the_same(tmp_path: Path) -> None:
    run = run_of(tmp_path, samples={"train": 20, "validation": 2, "test": 2})
    assert f"unlike {JOSHI}" not in dict(deviations(run))


def test_costs_stand_beside_the_papers_with_what_a_method_costs_more(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    networks = [
        summary("teacher", 0, 0.96, parameters=3_640_748, seconds_per_epoch=20.0),
        summary("baseline", 0, 0.9, seconds_per_epoch=4.0, peak_memory_bytes=100 * 2**20),
        summary("kd", 0, 0.91, seconds_per_epoch=5.0),
        summary("lsp", 0, 0.91, seconds_per_epoch=6.0, peak_memory_bytes=150 * 2**20),
    ]
    write_run(folder, networks)
    recipe = read_recipe("table2", ["dataset.root=DATA"]).recipe
    write_sealed_text(folder / "recipe.toml", resolved_toml(recipe))
    run = run_results(folder)
    table = cost_table(run)
    assert table is not None
    rows = {row[0]: row[1:] for row in table.body}
    assert table.header[:3] == ["network", "parameters", "there"]
    assert rows["lsp"] == [
        *("185,172", "0.16M"),
        *("12.3", "1.00×", "41.3", "1.00×"),
        *("6.00", "1.50×", "2.00", "1.54×"),
        *("150 MiB", "1.50×", "1.50", "1.25×"),
    ]
    assert rows["kd"][1] == rows["kd"][8] == "–"  # the paper leaves it out
    assert cost_title(run) == "Costs; there: paper, table 2, measured on a GTX 1080 Ti"
    written = markdown([run]), page([run])
    assert all("Costs; there: paper, table 2" in text for text in written)


def test_without_published_costs_there_is_no_table_of_them(tmp_path: Path) -> None:
    assert cost_table(run_results(complete_run(tmp_path))) is None


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if name.startswith("table")])
def test_every_table_has_the_papers_numbers(name: str) -> None:
    recipe = read_recipe(name, ["dataset.root=DATA"]).recipe
    methods = {"teacher", *(method.name for method in recipe.methods)}
    assert recipe.published
    for source in recipe.published:
        assert source.test.keys() <= methods
        assert source.costs.keys() <= methods
        assert all(1 < value < 100 for value in source.test.values())
        for key in source.settings:
            assert value_at(recipe.model_dump(), key) == source.settings[key]


def figure_of(folder: Path, name: str, *settings: str, **environment: object) -> Results:
    origin = {"epochs": 20, "seed": 3}
    teacher = summary("teacher", 0, 0.96, epochs=None, origin=origin)
    write_run(folder, [teacher, summary("baseline", 0, 0.9), summary("lsp", 0, 0.91)])
    recipe = read_recipe(name, ["dataset.root=DATA", *settings]).recipe
    write_sealed_text(folder / "recipe.toml", resolved_toml(recipe))
    write_sealed_json(folder / "environment.json", environment)
    return run_results(folder)


@pytest.mark.parametrize(
    ("name", "epochs"), [("figure1", [10]), ("figure4", [1, 5, 10, 20, 50, 100])]
)
def test_figures_say_for_how_long_networks_were_trained_and_when_seen(
    tmp_path: Path, name: str, epochs: list[int]
) -> None:
    settings = ["training.epochs=1", "feature_space.epochs=[1]"]
    ((_, said),) = deviations(figure_of(tmp_path / "short", name, *settings))
    assert "training.epochs 1 (250 there)" in said.split("; ")
    assert f"feature_space.epochs [1] ({epochs} there)" in said
    assert "teacher" not in said
    whole = figure_of(tmp_path / "whole", name, "training.epochs=250")
    ((_, said),) = deviations(whole)
    assert "epochs" not in said
    assert "epochs" not in whole.title


@pytest.mark.parametrize("training", [[], ["teacher.training.epochs=1"]])
def test_a_given_teacher_is_told_from_one_that_was_trained(
    tmp_path: Path, training: list[str]
) -> None:
    given = ["teacher.weights=w.safetensors", *training]
    run = figure_of(tmp_path, "figure1", *given)
    ((_, said),) = deviations(run)
    assert (
        "teacher: given weights, trained for 20 epochs with seed 3 (250 epochs there)"
    ) in said.split("; ")
    assert "teacher.training" not in said
    short = Origin(epochs=1, seed=0)
    networks = [one.model_copy(update={"origin": short}) for one in run.networks]
    ((_, said),) = deviations(run.model_copy(update={"networks": networks}))
    assert "trained for 1 epoch with seed 0 (250" in said
    unknown = [one.model_copy(update={"origin": None}) for one in run.networks]
    ((_, said),) = deviations(run.model_copy(update={"networks": unknown}))
    assert "teacher: given weights (250 epochs there)" in said.split("; ")


@pytest.mark.parametrize("name", ["figure1", "figure4", "table4", "table5", "table6"])
def test_fewer_classes_than_in_the_paper_are_named(tmp_path: Path, name: str) -> None:
    run = figure_of(tmp_path / "ten", name, classes=10)
    assert "10 classes (40 there)" in deviations(run)[0][1].split("; ")
    assert run.protocol["dataset"].endswith("; 10 classes")
    assert run.protocol["dataset"].startswith("modelnet40")
    for environment in ({"classes": 40}, {}):
        run = figure_of(tmp_path / f"{len(environment)}", name, **environment)
        assert "classes" not in f"{deviations(run)} {run.protocol['dataset']}"


def test_a_split_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="samples"):
        read_recipe("table2", ['published=[{source="a", test={}, samples={training=1}}]'])
