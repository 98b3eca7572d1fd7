"""The picture of a space: what each value of each key gave."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gkd.evaluation.formats import metric_heading
from gkd.recipe.domain import Choices, Domain, label
from gkd.report.style import LEGEND, WIDTH, Style, logarithmic, plain, plain_text, styles_of
from gkd.sweep.outcome import MethodOutcome, Outcome, TrialRecord

_COLUMNS = 2
_LONGEST_NAME = 20  # of a choice, so that two do not lie on one another
_OF_CHOICES = 0.18  # between the dots of two methods at one choice


def space_figure(outcome: Outcome) -> Figure | None:
    """Draw the validation metric against the values of each key: a dot for every trial.

    A ring marks the best trial of a method; a hollow dot is a trial that was pruned, at the value
    that it was left with.
    """
    shown: dict[str, Domain] = {}
    for one in outcome.methods:
        shown |= {dimension.key: dimension.domain for dimension in one.space.dimensions}
    if not shown:
        return None
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(WIDTH, 0.5 + 2.5 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    styles = styles_of([one.method for one in outcome.methods])
    for axes, (key, domain) in zip(panels, shown.items(), strict=False):
        _panel(axes, key, domain, outcome, styles)
    for axes in panels[len(shown) :]:
        axes.remove()
    for axes in panels[: len(shown) : columns]:
        axes.set_ylabel(f"validation {metric_heading(outcome.metric)}")
    handles: dict[str, Artist] = {}
    for axes in panels[: len(shown)]:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    place: Any = LEGEND | {"loc": "outside lower center", "ncols": min(6, len(handles))}
    legend = figure.legend(list(handles.values()), list(handles), **place)
    plain_text(legend)
    return figure


def _panel(
    axes: Axes, key: str, domain: Domain, outcome: Outcome, styles: dict[str, Style]
) -> None:
    plain(axes)
    methods = [one for one in outcome.methods if _has(one, key)]
    scale = 100 if outcome.metric.share else 1
    for number, one in enumerate(methods):
        shift = _OF_CHOICES * (number - (len(methods) - 1) / 2)
        colour, marker = styles[one.method]
        for trials, face in ((_with(one, key, "complete"), colour), (_with(one, key, ""), "none")):
            points = [
                (_place(domain, trial.values[key], shift), scale * value)
                for trial in trials
                if (value := trial.value if trial.value is not None else trial.last) is not None
            ]
            if points:
                places, values = zip(*points, strict=True)
                axes.scatter(
                    places,
                    values,
                    s=22,
                    marker=marker,
                    edgecolors=colour,
                    facecolors=face,
                    alpha=0.75,
                    label=one.method if face != "none" else None,
                )
        if one.best is not None and one.best.value is not None and key in one.best.values:
            place = _place(domain, one.best.values[key], shift)
            axes.plot(
                [place],
                [scale * one.best.value],
                marker="o",
                markersize=11,
                markerfacecolor="none",
                markeredgecolor=colour,
                linestyle="none",
            )
    if isinstance(domain, Choices):
        texts = list(map(label, domain.values))
        names = [t if len(t) <= _LONGEST_NAME else f"{t[:_LONGEST_NAME]}…" for t in texts]
        axes.set_xticks(range(len(names)), names, parse_math=False)
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif domain.log:
        logarithmic(axes, "x")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=domain.integers))
    axes.set_xlabel(key, parse_math=False)


def _has(one: MethodOutcome, key: str) -> bool:
    return any(dimension.key == key for dimension in one.space.dimensions)


def _with(one: MethodOutcome, key: str, state: str) -> Sequence[TrialRecord]:
    """Return the trials that have a value of a key: those in a state, or with "" all others."""
    return [
        trial
        for trial in one.trials
        if key in trial.values
        and (trial.state == (state or trial.state))
        and (bool(state) or trial.state != "complete")
    ]


def _place(domain: Domain, value: object, shift: float) -> float:
    if isinstance(domain, Choices):
        number = domain.find(value)
        return (len(domain.values) if number is None else number) + shift
    # The first trial has the recipe's own value, which may be no number: it has no place then.
    return value if isinstance(value, int | float) else math.nan
