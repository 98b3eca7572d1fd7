"""The figures of a report, as free-standing matplotlib figures."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, cycle, groupby
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from gkd.distillation.gradients import DEAD
from gkd.evaluation.formats import metric_heading, metric_name
from gkd.report.results import Results
from gkd.report.significance import correlation_interval
from gkd.report.style import (
    INK,
    LEGEND,
    LEGEND_ROW,
    MUTED,
    SERIES,
    TEACHER,
    WIDTH,
    Style,
    logarithmic,
    method_styles,
    over_epochs,
    plain,
    plain_text,
    single,
)
from gkd.report.summary import Summary

_Point = tuple[float, float, float, float]  # epoch; lowest, mean and highest over the seeds
_TermCurve = tuple[str, str, list[tuple[float, float]]]  # method, term, epochs and values
_LONG = 8  # epochs, from which on a second look at the end pays
_BESIDE = 0.07  # inches, by which networks of one cost are drawn side by side
_ROOM = 0.8  # inches that they take together at most


def learning_curves(run: Results) -> Figure | None:
    """Draw the validation metric over the epochs, and once more over their second half."""
    key, scale = f"validation/{run.primary_metric}", 100 if run.primary.share else 1
    curves = [
        (group[0], curve)
        for group in _groups(run.networks)
        if (curve := _mean_curve(group, key, scale))
    ]
    if not curves:
        return None
    last = max(curve[-1][0] for _, curve in curves)
    starts = (0.0, last / 2) if last >= _LONG else (0.0,)
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    styles = method_styles(run)
    for axes, start in zip(
        figure.subplots(1, len(starts), squeeze=False).flat, starts, strict=True
    ):
        plain(axes)
        for network, curve in curves:
            tail = [point for point in curve if point[0] >= start]
            if not tail:  # of a network that was trained for less than half as long as another
                continue
            epochs, lows, means, highs = zip(*tail, strict=True)
            label = _label(network.network, network.method)
            colour, marker = styles[label]
            (line,) = axes.plot(epochs, means, color=colour, linewidth=1.5, label=label)
            line.set(linestyle="--" if label == TEACHER else "-")
            line.set(marker=marker, markersize=5, markevery=[-1])
            if lows != highs:
                axes.fill_between(epochs, lows, highs, color=colour, alpha=0.15, linewidth=0)
        over_epochs(axes)
    figure.axes[0].set_ylabel(f"validation {metric_heading(run.primary)}")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    plain_text(figure.legend(handles, labels, loc="outside upper left", ncols=6, **LEGEND))
    return figure


def loss_curves(run: Results) -> Figure | None:
    """Draw the losses over the epochs, one panel per method."""
    panels = [group for group in _groups(run.networks) if _loss_names(group)]
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(WIDTH, 2.2 * rows + 0.3), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    styles = method_styles(run)
    lowest = [_loss_panel(axes, group, styles) for axes, group in zip(grid, panels, strict=False)]
    if min(lowest) > 0:
        logarithmic(grid[0], "y")
    for axes in grid[len(panels) :]:
        axes.remove()
    return figure


def gradient_shares(run: Results) -> Figure | None:
    """Draw each term's gradient relative to the task's over the epochs, by logarithms."""
    curves = _term_curves(run, "share/")
    if not curves:
        return None
    figure, axes = _terms_over_epochs(run, curves)
    axes.axhline(1, color=MUTED, linewidth=1)
    axes.axhline(DEAD, color=MUTED, linewidth=1, linestyle=":")
    axes.set_ylabel("gradient of the term / task")
    return figure


def term_weights(run: Results) -> Figure | None:
    """Draw the weights that are others in some epochs than in others, by logarithms."""
    found = [*_term_curves(run, "weight/"), *_term_curves(run, "task_weight")]
    curves = [one for one in found if len({weight for _, weight in one[2]}) > 1]
    if not curves:
        return None
    figure, axes = _terms_over_epochs(run, curves)
    axes.set_ylabel("weight")
    return figure


def rank_correlations(run: Results) -> Figure | None:
    """Draw how alike students and teacher rank the points of objects, over the epochs."""
    if not run.rank_correlations:
        return None
    figure, axes = single(2.8, len(run.rank_correlations))
    styles = method_styles(run)
    for number, (method, epochs) in enumerate(run.rank_correlations.items()):
        colour, marker = styles[method]
        at = sorted(epochs)
        values = [list(epochs[epoch].values()) for epoch in at]
        means = [fmean(one) for one in values]
        ends = [correlation_interval(one) or (math.nan, math.nan) for one in values]
        if len(at) > 1:
            axes.plot(at, means, color=colour, marker=marker, markersize=5, label=method)
            lows, highs = zip(*ends, strict=True)
            axes.fill_between(at, lows, highs, color=colour, alpha=0.15, linewidth=0)
        else:
            low, high = ends[0]
            errors = [[means[0] - low], [high - means[0]]]
            axes.errorbar(
                [number], means, yerr=errors, color=colour, marker=marker, capsize=4, label=method
            )
            axes.set_xticks([])
            axes.set_xlabel(f"after epoch {at[0]}")
    if not axes.get_xlabel():
        over_epochs(axes)
    axes.set_ylabel("ρ with the teacher")
    plain_text(axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **LEGEND))
    return figure


def differences(run: Results) -> Figure | None:
    """Draw the differences to the baseline: a dot per seed, the mean, its interval."""
    shown = [(one, one.mean) for one in run.comparisons if one.mean is not None]
    if not shown:
        return None
    figure, axes = single(0.9 + 0.42 * len(shown))
    styles = method_styles(run)
    axes.axvline(0, color=INK, linewidth=1)
    for position, (one, mean) in enumerate(shown):
        colour, marker = styles[one.method]
        seeds = list(one.differences.values())
        axes.scatter(seeds, [position + 0.22] * len(seeds), color=colour, s=12, alpha=0.7)
        axes.plot([mean], [position], color=colour, marker=marker, markersize=7)
        if one.interval is not None:
            axes.plot(one.interval, [position] * 2, color=colour, linewidth=2.2)
    axes.set_yticks(range(len(shown)), [one.method for one, _ in shown], parse_math=False)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(False, axis="y")
    name = metric_name(run.primary_metric)
    above = ", points above the baseline" if run.primary.share else " above the baseline's"
    sense = " (lower is better)" if run.primary.lower_is_better else ""
    axes.set_xlabel(f"test {name}{above}{sense}")
    return figure


def costs_and_metric(run: Results) -> Figure | None:
    """Draw the test metric against parameters, time and memory, each by logarithms."""
    rows = [row for row in run.rows if math.isfinite(row.test[run.primary_metric].mean)]
    if not rows:
        return None
    costs: dict[str, list[float | None]] = {
        "parameters": [row.parameters[0] or None for row in rows],
        "ms per sample": [row.milliseconds_per_sample or None for row in rows],
        "bytes of a training step": [row.peak_memory_bytes for row in rows],
    }
    costs = {name: values for name, values in costs.items() if any(values)}
    if not costs:
        return None
    height = max(3.0, LEGEND_ROW * (len(rows) + 3))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = figure.subplots(1, len(costs), squeeze=False, sharey=True)[0]
    styles = method_styles(run)
    scale = 100 if run.primary.share else 1
    step = min(_BESIDE, _ROOM / len(rows))
    for axes, (cost, values) in zip(panels, costs.items(), strict=True):
        plain(axes)
        placed: Counter[float] = Counter()
        for row, value in zip(rows, values, strict=True):
            if value is None:
                continue
            statistics = row.test[run.primary_metric]
            label = _label(row.network, row.method)
            # On paper, not in the data: a narrow axis would show a cost that it has not.
            beside = ScaledTranslation(step * placed[value], 0, figure.dpi_scale_trans)
            drawn = axes.errorbar(
                value,
                scale * statistics.mean,
                yerr=None if statistics.std is None else scale * statistics.std,
                label=label,
                linestyle="none",
                markersize=6,
                elinewidth=1.4,
                color=styles[label].color,
                marker=styles[label].marker,
            )
            for part in drawn.get_children():
                part.set_transform(axes.transData + beside)
            placed[value] += 1
        logarithmic(axes, "x", most=4 if len(costs) > 1 else 7)
        axes.margins(x=0.16, y=0.12)
        axes.set_xlabel(cost)
    panels[0].set_ylabel(f"test {metric_heading(run.primary)}")
    handles, labels = panels[0].get_legend_handles_labels()
    plain_text(figure.legend(handles, labels, loc="outside right upper", **LEGEND))
    return figure


def _term_curves(run: Results, prefix: str) -> list[_TermCurve]:
    """Collect what was logged of every term, the mean over the seeds where that is above 0."""
    curves = []
    for group in _groups(run.networks):
        names = dict.fromkeys(name for one in group for entry in one.history for name in entry)
        for name in (name for name in names if name.startswith(prefix)):
            points = _mean_curve(group, name, scale=1)
            curve = [(epoch, mean) for epoch, _, mean, _ in points if mean > 0]
            if curve:
                curves.append((group[0].method, name.removeprefix(prefix) or "task", curve))
    return curves


def _terms_over_epochs(run: Results, curves: Sequence[_TermCurve]) -> tuple[Figure, Axes]:
    figure, axes = single(2.8, len(curves))
    styles = method_styles(run)
    for method, term, curve in curves:
        epochs, means = zip(*curve, strict=True)
        colour, marker = styles[method]
        label = method if term == method else f"{method}: {term}"
        (line,) = axes.plot(epochs, means, color=colour, linewidth=1.4, label=label)
        line.set(marker=marker, markersize=5, markevery=[-1])
    logarithmic(axes, "y")
    over_epochs(axes)
    plain_text(axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **LEGEND))
    return figure, axes


def _groups(networks: Sequence[Summary]) -> list[list[Summary]]:
    return [
        list(group) for _, group in groupby(networks, key=lambda one: (one.network, one.method))
    ]


def _mean_curve(
    group: Iterable[Summary], key: str, scale: float, weight: str | None = None
) -> list[_Point]:
    """Collect what was logged under ``key``, times the weight of the epoch; 0 leaves it out."""
    by_epoch: dict[float, list[float]] = {}
    for summary in group:
        for entry in summary.history:
            by = 1.0 if weight is None else entry.get(weight, 1.0)
            if key in entry and by:
                by_epoch.setdefault(entry["epoch"], []).append(scale * by * entry[key])
    return [
        (epoch, min(values), fmean(values), max(values))
        for epoch, values in sorted(by_epoch.items())
    ]


def _loss_names(group: Iterable[Summary]) -> list[str]:
    names = dict.fromkeys(name for one in group for entry in one.history for name in entry)
    return [name for name in names if name in ("loss", "task") or name.startswith("term/")]


def _loss_panel(axes: Axes, group: list[Summary], styles: Mapping[str, Style]) -> float:
    """Draw one method's losses; the smallest of them is returned."""
    plain(axes)
    label = _label(group[0].network, group[0].method)
    first = styles[label].color
    others = cycle(colour for colour in SERIES if colour != first)
    terms = chain([first], others)
    lowest = math.inf
    for name in _loss_names(group):
        colour = {"loss": INK, "task": MUTED}.get(name) or next(terms)
        weight = name.replace("term/", "weight/") if name.startswith("term/") else f"{name}_weight"
        curve = _mean_curve(group, name, scale=1, weight=weight)
        if not curve:  # a term whose weight is 0 all the time
            continue
        epochs, lows, means, _ = zip(*curve, strict=True)
        lowest = min(lowest, *lows)
        dashes = "--" if name == "task" else "-"
        shown = name.removeprefix("term/")
        (line,) = axes.plot(epochs, means, color=colour, linestyle=dashes, linewidth=1.4)
        line.set(label=shown, marker="o" if len(epochs) == 1 else "", markersize=5)
    axes.set_title(label, color=INK, fontsize=9.5, loc="left", parse_math=False)
    over_epochs(axes)
    plain_text(axes.legend(loc="best", **LEGEND))
    return lowest


def _label(network: str, method: str) -> str:
    return TEACHER if network == "teacher" else method
