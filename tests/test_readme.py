"""The README's code runs as printed."""

import re
import tomllib
from pathlib import Path

import pytest

import gkd
from gkd.testing import check_loss

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def _blocks(language: str) -> list[str]:
    return [text for tag, text in BLOCKS if tag == language]


def test_the_readme_shows_a_loop_a_plugin_and_its_entry_point() -> None:
    assert [tag for tag, _ in BLOCKS] == ["python", "python", "toml"]


def test_the_loop_trains_a_student(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(compile(_blocks("python")[0], "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "'lsp'" in printed
    assert "'kd'" in printed


def test_the_plugin_provides_its_loss() -> None:
    plugin = type("gkd_brier", (), {})()
    names: dict[str, object] = {"__name__": "gkd_brier"}
    exec(compile(_blocks("python")[1], "README.md", "exec"), names)
    plugin.gkd_losses = names["gkd_losses"]
    check_loss(plugin.gkd_losses()["brier"])
    host = gkd.create_host(discover=False)
    host.register(plugin, distribution="gkd-brier", name="brier")
    assert host.names("loss") == ["brier"]
    assert "gkd" in tomllib.loads(_blocks("toml")[0])["project"]["entry-points"]


def test_links_are_absolute_and_lead_somewhere() -> None:
    root = README.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = f"{project['urls']['Repository']}/blob/main/"
    text = README.read_text(encoding="utf-8")
    defined = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE))
    body = text[: text.index(f"\n[{next(iter(defined))}]: ")]
    assert not [name for name in defined if f"[{name}]" not in body]
    assert set(re.findall(r"\[((?:docs|results|examples)/[^\]]*)\](?!\[)", body)) <= defined.keys()
    links = [*defined.values(), *re.findall(r"\]\(([^)]+)\)", text)]
    assert len(links) > 10
    assert not [link for link in links if "://" not in link]  # as package indexes show it
    own = [link.removeprefix(repository) for link in links if link.startswith(repository)]
    assert not [path for path in own if not (root / path).exists()]
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {gkd.__version__}\n" in citation
    assert project["urls"]["Repository"] in citation
