"""The files of a report: ``results.json``, ``table.md``, ``report.html`` and pictures."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gkd.errors import printable
from gkd.files import write_atomically, write_text, written_json
from gkd.report.cost_table import cost_table, cost_title
from gkd.report.feature_space_figure import feature_space_figure
from gkd.report.html import page
from gkd.report.latency_table import LATENCY, latency_table
from gkd.report.results import Results
from gkd.report.size_table import SIZE, size_table
from gkd.report.structure_table import STRUCTURE, structure_table
from gkd.report.style import save
from gkd.report.table import (
    Table,
    comparison_table,
    gaps,
    network_table,
    otherwise,
    protocol,
    run_names,
    verdicts,
)


def write_files(runs: Sequence[Results], folder: Path, notes: Sequence[str] = ()) -> list[Path]:
    """Write the report of one or several runs, each file of it at once.

    Args:
        runs: that it is about.
        folder: of the files.
        notes: on the runs as a whole, to stand below their table.
    """
    writers: dict[str, Callable[[], str]] = {
        "results.json": lambda: json_text(runs),
        "table.md": lambda: markdown(runs, notes),
        "report.html": lambda: page(runs, notes),
    }
    written = []
    for name, text in writers.items():  # the numbers first: they must not wait for a picture
        written.append(folder / name)
        write_text(written[-1], text())
    # The feature spaces of a single run once more, to be used outside of the page.
    figure = feature_space_figure(runs[0]) if len(runs) == 1 else None
    if figure is not None:
        path = folder / "feature_space.png"
        write_atomically(path, lambda partial: save(figure, partial, "png", 200))
        written.append(path)
    return written


def json_text(runs: Sequence[Results]) -> str:
    """Write one run's results as JSON; several as a list under ``runs``."""
    dumped: list[dict[str, Any]] = [run.model_dump(mode="json") for run in runs]
    content = dumped[0] if len(dumped) == 1 else {"runs": dumped}
    return written_json(content, indent=2)


def markdown(runs: Sequence[Results], notes: Sequence[str] = ()) -> str:
    """Write tables, verdicts and protocol as Markdown that reads well unrendered."""
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared"
    parts = [f"# {escaped(title)}", markdown_table(comparison_table(runs))]
    parts += ["\n".join(f"- {escaped(note)}" for note in notes), _entries(otherwise(runs))]
    parts += [f"{SIZE}:", markdown_table(size_table(runs))]
    for run, name in zip(runs, run_names(runs), strict=True):
        if len(runs) > 1:
            parts.append(f"## {escaped(run.title)} ({escaped(name)})")
        sentences = [*verdicts(run), *gaps(run)]
        parts.append("\n".join(f"- {escaped(sentence)}" for sentence in sentences))
        if costs := cost_table(run):
            parts += [f"{escaped(cost_title(run))}:", markdown_table(costs)]
        if times := latency_table(run.latencies):
            parts += [f"{LATENCY}:", markdown_table(times)]
        if structure := structure_table(run):
            parts += [f"{STRUCTURE}:", markdown_table(structure)]
        parts.append(_entries(protocol(run)))
    parts += ["## Every network", markdown_table(network_table(runs))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _entries(entries: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"* **{escaped(label)}**: {escaped(text)}" for label, text in entries)


def markdown_table(table: Table) -> str:
    """Write a table as Markdown that reads well unrendered."""
    rows = [[escaped(cell) for cell in row] for row in (table.header, *table.body)]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    rule = [
        "-" * width if column < table.labels else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines = []
    for row in (rows[0], rule, *rows[1:]):
        padded = [
            cell.ljust(width) if column < table.labels else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Write a text in one line in which nothing means anything to Markdown."""
    # An underscore inside a word, as in micro_f1, means nothing to Markdown. Not every renderer
    # knows a backslash before an angle bracket: as an entity it is no tag to any of them.
    one_line = printable(" ".join(text.split()))
    marked = re.sub(r"[\\`*|\[\]]|(?<!\w)_|_(?!\w)", r"\\\g<0>", one_line)
    return re.sub(r"&(?=#?\w+;)", "&amp;", marked).replace("<", "&lt;")
