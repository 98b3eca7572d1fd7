"""Checksums of the code of components, and what is said of files that have changed."""

from pathlib import Path
from textwrap import dedent

import pytest
from fake_distributions import GOOD, LOSS, Site

import gkd
from gkd.hosting.host import create_host
from gkd.training.code_checksums import changed_code, code_checksums

PACKAGE = """
    from gkd import hookimpl

    @hookimpl
    def gkd_losses():
        return {"late": "my_plugin.losses:Zero"}
"""


def written(site: Site) -> Path:
    folder = site.folder / "my_plugin"
    folder.mkdir()
    (folder / "__init__.py").write_text(dedent(PACKAGE))
    (folder / "losses.py").write_text(dedent(LOSS))
    (folder / "losses.c").write_text("int a;")
    (folder / "unused.py").write_text("")
    site.declare("my-plugin", {"plug": "my_plugin"})
    return folder


def test_files_of_the_packages_of_components_count_where_they_are_imported(site: Site) -> None:
    folder = written(site)
    site.add("other", GOOD)
    host = site.host()
    assert code_checksums(host.made, None).keys() == {"gkd"}
    host.create("loss", "late")
    host.create("loss", "lsp")
    found = code_checksums(host.made, None)
    files = {"my_plugin/__init__.py", "my_plugin/losses.py", "my_plugin/losses.c"}
    assert found.keys() == {"gkd", "my-plugin"}
    assert found["my-plugin"].keys() == files
    assert {"gkd/__init__.py", "gkd/hosting/host.py", "gkd_lsp/lsp.py"} <= found["gkd"].keys()
    assert changed_code(found, code_checksums(host.made, None)) == []
    (folder / "losses.c").write_text("int b;")
    (folder / "unused.py").write_text("1")
    assert changed_code(found, code_checksums(host.made, None)) == [
        "my-plugin (my_plugin/losses.c)"
    ]
    (folder / "losses.py").unlink()
    assert "my_plugin/losses.py" not in code_checksums(host.made, None)["my-plugin"]


def test_modules_of_ones_own_have_a_list_of_their_own(
    site: Site,
    tmp_path: Path,
) -> None:
    (site.folder / "own_losses.py").write_text(dedent(LOSS))
    host = create_host()
    host.create("loss", "own_losses:Zero")
    assert code_checksums(host.made, None)["own_losses"].keys() == {"own_losses.py"}
    assert "own_losses" in code_checksums(host.made, tmp_path)
    assert "own_losses" not in code_checksums(host.made, site.folder)


def test_every_kind_of_component_is_known_once_it_was_made() -> None:
    host = create_host()
    with host.activated():
        gkd.create("loss", "lsp", kernel="poly")
        gkd.create("loss", "lsp", kernel="poly")
    assert [(one.kind, one.name) for one in host.made] == [("kernel", "poly"), ("loss", "lsp")]


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ({}, []),
        ({"a": 3, "b": {"b/x.py": "0"}}, []),
        ({"a": {"a/1.py": "1", "gone.py": "0"}}, []),
        ({"a": {"a/1.py": "0"}}, ["a (a/1.py)"]),
        ({"a": {f"a/{n}.py": "0" for n in range(1, 6)}}, ["a (a/1.py, a/2.py, a/3.py and 2 more)"]),
    ],
)
def test_what_changed_is_named(then: dict, words: list[str]) -> None:
    now = {"a": {f"a/{n}.py": str(n) for n in range(1, 6)}}
    assert changed_code(then, now) == words
