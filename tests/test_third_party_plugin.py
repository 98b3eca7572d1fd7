"""``examples/third_party_plugin`` beside gkd in an environment of its own: found, used, checked.

A process of that environment finds it and runs its tests. What takes long there, as torch and
Lightning are imported anew, runs here, by what is installed there.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run
from fake_distributions import Site, importing_from
from fresh_environment import Environment, environment

__all__ = ["environment"]

pytestmark = pytest.mark.usefixtures("quick_latency")

EXAMPLE = Path(__file__).parents[1] / "examples" / "third_party_plugin"
SMALL = (
    "dataset.train_graphs=2",
    "dataset.validation_graphs=1",
    "dataset.test_graphs=1",
    "dataset.nodes=40",
    "dataset.degree=6",
    "teacher.params.hidden_channels=[8, 8]",
    "teacher.training.epochs=1",
    "training.epochs=1",
)


@pytest.fixture(scope="module")
def project(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, installed."""
    folder = tmp_path_factory.mktemp("example") / EXAMPLE.name
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*", "runs"))
    environment.install(folder)
    return folder


@pytest.fixture
def site(environment: Environment, project: Path) -> Iterator[Site]:
    """Where the example is installed."""
    with importing_from(environment.packages) as found:
        yield found


def test_its_plugin_is_found(environment: Environment, project: Path) -> None:
    (row,) = (r for r in environment.json("plugins") if r["distribution"] == "gkd-global")
    assert (row["state"], row["provides"]) == ("active", {"loss": ["gcrd", "gsp"]})
    assert row["import_seconds"] > 0


def test_its_losses_distil_by_a_recipe(run: Run, project: Path) -> None:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    out = project / "runs" / "small"
    outcome = run("run", project / "gcrd.toml", "--out", out, *settings)
    assert outcome.status == 0, outcome.err
    assert "gcrd" in outcome.out
    networks = json.loads((out / "results.json").read_text(encoding="utf-8"))["networks"]
    by_method = {network["method"]: network for network in networks}
    assert set(by_method) == {"teacher", "baseline", "gcrd", "gsp"}
    for method in ("gcrd", "gsp"):
        (epoch,) = by_method[method]["history"]
        assert epoch[f"term/{method}"] > 0
    # What the maps of G-CRD learn is thrown away: the students are of one size.
    assert len({by_method[m]["parameters"] for m in ("baseline", "gcrd", "gsp")}) == 1


def test_it_passes_the_laws_and_its_own_tests(environment: Environment, project: Path) -> None:
    assert environment.passed(project / "tests") > 60


def test_the_check_of_the_installed_plugin_is_green(run: Run) -> None:
    found = run("check", "gkd-global", "--examples", "1", "--json").json
    names = [report["name"] for report in found["reports"]]
    assert found["passed"]
    # By distribution, as gkd has losses of these names, too.
    assert names == [
        "gkd-global:gcrd",
        "gkd-global:gcrd(width=8, head=batch-norm)",
        "gkd-global:gsp",
    ]
