"""The picture of the feature spaces: what is read, what is drawn, where it is written."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from statistics import correlation

import pytest
from run_directories import complete_run

from gkd.errors import DataError
from gkd.report import write_report
from gkd.report.feature_space_figure import feature_space_figure
from gkd.report.feature_spaces import rank_correlation
from gkd.report.figures import rank_correlations
from gkd.report.html import page
from gkd.report.outputs import markdown
from gkd.report.results import Results, run_results
from gkd.report.structure_table import STRUCTURE, structure_table
from gkd.report.turning_clouds import turning_clouds

POS = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]


def write_view(folder: Path, distances: dict[str, list[float]], pos: object = POS) -> None:
    view = {"sample": "chair-0", "node": 1, "tap": "layers.2", "pos": pos, "distances": distances}
    (folder / "feature_space.json").write_text(json.dumps(view), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = complete_run(tmp_path / "run")
    write_view(folder / "teacher", {"trained": [1.0, 0.0, 2.0, 3.0, 4.0]})
    for seed in (1, 2):
        for method, last in (
            ("baseline", [4.0, 0.0, 3.0, 2.0, 1.0]),
            ("lsp", [0.5, 0.0, 1, 2, 2.5]),
        ):
            write_view(
                folder / "students" / method / f"seed-{seed}",
                {"1": [1.0, 0.0, 1.0, 1.0, 1.0], "10": [seed * value for value in last]},
            )
    return folder


def test_rows_are_methods_and_columns_epochs_with_the_teacher_at_the_end(folder: Path) -> None:
    run = run_results(folder)
    assert run.feature_spaces is not None
    assert run.feature_spaces.seed == 1
    figure = feature_space_figure(run)
    assert figure is not None
    *panels, _ = figure.axes
    assert len(panels) == 6
    assert [axes.get_title() for axes in panels[:3]] == ["epoch 1", "epoch 10", "teacher"]
    assert [axes.get_ylabel() for axes in panels] == ["baseline", "", "", "lsp", "", ""]
    assert [axes.get_xlabel() for axes in panels] == [
        "ρ 0.71", "ρ 0.00", "", "ρ 0.71", "ρ 1.00", "",
    ]  # fmt: skip


def test_the_page_says_which_object_and_seed_and_has_clouds_that_turn(folder: Path) -> None:
    text = page([run_results(folder)])
    assert "of the object chair-0, students of seed 1" in text
    assert [one.title for one in turning_clouds(run_results(folder))] == [
        "baseline, epoch 10", "lsp, epoch 10", "teacher",
    ]  # fmt: skip
    assert text.count('<div class="cloud"') == 3
    assert text.count("<i style=") == 15


def test_a_cloud_fits_its_frame_and_ends_with_the_marked_point(folder: Path) -> None:
    view = {"sample": "big", "node": 700, "tap": "layers.2"}
    for path in folder.rglob("feature_space.json"):
        pos = [[3.0 * number, 0.0, 1.0] for number in range(1000)]
        epoch = "trained" if path.parent.name == "teacher" else "10"
        distances = {epoch: [float(number) for number in range(1000)]}
        path.write_text(json.dumps(view | {"pos": pos, "distances": distances}))
    cloud = turning_clouds(run_results(folder))[0]
    assert 500 <= len(cloud.points) <= 513
    xs = [x for x, *_ in cloud.points]
    assert (min(xs), max(xs)) == (-1, 1)
    assert cloud.points[-1][0] == pytest.approx(0.4, abs=0.01)
    assert len({colour for *_, colour in cloud.points}) > 200


def test_planar_clouds_do_not_turn(folder: Path) -> None:
    for path in folder.rglob("feature_space.json"):
        distances = json.loads(path.read_text())["distances"]
        write_view(path.parent, distances, [[float(i), float(i * i)] for i in range(5)])
    assert turning_clouds(run_results(folder)) == []


def test_colours_are_shares_of_the_largest_distance_and_the_marked_point_is_on_its_place(
    folder: Path,
) -> None:
    figure = feature_space_figure(run_results(folder))
    assert figure is not None
    points, mark = figure.axes[5].collections  # lsp's teacher
    values = points.get_array()
    places = {
        tuple(place): value for place, value in zip(points.get_offsets(), values, strict=True)
    }
    assert sorted(values) == [0, 0.25, 0.5, 0.75, 1]
    assert places[tuple(mark.get_offsets()[0])] == 0


def test_planar_positions_are_drawn_as_they_are(folder: Path) -> None:
    flat = [[float(i), float(i * i)] for i in range(5)]
    for path in folder.rglob("feature_space.json"):
        write_view(path.parent, json.loads(path.read_text())["distances"], flat)
    figure = feature_space_figure(run_results(folder))
    assert figure is not None
    assert sorted(map(tuple, figure.axes[0].collections[0].get_offsets())) == list(map(tuple, flat))


def test_a_student_that_is_not_finished_leaves_its_panels_empty(folder: Path) -> None:
    write_view(folder / "students" / "lsp" / "seed-1", {"1": [1.0, 0.0, 1.0, 1.0, 1.0]})
    figure = feature_space_figure(run_results(folder))
    assert figure is not None
    assert not figure.axes[4].collections


def test_the_picture_is_in_the_page_and_beside_it_but_not_in_the_results(folder: Path) -> None:
    results = write_report(folder)
    assert "feature_spaces" not in results
    page = (folder / "report.html").read_text()
    assert "run0-feature-space" in page
    assert "rank correlation" in page
    # The clouds are pictures within the drawing, which the page's own policy has to allow.
    pictures = re.findall(r'<image [^>]*href="([a-z]+:)', page)
    assert set(pictures) == {"data:"}
    assert "img-src data:" in page
    assert (folder / "feature_space.png").read_bytes().startswith(b"\x89PNG")


def test_runs_without_views_have_no_picture(tmp_path: Path) -> None:
    folder = complete_run(tmp_path / "run")
    assert run_results(folder).feature_spaces is None
    write_report(folder)
    assert not (folder / "feature_space.png").exists()


def test_a_damaged_view_is_named(folder: Path) -> None:
    path = folder / "students" / "lsp" / "seed-1" / "feature_space.json"
    path.write_text('{"sample": 1')
    with pytest.raises(DataError, match=rf"{path} is damaged; delete its folder"):
        run_results(folder)


@pytest.mark.parametrize(
    "other",
    [
        {"sample": "chair-1"},
        {"node": 2},
        {"pos": [point[:2] for point in POS]},
        {"pos": POS[:4], "distances": {"1": [1.0, 0.0, 1.0, 1.0]}},
    ],
    ids=["sample", "node", "plane", "points"],
)
def test_a_view_of_something_else_than_the_teachers_is_damaged(
    folder: Path, other: dict[str, object]
) -> None:
    path = folder / "students" / "lsp" / "seed-1" / "feature_space.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | other))
    with pytest.raises(DataError, match=rf"{path} is damaged") as told:
        run_results(folder)
    assert "the teacher's" in str(told.value.__cause__)


def test_a_report_needs_no_tensors(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from gkd.commands.report_runs import report_runs\n"
        "report_runs([Path(sys.argv[1])], out=None, as_json=False)\n"
        "print('loaded', *{'torch', 'torchmetrics', 'scipy', 'lightning'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.splitlines()[-1:] == ["loaded"], done.stderr


def test_rank_correlation_is_spearmans() -> None:
    first, second = [3.0, 1.0, 1.0, 8.0, 2.0], [1.0, 5.0, 2.0, 9.0, 9.0]
    ranks = [4.0, 1.5, 1.5, 5.0, 3.0], [1.0, 3.0, 2.0, 4.5, 4.5]
    assert rank_correlation(first, second) == pytest.approx(correlation(*ranks))
    assert math.isnan(rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))


def with_correlations(folder: Path, **methods: dict[int, list[float]]) -> Results:
    """Results with these rank correlations by method and epoch, a number for each seed."""
    found = {
        name: {epoch: dict(enumerate(values)) for epoch, values in epochs.items()}
        for name, epochs in methods.items()
    }
    run = run_results(complete_run(folder / "run"))
    return run.model_copy(update={"rank_correlations": found})


def test_the_structure_has_an_interval_over_the_seeds(tmp_path: Path) -> None:
    run = with_correlations(
        tmp_path, baseline={10: [0.5, 0.6, 0.7]}, lsp={10: [0.7, 0.7, 0.7], 20: [-0.1, 0.1]}
    )
    table = structure_table(run)
    assert table is not None
    assert [row[:4] for row in table.body] == [
        ["baseline", "10", "3", "0.600"],
        ["lsp", "10", "3", "0.700"],
        ["lsp", "20", "2", "0.000"],
    ]
    # t = 4.3027 of two degrees of freedom, and a standard error of 0.1 / sqrt 3.
    assert table.body[0][4:] == ["0.352 to 0.848", "–", "–"]
    assert table.body[1][4:] == ["–", "+0.100", "−0.148 to +0.348"]
    assert table.body[2][4:] == ["–", "–", "–"]
    assert STRUCTURE in markdown([run])
    assert "Structure of the feature space" in page([run])
    assert Results.model_validate_json(run.model_dump_json()).rank_correlations == (
        run.rank_correlations
    )


def test_no_interval_of_a_correlation_goes_beyond_1(tmp_path: Path) -> None:
    run = with_correlations(tmp_path, baseline={1: [0.8, 0.9, 1.0], 2: [-0.7, -0.9, -1.0]})
    table = structure_table(run)
    assert table is not None
    assert [row[4] for row in table.body] == ["0.652 to 1.000", "−1.000 to −0.487"]


@pytest.mark.parametrize("epochs", [[10], [1, 10]])
def test_the_structure_is_drawn_over_the_epochs(tmp_path: Path, epochs: list[int]) -> None:
    values = {epoch: [0.1 * epoch / 10, 0.2, 0.4] for epoch in epochs}
    figure = rank_correlations(with_correlations(tmp_path, baseline=values, lsp=values))
    assert figure is not None
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["baseline", "lsp"]
    assert axes.get_xlabel() == ("epoch" if len(epochs) > 1 else "after epoch 10")


def test_a_run_without_views_has_no_structure(tmp_path: Path) -> None:
    run = run_results(complete_run(tmp_path / "run"))
    assert structure_table(run) is None
    assert rank_correlations(run) is None
