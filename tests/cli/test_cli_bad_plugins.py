"""What a user sees of a bad plugin, from the command line, and that all else goes on."""

from pathlib import Path
from textwrap import dedent

import pytest
from command_line import Run
from fake_distributions import GOOD, Site

from gkd.hosting.records import SLOW_IMPORT

HOOK = "from gkd import hookimpl\n"

BAD = {
    "import error": ("import no_such_library", "it needs the module 'no_such_library'"),
    "misspelt hook": (
        HOOK + "@hookimpl\ndef gkd_loses(): return {}",
        "there is no hook 'gkd_loses'; did you mean 'gkd_losses'?",
    ),
    "wrong return type": (
        HOOK + "@hookimpl\ndef gkd_losses(): return [int]",
        "gkd_losses must return a mapping from names to factories, it returned list",
    ),
    "name offered twice": (
        dedent(GOOD) + '@hookimpl(specname="gkd_losses")\ndef more(): return {"good": Zero}\n',
        "gkd_losses: 'good' is offered twice",
    ),
}

pytestmark = pytest.mark.usefixtures("quick_latency")

RECIPE = """\
title = "tiny"
seeds = [0]

[dataset]
name = "communities"
train_graphs = 1
validation_graphs = 1
test_graphs = 1
nodes = 20
degree = 4.0

[teacher]
name = "gat"
params = { hidden_channels = [4], heads = [1, 1] }

[teacher.training]
epochs = 1
batch_size = 1

[student]
name = "gat"
params = { hidden_channels = [4], heads = [1, 1] }

[training]
epochs = 1
batch_size = 1

[[methods]]
name = "distilled"
terms = [{ loss = "LOSS", weight = 1.0, student = "layers.0", teacher = "layers.0" }]
"""


@pytest.fixture(params=BAD.values(), ids=BAD.keys())
def bad(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Source of a bad plugin, and the cause that a user must be told."""
    return request.param


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe that takes a second, whose loss is still to be named."""
    file = tmp_path / "tiny.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


def loss_plugin(body: str) -> str:
    """Source of a plugin that offers the loss ``bad``."""
    return f"""
import torch
from gkd import AbstractLoss, hookimpl

class Bad(AbstractLoss):
    def forward(self, student, teacher):
        {body}

@hookimpl
def gkd_losses():
    return {{"bad": Bad}}
"""


def test_plugins_names_the_plugin_its_version_the_cause_and_the_place(
    site: Site, run: Run, bad: tuple[str, str]
) -> None:
    source, cause = bad
    file = site.add("bad-plugin", source, version="3.4")
    outcome = run("plugins")
    (row,) = [row for row in outcome.rows if row.startswith("bad-plugin")]
    assert row.startswith("bad-plugin 3.4 plug failed ")
    assert cause in row
    assert f"[{file}:" in row
    assert outcome.status == 0


def test_doctor_says_what_to_do(site: Site, run: Run, bad: tuple[str, str]) -> None:
    source, cause = bad
    site.add("bad-plugin", source)
    outcome = run("doctor")
    assert outcome.status == 1
    (at,) = [i for i, row in enumerate(outcome.rows) if row.startswith("problem: bad-plugin 1.2")]
    assert cause in outcome.rows[at]
    assert outcome.rows[at + 1].startswith("update or repair bad-plugin")


def test_every_other_command_works_as_if_it_were_not_there(
    site: Site, run: Run, bad: tuple[str, str], recipe: Path, tmp_path: Path
) -> None:
    commands = (["components", "--json"], ["taps", recipe, "--json"], ["--help"])
    lsp = [
        "run", recipe, "--set", 'methods.distilled.terms.0.loss="lsp"',
        "--out", tmp_path / "run",
    ]  # fmt: skip
    before = [run(*command) for command in commands]
    site.add("bad-plugin", bad[0])
    assert [run(*command) for command in commands] == before
    outcome = run(*lsp)
    assert outcome.status == 0
    assert "distilled" in outcome.out
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_recipe_that_needs_it_is_told_why_it_is_missing(
    site: Site, run: Run, bad: tuple[str, str], recipe: Path, tmp_path: Path
) -> None:
    source, cause = bad
    site.add("bad-plugin", source)
    outcome = run("run", recipe, "--out", tmp_path / "run")
    assert outcome.status == 2
    assert "no loss is called 'LOSS'" in outcome.err
    assert "bad-plugin 1.2 (plugin 'plug')" in outcome.err
    assert cause in outcome.err
    assert "Traceback" not in outcome.err


def test_a_name_that_two_offer_must_be_qualified(
    site: Site, run: Run, recipe: Path, tmp_path: Path
) -> None:
    site.add("one-plugin", GOOD)
    site.add("two-plugin", GOOD, version="2.0")

    def attempt(name: str) -> tuple[int, str]:
        setting = f'methods.distilled.terms.0.loss="{name}"'
        outcome = run("run", recipe, "--set", setting, "--out", tmp_path / "run")
        return outcome.status, outcome.err

    status, error = attempt("good")
    assert status == 2
    assert (
        "loss 'good' is offered by one-plugin 1.2 and two-plugin 2.0; "
        "ask for 'one-plugin:good' or 'two-plugin:good'"
    ) in error
    assert attempt("two-plugin:good")[0] == 0


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("raise ZeroDivisionError('no way')", "raised ZeroDivisionError: no way"),
        (
            "return student.features.sum(1)",
            "the loss gave a float32 tensor of shape [20], not a scalar",
        ),
        ("return 1.0", "the loss gave a float, not a scalar tensor"),
        ("return student.features.sum() / 0", "not finite at epoch 0: term 'bad' is"),
        ("return torch.ones(3) @ torch.ones(2)", "raised RuntimeError: "),
    ],
)
def test_a_loss_that_fails_stops_the_run_before_training(
    site: Site, run: Run, recipe: Path, tmp_path: Path, body: str, cause: str
) -> None:
    file = site.add("bad-plugin", loss_plugin(body))
    setting = 'methods.distilled.terms.0.loss="bad"'
    outcome = run("run", recipe, "--set", setting, "--out", tmp_path / "run")
    assert outcome.status == 2
    assert cause in outcome.err
    assert "methods" in outcome.err
    assert "Traceback" not in outcome.err
    if "raised" in cause:
        assert f"[{file}:7]" in outcome.err
    assert not (tmp_path / "run").exists()


def test_a_factory_that_makes_something_else_stops_the_run(
    site: Site, run: Run, recipe: Path, tmp_path: Path
) -> None:
    file = site.add("bad-plugin", HOOK + "@hookimpl\ndef gkd_losses(): return {'bad': dict}")
    setting = 'methods.distilled.terms.0.loss="bad"'
    outcome = run("run", recipe, "--set", setting, "--out", tmp_path / "run")
    assert outcome.status == 2
    assert "loss 'bad' of bad-plugin 1.2 must be AbstractLoss, but its factory made dict" in (
        outcome.err
    )
    assert file.exists()


def test_check_shows_where_a_loss_raises(site: Site, run: Run) -> None:
    file = site.add("bad-plugin", loss_plugin("raise ZeroDivisionError('no way')"))
    outcome = run("check", "bad-plugin", "--examples", 1)
    assert outcome.status == 1
    assert f"finite-and-scalar: failed: ZeroDivisionError: no way [{file}:7]" in outcome.out


def test_a_slow_import_is_seen(site: Site, run: Run) -> None:
    slow = f"import time\ntime.sleep({SLOW_IMPORT})\n" + dedent(GOOD)
    site.add("slow-plugin", slow, version="3.4")
    (row,) = [row for row in run("plugins").rows if row.startswith("slow-plugin")]
    assert row.startswith("slow-plugin 3.4 plug active ")
    assert row.endswith(" s (slow) loss: good")


def test_doctor_says_which_plugin_wants_another_gkd(site: Site, run: Run) -> None:
    (site.folder / "good_plugin.py").write_text(dedent(GOOD), encoding="utf-8")
    wanted = ["torch", "gkd>=99", "gkd<0; extra == 'old'", "gkd[testing]"]
    site.declare("good-plugin", {"plug": "good_plugin"}, requires=wanted)
    outcome = run("doctor")
    assert outcome.status == 1
    assert outcome.out.count("good-plugin requires") == 1
    assert "problem: good-plugin requires gkd>=99; " in outcome.out
    assert "pip install --upgrade gkd good-plugin" in outcome.out


def test_doctor_hints_at_a_slow_import_and_how_to_find_its_cause(site: Site, run: Run) -> None:
    slow = f"import time\ntime.sleep({SLOW_IMPORT})\n" + dedent(GOOD)
    site.add("slow-plugin", slow, version="3.4")
    outcome = run("doctor", "--json")
    assert outcome.status == 0
    (hint,) = [h for h in outcome.json["hints"] if "slow-plugin" in h["finding"]]
    assert hint["finding"].startswith("importing slow-plugin 3.4 (plugin 'plug') takes 1.")
    assert hint["finding"].endswith(" s, in every command")
    assert "-X importtime -c 'import slow_plugin'" in hint["action"]


def test_a_component_that_cannot_be_imported_hides_no_other(site: Site, run: Run) -> None:
    source = """
        from gkd import hookimpl

        @hookimpl
        def gkd_losses():
            return {"late": "no_such_module:Late"}
    """
    before = run("components", "loss", "--json").json
    site.add("late-plugin", source)
    rows = run("components", "loss", "--json").json
    (late,) = [row for row in rows if row not in before]
    assert late["signature"] == "cannot be imported; see gkd doctor"
    assert "No module named 'no_such_module'" in late["summary"]
    outcome = run("doctor", "--json")
    assert outcome.status == 1
    (problem,) = [p for p in outcome.json["problems"] if "late-plugin" in p["finding"]]
    assert "importing no_such_module:Late raised ModuleNotFoundError" in problem["finding"]
    assert problem["action"].endswith("or run: pip uninstall late-plugin")
