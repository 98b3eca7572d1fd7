"""What the figures show, read back from matplotlib's own objects."""

import io
import math
from pathlib import Path
from typing import Any, Literal

import matplotlib
import pytest
from matplotlib.figure import Figure
from run_directories import complete_run, summary, write_run

from gkd.report import figures
from gkd.report.results import Results, run_results
from gkd.report.style import logarithmic, method_styles, save


@pytest.fixture
def run(tmp_path: Path) -> Results:
    return run_results(complete_run(tmp_path / "run"))


def test_learning_curves_are_means_over_the_seeds(run: Results) -> None:
    figure = figures.learning_curves(run)
    assert figure is not None
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == {"teacher", "baseline", "lsp", "at"}
    assert list(lines["baseline"].get_xdata()) == [1, 2, 3, 4]
    expected = [95.7 * share for share in (0.25, 0.5, 0.75, 1)]
    assert list(lines["baseline"].get_ydata()) == pytest.approx(expected)


def test_long_runs_show_their_end_once_more(tmp_path: Path) -> None:
    one = summary("baseline", 0, 0.9)
    one["history"] = [{"epoch": epoch, "validation/micro_f1": 0.5} for epoch in range(1, 21)]
    figure = figures.learning_curves(run_results(write_run(tmp_path / "run", [one])))
    assert figure is not None
    assert [next(iter(axes.lines[0].get_xdata())) for axes in figure.axes] == [1, 10]


def test_a_network_that_trained_shorter_is_not_at_the_end(tmp_path: Path) -> None:
    runs = [summary("baseline", 0, 0.9), summary("lsp", 0, 0.9)]
    for one, epochs in zip(runs, (3, 13), strict=True):
        one["history"] = [
            {"epoch": epoch, "validation/micro_f1": 0.5} for epoch in range(1, epochs + 1)
        ]
    figure = figures.learning_curves(run_results(write_run(tmp_path / "run", runs)))
    assert figure is not None
    assert [len(axes.lines) for axes in figure.axes] == [2, 1]


def test_epochs_without_validation_are_skipped(tmp_path: Path) -> None:
    one = summary("baseline", 0, 0.9)
    for entry in one["history"][::2]:
        del entry["validation/micro_f1"]
    figure = figures.learning_curves(run_results(write_run(tmp_path / "run", [one])))
    assert figure is not None
    assert list(figure.axes[0].lines[0].get_xdata()) == [2, 4]


def test_losses_have_a_panel_per_method_and_a_line_per_term(run: Results) -> None:
    figure = figures.loss_curves(run)
    assert figure is not None
    labels = [[line.get_label() for line in axes.lines] for axes in figure.axes]
    assert labels == [["loss", "task", name] for name in ("teacher", "baseline", "lsp", "at")]
    assert figure.axes[0].get_yscale() == "log"


def test_a_single_epoch_is_a_point_over_a_whole_number(tmp_path: Path) -> None:
    one = summary("baseline", 0, 0.9)
    one["history"] = one["history"][:1]
    run = run_results(write_run(tmp_path / "run", [one]))
    for figure in (figures.learning_curves(run), figures.loss_curves(run)):
        assert figure is not None
        figure.draw_without_rendering()
        (axes,) = figure.axes
        assert all(line.get_marker() not in ("", "None") for line in axes.lines)
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_losses_that_reach_zero_have_a_linear_axis(tmp_path: Path) -> None:
    one = summary("baseline", 0, 0.9)
    one["history"][2]["loss"] = 0.0
    figure = figures.loss_curves(run_results(write_run(tmp_path / "run", [one])))
    assert figure is not None
    assert figure.axes[0].get_yscale() == "linear"


def test_differences_are_shown_seed_by_seed(run: Results) -> None:
    figure = figures.differences(run)
    assert figure is not None
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["lsp", "at"]
    dots = sorted(axes.collections[0].get_offsets()[:, 0])
    assert dots == pytest.approx([0.37, 0.40, 0.41], abs=1e-6)


def test_terms_are_drawn_as_they_enter_the_total(tmp_path: Path) -> None:
    one = summary("lsp", 0, 0.9)
    for epoch, row in enumerate(one["history"]):
        row |= {"weight/lsp": 10.0 * epoch, "task_weight": 2.0}
    figure = figures.loss_curves(run_results(write_run(tmp_path / "run", [one])))
    assert figure is not None
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines["lsp"].get_xdata()) == [2, 3, 4]  # and not where its weight is 0
    assert list(lines["lsp"].get_ydata()) == pytest.approx([1.0, 4 / 3, 1.5])
    assert next(iter(lines["task"].get_ydata())) == pytest.approx(1.6)
    assert figure.axes[0].get_yscale() == "log"


def test_costs_are_drawn_where_they_are_known(tmp_path: Path) -> None:
    measured = [summary(method, 0, 0.9, peak_memory_bytes=2**20) for method in ("baseline", "lsp")]
    names = []
    for done in (measured, [summary("baseline", 0, 0.9)]):
        figure = figures.costs_and_metric(run_results(write_run(tmp_path / "run", done)))
        assert figure is not None
        names.append([axes.get_xlabel() for axes in figure.axes])
    assert names[0] == ["parameters", "ms per sample", "bytes of a training step"]


def test_costs_and_metric_show_every_network_with_a_number(run: Results) -> None:
    figure = figures.costs_and_metric(run)
    assert figure is not None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "teacher",
        "baseline",
        "lsp",
        "at",
    ]


def test_networks_of_one_cost_keep_it_and_lie_side_by_side(run: Results) -> None:
    figure = figures.costs_and_metric(run)
    assert figure is not None
    figure.draw_without_rendering()
    for axes in figure.axes:
        marks = [bar.lines[0] for bar in axes.containers[1:]]  # without the teacher's
        assert len({mark.get_xdata()[0] for mark in marks}) == 1
        places = [mark.get_transform().transform(mark.get_xydata()[0])[0] for mark in marks]
        assert places == sorted(set(places))
        low, high = axes.get_ylim()
        assert all(low < mark.get_ydata()[0] < high for mark in marks)


@pytest.mark.parametrize(
    "draw",
    [figures.learning_curves, figures.loss_curves, figures.differences, figures.costs_and_metric],
)
def test_there_is_no_figure_of_nothing(tmp_path: Path, draw: object) -> None:
    assert callable(draw)
    assert draw(run_results(write_run(tmp_path / "run", []))) is None


def test_nan_leaves_a_gap_and_no_warning(tmp_path: Path) -> None:
    one = summary("baseline", 0, math.nan)
    for entry in one["history"]:
        entry["validation/micro_f1"] = entry["loss"] = math.nan
    run = run_results(write_run(tmp_path / "run", [one, summary("lsp", 0, 0.5)]))
    drawn = [figures.learning_curves(run), figures.loss_curves(run), figures.costs_and_metric(run)]
    for figure in drawn:
        assert figure is not None
        figure.draw_without_rendering()


def test_more_methods_than_colours_stay_distinct(tmp_path: Path) -> None:
    names = [f"method-{index}" for index in range(20)]
    done = [summary(name, 0, 0.9) for name in ("baseline", *names)]
    styles = method_styles(run_results(write_run(tmp_path / "run", done)))
    assert len(set(styles.values())) == len(styles) == 22


def test_a_legend_of_many_methods_leaves_room_for_the_axes(tmp_path: Path) -> None:
    names = [f"method-{index}" for index in range(40)]
    done = [summary(name, 0, 0.9) for name in ("baseline", *names)]
    for one in done[1:]:
        for row in one["history"]:
            row["share/kd"] = 0.5
    run = run_results(write_run(tmp_path / "run", done))
    for figure in (figures.costs_and_metric(run), figures.gradient_shares(run)):
        assert figure is not None
        figure.draw_without_rendering()
        (legend,) = figure.legends or [axes.get_legend() for axes in figure.axes]
        assert legend.get_window_extent().y0 >= 0
        assert legend.get_window_extent().y1 <= figure.bbox.height


def test_numbers_with_a_unit_are_drawn_as_they_are(tmp_path: Path) -> None:
    mae = {"name": "mae", "higher_is_better": False, "share": False}
    done = [
        summary(method, 0, value, name="mae", primary_metric="mae", metrics=[mae])
        for method, value in (("baseline", 0.5), ("lsp", 0.4))
    ]
    run = run_results(write_run(tmp_path / "run", done))
    curves, size, apart = (
        draw(run)
        for draw in (figures.learning_curves, figures.costs_and_metric, figures.differences)
    )
    assert curves is not None
    assert size is not None
    assert apart is not None
    assert curves.axes[0].lines[0].get_ydata()[-1] == pytest.approx(0.5)
    assert curves.axes[0].get_ylabel() == "validation MAE ↓"
    assert size.axes[0].get_ylabel() == "test MAE ↓"
    assert apart.axes[0].get_xlabel() == "test MAE above the baseline's (lower is better)"


def test_weights_are_drawn_where_they_move(tmp_path: Path) -> None:
    one, two = summary("lsp", 0, 0.9), summary("at", 0, 0.9)
    for epoch, row in enumerate(one["history"]):
        row |= {"weight/lsp": 0.5 * epoch, "weight/kd": 2.0, "task_weight": 1.0 + epoch}
    for row in two["history"]:
        row["weight/at"] = 3.0
    figure = figures.term_weights(run_results(write_run(tmp_path / "run", [one, two])))
    assert figure is not None
    (axes,) = figure.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines == {"lsp": [0.5, 1.0, 1.5], "lsp: task": [1, 2, 3, 4]}


def test_constant_weights_are_not_drawn(tmp_path: Path) -> None:
    one = summary("lsp", 0, 0.9)
    for row in one["history"]:
        row["weight/lsp"] = 2.0
    assert figures.term_weights(run_results(write_run(tmp_path / "run", [one]))) is None


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (3.2, 3.8, ["3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8"]),
        (1.0, 80.0, ["1", "2", "5", "10", "20", "50"]),
        (1.0, 1000.0, ["1", "3", "10", "30", "100", "300", "1k"]),
        (1e-4, 1e2, ["0.0001", "0.001", "0.01", "0.1", "1", "10", "100"]),
        (1e-9, 1e3, ["1e-09", "1e-07", "1e-05", "0.001", "0.1", "10", "1k"]),
    ],
)
def test_an_axis_of_logarithms_has_some_round_numbers(
    low: float, high: float, texts: list[str]
) -> None:
    axes = Figure().subplots()
    axes.set_xlim(low, high)
    logarithmic(axes, "x")
    seen = [
        label.get_text()
        for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if low <= place <= high * 1.001
    ]
    assert seen == texts


@pytest.mark.parametrize(("kind", "dpi"), [("svg", 100), ("png", 150)])
def test_figures_are_written_as_matplotlib_writes_them(
    run: Results, kind: Literal["svg", "png"], dpi: int
) -> None:
    more = {"metadata": {"Date": None}} if kind == "svg" else {}
    for draw in (figures.loss_curves, figures.costs_and_metric, figures.differences):
        ours, theirs = io.BytesIO(), io.BytesIO()
        one, other = draw(run), draw(run)
        assert one is not None
        assert other is not None
        with matplotlib.rc_context({"svg.hashsalt": "a"}):
            save(one, ours, kind, dpi, **more)
            other.savefig(theirs, format=kind, dpi=dpi, **more)
        assert ours.getvalue() == theirs.getvalue(), draw.__name__


def test_a_figure_is_drawn_once_for_a_file(run: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    whole = Figure.draw

    def draw(figure: Figure, renderer: Any) -> None:
        drawn.append(figure)
        whole(figure, renderer)

    monkeypatch.setattr(Figure, "draw", draw)
    figure = figures.differences(run)
    assert figure is not None
    save(figure, io.BytesIO(), "svg", 100)
    assert drawn == [figure]
