"""``report.html``: one self-contained page that any browser shows, in light or dark."""

from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from matplotlib.figure import Figure

import gkd
from gkd.report import figures
from gkd.report.comparison import Comparison
from gkd.report.feature_space_figure import CAPTION, feature_space_figure
from gkd.report.formats import metric_name, points
from gkd.report.notes import gaps, protocol
from gkd.report.results import Results
from gkd.report.svg import svg
from gkd.report.table import Table, comparison_table, network_table, run_names

_SIGNS = {"better": "▲", "worse": "▼", "open": "○"}

_FIGURES: dict[str, tuple[Callable[[Results], Figure | None], str]] = {
    "differences": (
        figures.differences,
        "Test {metric} above the baseline, paired by seed: a small dot for every seed, a "
        "marker for the mean, a bar for the 95 % interval from three seeds on.",
    ),
    "feature-space": (feature_space_figure, CAPTION),
    "curves": (
        figures.learning_curves,
        "Validation {metric} after every validated epoch, in a long run once more for its second "
        "half; mean over the seeds, shaded from the lowest to the highest.",
    ),
    "size": (
        figures.size_and_metric,
        "Test {metric} against the number of parameters, networks of one size side by side; "
        "whiskers are one standard deviation over the seeds.",
    ),
    "losses": (
        figures.loss_curves,
        "Losses over the epochs, mean over the seeds: the total, the task's, and every term "
        "before its weight.",
    ),
}


def page(runs: Sequence[Results]) -> str:
    """Write the page of one or several runs; nothing in it is loaded from elsewhere."""
    names = run_names(runs)
    single = len(runs) == 1
    content = [_section("Result", _table(comparison_table(runs)))]
    for index, (run, name) in enumerate(zip(runs, names, strict=True)):
        heading = "" if single else f"<h2>{escape(run.title)} ({escape(name)})</h2>"
        content.append(heading + _run(run, f"run{index}"))
    content.append(_details("Every network", _table(network_table(runs))))
    folder = files("gkd.report")
    return Template(folder.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(runs[0].title if single else f"{len(runs)} runs compared"),
        kicker=escape(", ".join(names)),
        style=folder.joinpath("style.css").read_text(encoding="utf-8"),
        content="\n".join(content),
        version=escape(gkd.__version__),
    )


def _run(run: Results, prefix: str) -> str:
    parts = [f'<p class="note">{escape(note)}</p>' for note in gaps(run)]
    if run.comparisons:
        verdicts = "\n".join(map(_verdict, run.comparisons))
        parts.append(_section("Verdicts", f'<ul class="verdicts">\n{verdicts}\n</ul>'))
    drawn = [
        _figure(figure, f"{prefix}-{name}", caption.format(metric=metric_name(run.primary_metric)))
        for name, (draw, caption) in _FIGURES.items()
        if (figure := draw(run)) is not None
    ]
    if drawn:
        parts.append(_section("Figures", "\n".join(drawn)))
    entries = "\n".join(
        f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in protocol(run)
    )
    parts.append(_section("Protocol", f"<dl>\n{entries}\n</dl>"))
    parts.append(_details("Recipe", f'<pre tabindex="0"><code>{escape(run.recipe)}</code></pre>'))
    return "\n".join(parts)


def _verdict(one: Comparison) -> str:
    each = ", ".join(f"seed {seed}: {points(value)}" for seed, value in one.differences.items())
    detail = f'<span class="detail">{escape(each)}</span>' if len(one.differences) > 1 else ""
    return (
        f'<li class="{one.outcome}"><span class="sign" aria-hidden="true">{_SIGNS[one.outcome]}'
        f"</span><span>{escape(one.verdict)}{detail}</span></li>"
    )


def _figure(figure: Figure, identifier: str, caption: str) -> str:
    label = escape(caption, quote=True)
    drawing = svg(figure, identifier).replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return f"<figure>\n{drawing}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"


def _table(table: Table) -> str:
    def cell(column: int, text: str, scope: str) -> str:
        text = text.replace(" %", "\N{NO-BREAK SPACE}%")
        if column < table.labels:
            return f'<th scope="{scope}" class="label">{escape(text)}</th>'
        tag = f'th scope="{scope}"' if scope == "col" else "td"
        return f"<{tag}>{escape(text)}</{tag[:2]}>"

    def row(cells: Sequence[str], scope: str) -> str:
        inner = "".join(cell(column, text, scope) for column, text in enumerate(cells))
        return f"<tr>{inner}</tr>"

    body = "\n".join(row(cells, "row") for cells in table.body)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table">\n<table>\n'
        f"<thead>{row(table.header, 'col')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _details(title: str, content: str) -> str:
    return f"<details>\n<summary>{escape(title)}</summary>\n{content}\n</details>"
