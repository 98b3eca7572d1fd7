"""``report.html``: one self-contained page that any browser shows, in light or dark."""

from collections.abc import Callable, Sequence
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

import gkd
from gkd.evaluation.formats import metric_name
from gkd.report import figures
from gkd.report.cost_table import cost_table, cost_title
from gkd.report.feature_space_figure import CAPTION, feature_space_figure
from gkd.report.latency_table import LATENCY, latency_table
from gkd.report.results import Results
from gkd.report.size_table import SIZE, size_table
from gkd.report.structure_table import STRUCTURE, structure_table
from gkd.report.style import svg
from gkd.report.table import (
    comparison_table,
    detail,
    gaps,
    network_table,
    otherwise,
    protocol,
    run_names,
)
from gkd.report.turning_clouds import turning_clouds

_DIFFERENCES = (
    "Test {metric} above the baseline, paired by seed: a small dot for every seed, a marker for "
    "the mean, a bar for the 95 % interval from three seeds on."
)
_FIGURES: dict[str, tuple[Callable[[Results], Figure | None], str]] = {
    "feature-space": (feature_space_figure, CAPTION),
    "structure": (
        figures.rank_correlations,
        "Rank correlation of the distances in the students' feature spaces with those in their "
        "teacher's, the mean over the objects; shaded, or a bar, the 95 % interval over the seeds.",
    ),
    "curves": (
        figures.learning_curves,
        "Validation {metric} after every validated epoch, in a long run once more for its second "
        "half; mean over the seeds, shaded from the lowest to the highest.",
    ),
    "size": (
        figures.costs_and_metric,
        "Test {metric} against what a network costs, networks of one size side by side; "
        "whiskers are one standard deviation over the seeds.",
    ),
    "losses": (
        figures.loss_curves,
        "Losses over the epochs, mean over the seeds: the total, and what goes into it: the "
        "task's and every term, each times its weight.",
    ),
    "gradients": (
        figures.gradient_shares,
        "Gradient of every weighted term relative to the task's, at what the term compares: below "
        "the dotted line it has no say, above 1 it outweighs the labels.",
    ),
    "weights": (
        figures.term_weights,
        "Weights after every epoch, where they are not the same in all, mean over the seeds; "
        "those of 0 are left out.",
    ),
}


POLICY = "; ".join(
    (
        "default-src 'none'",  # no script, and nothing from elsewhere
        "style-src 'unsafe-inline'",  # drawings have style attributes, which hashes cannot name
        "img-src data:",  # drawings hold what has too many points for lines as pictures
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Content-security policy of the page: browsers run nothing in it and load nothing for it."""


def page(runs: Sequence[Results], notes: Sequence[str] = ()) -> str:
    """Write the page of one or several runs; nothing in it is loaded from elsewhere."""
    sections = [
        {
            "run": run,
            "name": name,
            "gaps": gaps(run),
            "differences": _drawing(
                run, f"run{index}", "differences", figures.differences, _DIFFERENCES
            ),
            "drawings": _drawings(run, f"run{index}"),
            "clouds": turning_clouds(run),
            "costs": cost_table(run),
            "latency": latency_table(run.latencies),
            "structure": structure_table(run),
            "protocol": protocol(run),
        }
        for index, (run, name) in enumerate(zip(runs, run_names(runs), strict=True))
    ]
    return render(
        "page.html",
        title=runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared",
        comparison=comparison_table(runs),
        notes=notes,
        otherwise=otherwise(runs),
        sizes=size_table(runs),
        size_title=SIZE,
        sections=sections,
        networks=network_table(runs),
        detail=detail,
        cost_title=cost_title,
        latency_title=LATENCY,
        structure_title=STRUCTURE,
        kicker=", ".join(run_names(runs)),
    )


def render(template: str, **values: object) -> str:
    """Write a page from a template of any room of gkd.

    Names of methods, titles and commands come from users: every text is escaped. What a template
    marks as safe is the drawings, whose texts matplotlib has escaped.
    """
    return (
        _templates().get_template(template).render(version=gkd.__version__, policy=POLICY, **values)
    )


@cache
def _templates() -> Environment:
    """Templates, compiled once for all pages that a process writes."""
    return Environment(
        loader=ChoiceLoader([PackageLoader("gkd", "report"), PackageLoader("gkd", "sweep")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _drawings(run: Results, prefix: str) -> list[tuple[str, str]]:
    """Draw the figures that there is anything to show in, each with its caption."""
    drawn = (_drawing(run, prefix, name, *figure) for name, figure in _FIGURES.items())
    return [one for one in drawn if one is not None]


def _drawing(
    run: Results, prefix: str, name: str, draw: Callable[[Results], Figure | None], text: str
) -> tuple[str, str] | None:
    figure = draw(run)
    if figure is None:
        return None
    spaces = run.feature_spaces
    caption = text.format(
        metric=metric_name(run.primary_metric),
        sample="" if spaces is None else spaces.teacher.sample,
        seed="" if spaces is None else spaces.seed,
    )
    return svg(figure, f"{prefix}-{name}", caption), caption
