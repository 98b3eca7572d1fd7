"""How the figures look: plain axes, and one colour and marker per network."""

from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from gkd.recipe.model import BASELINE
from gkd.report.results import Results
from gkd.report.svg import GRID, INK, MARKERS, MUTED, SERIES

WIDTH = 7.6  # inches; the page scales it
TEACHER = "teacher"
LEGEND = {"frameon": False, "fontsize": 9, "labelcolor": INK}


class Style(NamedTuple):
    """How one network is drawn in every figure."""

    color: str
    marker: str


def method_styles(run: Results) -> dict[str, Style]:
    """Colour and marker by name: ink is the baseline, grey the teacher."""
    methods = [row.method for row in run.rows if row.network == "student"]
    styles = {
        TEACHER: Style(MUTED, "*"),
        BASELINE: Style(INK, "o"),
    }
    for index, method in enumerate(name for name in methods if name != BASELINE):
        # Markers run out of step with colours, so that no pair returns soon.
        marker = MARKERS[(index + index // len(SERIES)) % len(MARKERS)]
        styles[method] = Style(SERIES[index % len(SERIES)], marker)
    return styles


def single(height: float) -> tuple[Figure, Axes]:
    """Make a figure of one plain pair of axes."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    """Leave of the axes what helps reading: grid, tick labels, axis labels."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0, colors=MUTED, labelsize=9)
    axes.xaxis.label.set(color=MUTED, fontsize=9.5)
    axes.yaxis.label.set(color=MUTED, fontsize=9.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def logarithmic(axes: Axes, name: Literal["x", "y"]) -> None:
    """Scale an axis by logarithms, its ticks written as plain numbers."""
    axes.set(**{f"{name}scale": "log"})
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_locator(NullLocator())


def plain_text(legend: Legend) -> None:
    """Take a legend's texts as they are, not as formulas."""
    for text in legend.get_texts():
        text.set_parse_math(False)  # a method may be called $x$


def _short(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
