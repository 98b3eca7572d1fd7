"""``table.md``: the report as Markdown that reads well unrendered."""

import re
from collections.abc import Sequence

from gkd.report.notes import gaps, protocol, verdicts
from gkd.report.results import Results
from gkd.report.table import Table, comparison_table, network_table, run_names


def markdown(runs: Sequence[Results]) -> str:
    """Write tables, verdicts and protocol of one or several runs."""
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared"
    parts = [f"# {_escaped(title)}", _table(comparison_table(runs))]
    for run, name in zip(runs, run_names(runs), strict=True):
        if len(runs) > 1:
            parts.append(f"## {_escaped(run.title)} ({_escaped(name)})")
        parts.append(_list([*verdicts(run), *gaps(run)]))
        parts.append("\n".join(f"* **{key}**: {_escaped(text)}" for key, text in protocol(run)))
    parts += ["## Every network", _table(network_table(runs))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _table(table: Table) -> str:
    rows = [[_escaped(cell) for cell in row] for row in (table.header, *table.body)]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    rule = [
        "-" * width if column < table.labels else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines = [_line(row, widths, table.labels) for row in (rows[0], rule, *rows[1:])]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int], labels: int) -> str:
    padded = [
        cell.ljust(width) if column < labels else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _escaped(text: str) -> str:
    # An underscore inside a word, as in micro_f1, means nothing to Markdown.
    one_line = " ".join(text.split())
    return re.sub(r"[\\`*|<\[\]]|(?<!\w)_|_(?!\w)", r"\\\g<0>", one_line)
