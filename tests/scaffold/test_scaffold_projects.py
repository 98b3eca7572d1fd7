"""A generated project of every kind installs and passes its own tests, as it is."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import Run
from fake_distributions import Site, importing_from
from fresh_environment import Environment, environment

from gkd import testing
from gkd.hosting.kinds import KINDS
from gkd.scaffold import new_project

__all__ = ["environment"]


@pytest.fixture(scope="module")
def projects(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Mapping:
    """A project of each kind, installed, by the name of the kind."""
    root = tmp_path_factory.mktemp("projects")
    folders = {kind: root / f"gkd-fresh-{kind}" for kind in KINDS}
    for kind, folder in folders.items():
        new_project(folder.name, kind, folder)
    environment.install(*folders.values())
    return folders


@pytest.fixture
def site(environment: Environment, projects: Mapping[str, Path]) -> Iterator[Site]:
    """Where the projects are installed."""
    with importing_from(environment.packages) as found:
        yield found


def test_they_pass_their_own_tests(environment: Environment, projects: Mapping[str, Path]) -> None:
    results = environment.folder / "results.xml"
    folders = [folder / "tests" for folder in projects.values()]
    environment.passed(f"--junitxml={results}", *folders)
    ran = Counter(
        case.attrib["classname"].rpartition(".")[2]
        for case in ElementTree.parse(results).iter("testcase")
    )
    for kind in projects:
        # Every law is a test, and there are tests of what the component promises beyond.
        assert ran[f"test_gkd_fresh_{kind}"] >= len(testing.laws(kind)) + 4


def test_they_are_found_once_installed(run: Run, projects: Mapping[str, Path]) -> None:
    rows = run("components", "--json").json
    found = {(row["kind"], row["qualified"]): row for row in rows}
    for kind, folder in projects.items():
        row = found[kind, f"{folder.name}:fresh-{kind}"]
        assert row["version"] == "0.1.0"
        assert row["summary"].endswith(".")
