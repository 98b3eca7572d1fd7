"""The report in a terminal, by rich."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from gkd.errors import printable
from gkd.report.cost_table import cost_table, cost_title
from gkd.report.latency_table import LATENCY, latency_table
from gkd.report.results import Results
from gkd.report.size_table import SIZE, size_table
from gkd.report.structure_table import STRUCTURE, structure_table
from gkd.report.table import Table, comparison_table, gaps, otherwise, protocol, run_names, verdicts

_STYLES = {"better": "green", "worse": "red", "open": ""}
_LEAST_NEEDED = (
    "as good as the baseline after",
    "calibration error",
    "as the teacher, %",
    "step memory",
    "95 % interval",
    "s per epoch",
    "training",
    "seeds",
)
_UNLIMITED = 400  # characters, where nobody looks at a screen
_GAP = 2  # characters between columns: the padding and the box's separator


def print_runs(
    runs: Sequence[Results], console: Console | None = None, notes: Sequence[str] = ()
) -> None:
    """Print table, verdicts and protocol of one or several runs.

    Args:
        runs: What to print.
        console: Where to; by default standard output, in full width where it is not a terminal.
        notes: On the runs as a whole, to be printed below the table.
    """
    console = console or wide_console()
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared"
    print_one(title, comparison_table(runs), console)
    _print_entries(otherwise(runs), console)
    for note in notes:
        console.print(_text(note, "yellow"), soft_wrap=True)
    console.print()
    print_one(SIZE, size_table(runs), console)
    for run, name in zip(runs, run_names(runs), strict=True):
        if len(runs) > 1:
            console.print(_text(f"{run.title} ({name})", "bold"))
        console.print()
        for one, sentence in zip(run.comparisons, verdicts(run), strict=True):
            console.print(_text(sentence, _STYLES[one.outcome]))
        for sentence in gaps(run):
            console.print(_text(sentence, "yellow"))
        console.print()
        if costs := cost_table(run):
            print_one(cost_title(run), costs, console)
            console.print()
        if times := latency_table(run.latencies):
            print_one(LATENCY, times, console)
            console.print()
        if structure := structure_table(run):
            print_one(STRUCTURE, structure, console)
            console.print()
        _print_entries(protocol(run), console)


def _print_entries(entries: Sequence[tuple[str, str]], console: Console) -> None:
    """Print labels and texts; where nobody looks at a screen, in a line each."""
    if console.width >= _UNLIMITED:
        width = max((len(label) for label, _ in entries), default=0)
        for label, text in entries:
            console.print(_text(f"{label:<{width}}  {text}"), soft_wrap=True)
        return
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    for label, text in entries:
        grid.add_row(_text(label, "dim"), _text(text, "dim"))
    console.print(grid)


def wide_console() -> Console:
    """Return standard output, in full width where it is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_UNLIMITED)


def print_one(title: str, table: Table, console: Console) -> None:
    """Print a table under its title, without the columns that there is no room for."""
    shown = table
    for name in _LEAST_NEEDED:  # until no cell has to wrap
        if sum(_widths(shown)) + _GAP * (len(shown.header) - 1) > console.width:
            shown = shown.without(name)
    console.print(_text(title, "bold"))
    grid = RichTable(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for column, (heading, width) in enumerate(zip(shown.header, _widths(shown), strict=True)):
        justify: JustifyMethod = "left" if column < shown.labels else "right"
        grid.add_column(_text(heading), justify=justify, width=width, vertical="bottom")
    for row in shown.body:
        grid.add_row(*map(_text, row))
    console.print(grid)
    if left_out := [name for name in table.header if name not in shown.header]:
        console.print(_text(f"too wide for this terminal: {', '.join(left_out)}", "dim"))


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style)


def _widths(table: Table) -> list[int]:
    """Width of each column; a heading may wrap between words, a cell may not."""
    columns = zip(*([name.split() for name in table.header], *table.body), strict=True)
    return [max(map(len, [*words, *cells])) for words, *cells in columns]
