"""Markdown, HTML and terminal: the same content, safely written."""

import io
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from run_directories import complete_run, summary, write_run

from gkd.report import print_table, write_report
from gkd.report.html import page
from gkd.report.outputs import markdown, write_files
from gkd.report.results import Results, run_results
from gkd.report.size_table import size_table
from gkd.report.table import comparison_table
from gkd.report.terminal import print_runs

HOSTILE = "<script>alert(1)</script> & $\\frac{1}{2}$ | `x` *y* [z](u)"
VOID = {"meta", "br", "link", "img"}


class Structure(HTMLParser):
    """Checks that elements nest, and collects ids, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.policies: list[tuple[str, int]] = []  # with the number of elements before
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.attributes |= set(given)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policies.append((str(given["content"]), len(self.tags)))
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href"):
                self.links.append(str(value))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_results(complete_run(tmp_path_factory.mktemp("runs") / "ppi-lsp"))


@pytest.fixture(scope="module")
def run_page(run: Results) -> str:
    return page([run])


@pytest.fixture
def hostile(tmp_path: Path) -> Results:
    done = [summary(name, 0, 0.9) for name in ("teacher", "baseline", "$x$ <b>|")]
    return run_results(write_run(tmp_path / "run", done, title=HOSTILE, methods=(), seeds=(0,)))


def test_the_page_is_well_formed_and_loads_nothing(run: Results) -> None:
    text = page([run, run])
    found = Structure(text)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert all(link.removeprefix("#") in found.ids for link in found.links)
    assert not re.search(r"url\((?!#)|@import|<script|<link", text)


def test_browsers_are_told_to_run_and_to_load_nothing(hostile: Results) -> None:
    found = Structure(page([hostile]))
    ((policy, place),) = found.policies
    assert found.tags[:place] == ["html", "head", "meta", "meta"]  # before all it should hold for
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not [name for name in found.attributes if name.startswith("on")]
    blocked = {"script", "link", "img", "image", "iframe", "object", "embed", "form", "base"}
    assert not blocked & set(found.tags)


def test_the_verdict_and_its_picture_come_first(run: Results, run_page: str) -> None:
    places = [
        run_page.index(one)
        for one in (
            run.comparisons[0].verdict,
            "<svg",
            "<h2>Result</h2>",
            "<h2>Size and speed</h2>",
        )
    ]
    assert places == sorted(places)


def test_every_figure_is_drawn_and_described(run_page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", run_page, flags=re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.attrib["role"] == "img"
        assert len(root.attrib["aria-label"]) > 40


def test_colours_follow_the_page(run_page: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", run_page, flags=re.DOTALL))
    used = set(re.findall(r"var\((--[\w-]+)\)", drawings))
    assert {"--ink", "--muted", "--grid", "--series-0", "--series-1"} <= used
    for variable in used:
        assert run_page.count(f"{variable}:") == 2, "one value for light, one for dark"
    assert not re.search(r"#[0-9a-f]{6}\b", drawings)


def test_user_text_is_escaped_in_html(hostile: Results) -> None:
    text = page([hostile])
    assert "script" not in Structure(text).tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $\\frac{1}{2}$" in text
    assert "<b>" not in text
    assert "$x$ &lt;b&gt;|" in text  # nor is it set as a formula in a figure


def test_user_text_is_escaped_in_markdown(hostile: Results) -> None:
    lines = markdown([hostile]).splitlines()
    assert lines[0] == (
        "# &lt;script>alert(1)&lt;/script> & $\\\\frac{1}{2}$ \\| \\`x\\` \\*y\\* \\[z\\](u)"
    )
    assert "<" not in "".join(lines)
    rows = [line for line in lines if line.startswith("| ")]
    counts = {len(re.findall(r"(?<!\\)\|", row)) for row in rows[: len(hostile.rows) + 2]}
    assert len(counts) == 1


def test_markdown_has_every_cell_verdict_and_protocol_line(run: Results) -> None:
    text = markdown([run])
    for row in [*comparison_table([run]).body, *size_table([run]).body]:
        assert all(cell in text for cell in row)
    assert run.comparisons[0].verdict in text
    assert all(f"* **{label}**: " in text for label in run.protocol)


def test_a_comparison_has_a_section_per_run(tmp_path: Path) -> None:
    runs = [run_results(complete_run(tmp_path / name)) for name in ("first", "second")]
    assert markdown(runs).startswith("# 2 runs compared\n")
    assert "## LSP on PPI (second)" in markdown(runs)
    assert "<h2>LSP on PPI (second)</h2>" in page(runs)


def test_reports_of_an_unfinished_run_say_so(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [], seeds=(0,), methods=("lsp",))
    write_report(run_dir)
    note = "This run is not finished; missing: teacher, baseline, seed 0, lsp, seed 0."
    assert note in (run_dir / "table.md").read_text(encoding="utf-8")
    assert note in (run_dir / "report.html").read_text(encoding="utf-8")


def test_numbers_do_not_wait_for_figures(
    run: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise ValueError("no canvas")

    monkeypatch.setattr("gkd.report.html.svg", fail)
    with pytest.raises(ValueError, match="no canvas"):
        write_files([run], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "table.md"}


def test_reports_are_the_same_when_written_again(run: Results, run_page: str) -> None:
    assert page([run]) == run_page
    assert markdown([run]) == markdown([run])


def printed(runs: list[Results], width: int) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_runs(runs, console)
    console.file.close()
    return console.export_text()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_cell_wraps_in_a_terminal(run: Results, width: int) -> None:
    text = printed([run], width)
    sizes = {"teacher": "3,640,748", **dict.fromkeys(("baseline", "lsp", "at"), "185,172")}
    for name, size in sizes.items():
        assert re.search(rf"^{name} +\d{{2}}\.\d{{2}}", text, flags=re.MULTILINE)
        assert re.search(rf"^{name} +{size} ", text, flags=re.MULTILINE)
    assert "95.70 ± 0.10" in text
    assert max(map(len, text.splitlines())) <= width


def test_columns_left_out_of_a_narrow_terminal_are_named(run: Results) -> None:
    assert "too wide for this terminal: as good as the baseline after" in printed([run], 60)
    assert "too wide" not in printed([run], 200)


def test_the_protocol_is_a_line_each_where_nobody_looks(run: Results) -> None:
    lines = printed([run], 400).splitlines()
    (comparison,) = (line for line in lines if line.startswith("comparison "))
    assert comparison.endswith("the probability of any false claim by 5 %")
    assert "hardware    cpu a CPU, cores 2" in lines


def test_print_table_takes_what_write_report_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(write_report(complete_run(tmp_path / "run")))
    output = capsys.readouterr().out
    assert "95.70 ± 0.10" in output
    assert "lsp beat the baseline by 0.39 points" in output


def test_what_a_run_holds_does_not_steer_a_terminal(tmp_path: Path) -> None:
    folder = complete_run(tmp_path / "run")
    results = run_results(folder).model_copy(update={"title": "a\x1b[2Jtitle\u202e"})
    stream = io.StringIO()
    print_runs([results], Console(file=stream, width=200))
    for text in (stream.getvalue(), markdown([results])):
        assert "\x1b[2J" not in text
        assert "\u202e" not in text
        assert "title" in text
