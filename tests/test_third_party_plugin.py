"""``examples/third_party_plugin`` beside gkd in an environment of its own: found, used, checked."""

import json
import shutil
from pathlib import Path

import pytest
from fresh_environment import Environment, environment

__all__ = ["environment"]

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


def test_its_plugin_is_found(environment: Environment, project: Path) -> None:
    (row,) = (r for r in environment.json("plugins") if r["distribution"] == "gkd-global")
    assert (row["state"], row["provides"]) == ("active", {"loss": ["gcrd", "gsp"]})
    assert row["import_seconds"] > 0


def test_its_losses_distil_by_a_recipe(environment: Environment, project: Path) -> None:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    out = project / "runs" / "small"
    gkd = environment.scripts / "gkd"
    printed = environment.run(gkd, "run", project / "gcrd.toml", "--out", out, *settings)
    assert "gcrd" in printed
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


def test_the_check_of_the_installed_plugin_is_green(
    environment: Environment, project: Path
) -> None:
    found = environment.json("check", "gkd-global", "--examples", "1")
    names = [report["name"] for report in found["reports"]]
    assert found["passed"]
    # By distribution, as gkd has losses of these names, too.
    assert names == [
        "gkd-global:gcrd",
        "gkd-global:gcrd(width=8, head=batch-norm)",
        "gkd-global:gsp",
    ]
