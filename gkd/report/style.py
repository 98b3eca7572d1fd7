"""How the figures look: plain axes, a colour and marker per network, SVG in the page's colours."""

import io
import math
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from gkd.recipe.model import BASELINE
from gkd.report.results import Results

# Colour-blind safe (after Okabe and Ito); the page gives each a light and a dark value.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
INK = "#1b1f24"
MUTED = "#6b7280"
GRID = "#e3e6ea"
MARKERS = "s^DvPX"
COLOURS = "viridis"  # of distances, from 0 to the largest

WIDTH = 7.6  # inches; the page scales it
TEACHER = "teacher"
LEGEND = {"frameon": False, "fontsize": 9, "labelcolor": INK}
LEGEND_ROW = 0.2  # inches

_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)},
}


class Style(NamedTuple):
    """How one network is drawn in every figure."""

    color: str
    marker: str


def method_styles(run: Results) -> dict[str, Style]:
    """Colour and marker by name: ink is the baseline, grey the teacher."""
    return styles_of([row.method for row in run.rows if row.network == "student"])


def styles_of(methods: Sequence[str]) -> dict[str, Style]:
    """Colour and marker of methods by name, of the teacher, too."""
    styles = {
        TEACHER: Style(MUTED, "*"),
        BASELINE: Style(INK, "o"),
    }
    for index, method in enumerate(name for name in methods if name != BASELINE):
        # Markers run out of step with colours, so that no pair returns soon.
        marker = MARKERS[(index + index // len(SERIES)) % len(MARKERS)]
        styles[method] = Style(SERIES[index % len(SERIES)], marker)
    return styles


def single(height: float, entries: int = 0) -> tuple[Figure, Axes]:
    """Make a figure of one plain pair of axes, high enough for a legend of so many entries."""
    height = max(height, LEGEND_ROW * (entries + 3))
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


def over_epochs(axes: Axes) -> None:
    """Have epochs on the x axis, which are whole numbers: also where there is one alone."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))


class _RoundNumbers(LogLocator):
    """Ticks at 1, 2 and 5 times the powers of ten; at fewer where the axis spans many powers."""

    def __init__(self, most: int) -> None:
        super().__init__(numticks=most)
        self._most = most

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        if vmax < 3 * vmin:
            return MaxNLocator(self._most).tick_values(vmin, vmax)
        powers = math.log10(vmax / vmin) if vmin > 0 else math.inf
        within = [some for some in ((1, 2, 5), (1, 3)) if len(some) * powers <= self._most]
        subs = within[0] if within else (1,)
        self.set_params(subs=subs)
        return super().tick_values(vmin, vmax)


def logarithmic(axes: Axes, name: Literal["x", "y"], most: int = 7) -> None:
    """Scale an axis by logarithms, with about so many ticks at most, written as plain numbers."""

    def short(value: float, _: object) -> str:
        for unit, size in (("M", 1e6), ("k", 1e3)):
            if value >= size:
                return f"{value / size:g}{unit}"
        return f"{value:g}"

    axes.set(**{f"{name}scale": "log"})
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(short))
    axis.set_major_locator(_RoundNumbers(most))
    axis.set_minor_locator(NullLocator())


def plain_text(legend: Legend) -> None:
    """Take a legend's texts as they are, not as formulas."""
    for text in legend.get_texts():
        text.set_parse_math(False)  # a method may be called $x$


def save(
    figure: Figure, target: Path | IO[bytes], kind: Literal["svg", "png"], dpi: int, **options: Any
) -> None:
    """Write a figure as ``savefig`` does, which draws it once more for its layout.

    Args:
        figure: With a layout engine; it has none afterwards.
        target: File.
        kind: Format of the file.
        dpi: Resolution of what is made of pixels.
        options: Of ``savefig``.
    """
    engine = figure.get_layout_engine()
    assert engine is not None
    {"svg": FigureCanvasSVG, "png": FigureCanvasAgg}[kind](figure)
    figure.dpi = 72 if kind == "svg" else dpi  # points are pixels in SVG
    engine.execute(figure)
    figure.set_layout_engine(None)
    figure.savefig(target, format=kind, dpi=dpi, **options)


def svg(figure: Figure, prefix: str, label: str) -> str:
    """Write a figure as an inline SVG element without a size of its own.

    Args:
        figure: Figure drawn in the colours of this module.
        prefix: Put before every id, which must differ among the figures of one page.
        label: What the figure shows, for screen readers.
    """
    buffer = io.BytesIO()
    # Text stays text: readable for screen readers, and set in the page's own font.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        save(figure, buffer, "svg", 100, transparent=True, metadata={"Date": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    described = f'<svg role="img" aria-label="{escape(label)}"'
    return text.strip().replace("<svg", described, 1)
