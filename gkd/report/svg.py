"""Figures as SVG whose colours follow the page: dark or light."""

import io
import re

import matplotlib
from matplotlib.figure import Figure

# Colour-blind safe (after Okabe and Ito); the page gives each a light and a dark value.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
INK = "#1b1f24"
MUTED = "#6b7280"
GRID = "#e3e6ea"
MARKERS = "s^DvPX"

_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)},
}


def svg(figure: Figure, prefix: str) -> str:
    """Write a figure as an inline SVG element without a size of its own.

    Args:
        figure: Figure drawn in the colours of this module.
        prefix: Put before every id, which must differ among the figures of one page.
    """
    buffer = io.StringIO()
    # Text stays text: readable for screen readers, and set in the page's own font.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text.strip()
