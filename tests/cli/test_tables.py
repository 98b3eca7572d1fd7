"""Tables of commands: nothing is cut, at whatever width."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from gkd.commands.tables import print_on, print_table

HEADINGS = ["Name", "Needs", "Distribution", "Parameters"]
BODY = [
    ["lsp", "features, graph", "gkd", "(kernel: str | None = None, per_row: bool = False)"],
    ["learned-heat-kernel", "features, graph, layers", "my-plugin", "(delta: float = 0.1)"],
]


def shown(width: int, body: Sequence[Sequence[str]] = BODY) -> list[str]:
    stream = io.StringIO()
    print_on(Console(file=stream, width=width), HEADINGS, body)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 80, 90, 120, 200])
def test_no_word_is_cut_on_a_terminal(width: int) -> None:
    lines = shown(width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).replace(" · ", " ").split()
    for cell in (*HEADINGS, *(cell for cells in BODY for cell in cells)):
        assert set(cell.split()) <= set(words)


def test_the_widest_column_is_wrapped_while_it_has_room() -> None:
    assert len(shown(200)) == 3
    first = [line for line in shown(85) if "lsp" in line]
    assert len(first) == 1
    assert first[0].split()[:4] == ["lsp", "features,", "graph", "gkd"]
    assert 3 < len(shown(85)) < 6


def test_a_row_is_several_lines_where_there_is_no_room() -> None:
    assert shown(70)[3:6] == [
        "lsp",
        "  features, graph · gkd",
        "  (kernel: str | None = None, per_row: bool = False)",
    ]


def test_elsewhere_a_row_is_a_line_without_blanks_behind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns = {heading: heading.lower() for heading in HEADINGS}
    rows = [dict(zip(columns.values(), cells, strict=True)) for cells in BODY]
    print_table(columns, [*rows, rows[0] | {"parameters": "(a)\n(b)"}])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines == [line.rstrip() for line in lines]
    assert lines[2].index("my-plugin") == lines[0].index("Distribution")
    assert lines[3].endswith("gkd           (a); (b)")
