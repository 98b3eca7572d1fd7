"""The pages of the documentation that show what to type work as printed, block by block.

A block with a file name behind its language is written there, ``sh`` is lines of ``gkd``, a
``text`` block is in what the command before it printed; the other Python of a page is one program.
Tables of a recipe alone are keys of one. Networks are trained for two epochs at most: that they
learn is tested elsewhere.
"""

import re
import shlex
import sys
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest
from command_line import Run

import gkd
from gkd.recipe.model import Recipe

DOCS = Path(__file__).parents[1] / "docs"
FOLLOWED = (
    "tutorial",
    "own-model",
    "own-data",
    "own-loss",
    "choose-taps",
    "choose-weights",
    "follow-a-run",
)
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    return sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_page_works(name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    before = set(sys.modules)
    printed, names = "", {"__name__": "reader"}
    try:
        for language, note, text in BLOCK.findall((DOCS / f"{name}.md").read_text("utf-8")):
            text = re.sub(r"\bepochs = \d\d", "epochs = 2", text)
            if note.strip():
                (folder / note.strip()).write_text(text, encoding="utf-8")
            elif language == "sh":
                printed = ""
                for line in text.splitlines():
                    program, *arguments = shlex.split(line)
                    assert program == "gkd"
                    outcome = run(*arguments)
                    assert outcome.status == 0, f"{line}\n{outcome.err}"
                    printed += "\n".join(outcome.rows)
            elif language == "text":
                for line in text.splitlines():
                    assert " ".join(line.split()) in printed
            elif language == "toml":
                assert tomllib.loads(text).keys() <= Recipe.model_fields.keys()
            else:
                exec(compile(text, f"{name}.md", "exec"), names)
    finally:
        for module in set(sys.modules) - before:
            if module.startswith("my_"):
                del sys.modules[module]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        file = page.parent / place if place else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), target


def _anchor(heading: str) -> str:
    """Return what a heading is reached by, as GitHub and the site have it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_api_has_every_public_name() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    names = [name for name in gkd.__all__ if not name.startswith("__")]
    names += [f"testing.{name}" for name in gkd.testing.__all__]
    assert not [name for name in names if not re.search(rf"gkd\.{name}$", text, re.MULTILINE)]


def test_the_api_has_no_other_names() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    for name in re.findall(r"^\.\. auto\w+:: (\S+)$", text, re.MULTILINE):
        assert getattr(resolve_name(name), "__doc__", None), name


def test_every_page_is_in_the_contents() -> None:
    contents = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in pages():
        assert page.stem == "index" or re.search(rf"^{page.stem}$", contents, re.MULTILINE)
