"""``docs/plugins.md`` is followed to the letter, in an environment of its own.

Shell blocks run as printed (those marked ``fails`` must fail), blocks with a file name are written
there, a text block must be part of what the command before it printed, and all other Python is
one test file that passes.
"""

import re
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from fake_distributions import importing_from
from fresh_environment import Environment, environment

from gkd.hosting import host as hosts
from gkd.hosting.kinds import HOOKS, KINDS

__all__ = ["environment"]

GUIDE = Path(__file__).parents[1] / "docs" / "plugins.md"


class Block(NamedTuple):
    """A block of the guide: its language, the word behind it, and its lines."""

    language: str
    note: str
    text: str


BLOCKS = [
    Block(language, note.strip(), text)
    for language, note, text in re.findall(
        r"^```(\w+)([^\n]*)\n(.*?)^```$",
        GUIDE.read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
]


@dataclass
class Session:
    """What a reader of the guide does, from top to bottom.

    Args:
        environment: that commands run in.
        folder: where the reader is.
        printed: by the last command.
        programs: Python without a file name, so far.
    """

    environment: Environment
    folder: Path
    printed: str = ""
    programs: list[str] = field(default_factory=list)

    def follow(self, block: Block) -> None:
        """Do what ``block`` says."""
        if block.language == "sh":
            self._run(block.text, fails=block.note == "fails")
        elif block.language == "text":
            expected = [line.strip() for line in block.text.splitlines()]
            assert not [line for line in expected if line not in self.printed], self.printed
        elif block.note:
            (self.folder / block.note).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            self.programs.append(block.text)
        else:
            assert block.language == "toml"
            assert tomllib.loads(block.text)

    def _run(self, commands: str, *, fails: bool) -> None:
        here = self.environment.folder / "here"
        done = subprocess.run(
            ["bash", "-euc", f'{commands}\npwd > "{here}"'],
            cwd=self.folder,
            env=self.environment.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        self.printed = done.stdout
        assert (done.returncode != 0) == fails, done.stdout
        if not fails:
            self.folder = Path(here.read_text(encoding="utf-8").strip())


@pytest.fixture(scope="module")
def session(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A reader who has followed the whole guide."""
    reader = Session(environment, tmp_path_factory.mktemp("reader"))
    for block in BLOCKS:
        reader.follow(block)
    return reader


def test_following_the_guide_leads_to_a_plugin_that_can_be_published(session: Session) -> None:
    assert session.folder.name == "gkd-edge-length"
    assert [path.name for path in (session.folder / "dist").iterdir()] == [
        "gkd_edge_length-0.1.0-py3-none-any.whl"
    ]
    assert (session.folder / "first-run" / "report.html").is_file()


def test_the_other_python_is_a_test_file_that_passes(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = session.folder / "test_guide.py"
    file.write_text("\n".join(session.programs), encoding="utf-8")
    monkeypatch.chdir(session.folder)
    # Here, where torch is there already: the guide itself has run pytest in its environment.
    with importing_from(session.environment.packages), importing_from(session.folder):
        hosts.default_host.cache_clear()
        status = pytest.main(["-q", "-W", "error", "-p", "no:cacheprovider", file.name])
    hosts.default_host.cache_clear()
    printed = capsys.readouterr().out
    assert status == pytest.ExitCode.OK, printed
    (passed,) = re.findall(r"(\d+) passed", printed)
    assert int(passed) > 20


def test_every_hook_and_every_kind_is_in_the_guide() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for hook in HOOKS:
        assert f"`{hook}(" in text
    for kind in KINDS:
        assert kind in text


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", GUIDE.read_text(encoding="utf-8")):
        assert (GUIDE.parent / target).exists()
