"""``gkd components``, ``gkd plugins``, ``gkd doctor``, ``gkd --version``, and wrong input."""

import re
import sys
from textwrap import dedent
from typing import Any

import pytest
from command_line import Outcome, Run, in_process
from fake_distributions import GOOD, Site

import gkd
from gkd.cli import main
from gkd.commands import doctor, listing


def test_the_version(run: Run) -> None:
    assert run("--version") == Outcome(0, f"gkd {gkd.__version__}\n", "")


def test_help_lists_the_commands(run: Run) -> None:
    outcome = run("--help")
    assert outcome.status == 0
    assert {"components", "plugins", "doctor"} <= set(outcome.out.split())


@pytest.mark.parametrize("command", ["components", "plugins", "doctor"])
def test_every_listing_explains_itself(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.status == 0
    assert "--json" in outcome.out


@pytest.mark.parametrize(
    ("command", "words"),
    [(("component",), "components"), (("plugins", "--jsn"), "--json"), (("doctor", "x"), "x")],
)
def test_a_mistyped_command_exits_with_2(run: Run, command: tuple[str, ...], words: str) -> None:
    outcome = run(*command)
    assert (outcome.status, outcome.out) == (2, "")
    assert words in outcome.err


def test_components_shows_names_and_parameters(site: Site, run: Run) -> None:
    site.add("good-plugin", GOOD)
    outcome = run("components", "loss")
    assert (outcome.status, outcome.err) == (0, "")
    heading, *rows = (line.split() for line in outcome.out.splitlines())
    assert heading == ["Name", "Paper", "Needs", "Outputs", "Memory", "Distribution", "Parameters"]
    assert ["good", "features,", "graph", "any", "bounded", "good-plugin", "()"] in rows


def test_components_shows_what_losses_declare(run: Run) -> None:
    (dkd,) = (line for line in run("components", "loss").out.splitlines() if line[:4] == "dkd ")
    assert re.split(r"\s{2,}", dkd)[:5] == [
        "dkd", "Zhao et al., CVPR 2022", "logits, step", "single-label", "bounded"
    ]  # fmt: skip
    rows = {row["name"]: row for row in run("components", "loss", "--json").json}
    assert rows["fitnet"]["declares"]["needs"] == ["features", "learned"]
    assert rows["mskd"]["declares"]["needs"] == ["features", "graph", "logits", "teachers", "step"]
    assert rows["kd"]["declares"]["likelihoods"] == ["softmax", "sigmoid", "gaussian"]
    assert rows["kd"]["declares"]["paper"]["year"] == 2015


def test_losses_are_made_only_where_what_they_declare_is_shown(run: Run, monkeypatch: Any) -> None:
    made: list[str] = []
    declarations = listing.loss_declarations
    monkeypatch.setattr(
        listing, "loss_declarations", lambda loss: (made.append(loss), declarations(loss))[1]
    )
    assert run("components").status == run("components", "graph").status == 0
    assert not made
    run("components", "loss")
    assert made


def test_losses_are_shown_without_the_packages_of_tests(run: Run, monkeypatch: Any) -> None:
    for name in [name for name in sys.modules if name.startswith("gkd.testing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    outcome = run("components", "loss", "--json")
    assert outcome.status == 0, outcome.err
    assert all(row["declares"] for row in outcome.json if row["name"] in ("lsp", "kd"))


def test_components_as_json(site: Site, run: Run) -> None:
    file = site.add("good-plugin", GOOD)
    rows = run("components", "--json").json
    assert {row["kind"] for row in rows} == {kind for kind in doctor.KINDS if gkd.names(kind)}
    (row,) = (row for row in rows if row["distribution"] == "good-plugin")
    assert row == {
        "kind": "loss",
        "name": "good",
        "qualified": "good-plugin:good",
        "distribution": "good-plugin",
        "version": "1.2",
        "plugin": "plug",
        "signature": "()",
        "summary": "",
        "file": str(file),
        "declares": {
            "needs": ["features", "graph"],
            "likelihoods": [],
            "bounded_memory": True,
            "parity": [],
            "paper": None,
        },
    }


RANGES = """
from typing import Annotated, Literal

import gkd
from pydantic import Field, PositiveInt


@gkd.hookimpl
def gkd_models():
    return {"ranged": ranged}


def ranged(
    k: PositiveInt = 20,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    sigma: Annotated[float, Field(gt=0)] | Literal["median"] = "median",
): ...
"""


def test_components_shows_the_ranges_of_parameters(site: Site, run: Run) -> None:
    site.add("ranged-plugin", RANGES)
    expected = (
        "(k: int > 0 = 20, dropout: 0 <= float < 1 = 0.5, sigma: float > 0 | 'median' = 'median')"
    )
    assert f"model ranged ranged-plugin {expected}" in run("components").rows
    (row,) = (row for row in run("components", "--json").json if row["name"] == "ranged")
    assert row["signature"] == expected


def test_a_name_that_two_offer_is_listed_twice_qualified(site: Site, run: Run) -> None:
    site.add("first-plugin", GOOD)
    site.add("second-plugin", GOOD)
    names = [row["name"] for row in run("components", "loss", "--json").json]
    assert {"first-plugin:good", "second-plugin:good"} <= set(names)
    assert "good" not in names


def test_an_unknown_kind_exits_with_2(run: Run) -> None:
    outcome = run("components", "los")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "error: no kind of component is called 'los'; did you mean 'loss'? "
        f"Available: {', '.join(sorted(doctor.KINDS))}\n"
    )


def test_no_component_at_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GKD_PLUGINS", "")
    assert "No plugin provides a model" in run("components", "model").out
    assert run("components", "--json").json == []


def test_components_warns_of_a_broken_plugin(site: Site, run: Run, caplog: Any) -> None:
    file = site.add("bad-plugin", "raise RuntimeError('no way')")
    assert run("components").status == 0
    (message,) = caplog.messages
    assert message == (
        "skipped a plugin that cannot be used: bad-plugin 1.2 (plugin 'plug'): "
        f"RuntimeError: no way [{file}:1]"
    )


def test_plugins_shows_state_and_cause(site: Site, run: Run, caplog: Any) -> None:
    site.add("good-plugin", GOOD)
    file = site.add("bad-plugin", "raise RuntimeError('no way')")
    outcome = run("plugins")
    rows = [re.sub(r"\d+\.\d\d s", "T", row) for row in outcome.rows]
    assert "good-plugin 1.2 plug active T loss: good" in rows
    assert f"bad-plugin 1.2 plug failed T RuntimeError: no way [{file}:1]" in rows
    assert (outcome.status, caplog.messages) == (0, [])


def test_plugins_as_json(site: Site, run: Run) -> None:
    file = site.add("bad-plugin", "raise RuntimeError('no way')")
    (row,) = (r for r in run("plugins", "--json").json if r["distribution"] == "bad-plugin")
    assert row.pop("import_seconds") > 0
    assert row == {
        "distribution": "bad-plugin",
        "version": "1.2",
        "name": "plug",
        "entry_point": "bad_plugin",
        "state": "failed",
        "provides": {},
        "observes": False,
        "problems": [{"cause": "RuntimeError: no way", "file": str(file), "line": 1}],
    }


def test_strictness_makes_a_broken_plugin_an_error(
    site: Site, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("bad-plugin", "raise RuntimeError('no way')")
    monkeypatch.setenv("GKD_STRICT_PLUGINS", "1")
    for command in ("plugins", "components"):
        outcome = run(command)
        assert (outcome.status, outcome.out) == (2, "")
        assert "bad-plugin 1.2 (plugin 'plug'): RuntimeError: no way" in outcome.err


def test_doctor_is_content_with_a_sound_installation(run: Run) -> None:
    found = run("doctor", "--json")
    assert (found.status, found.json["healthy"], found.json["problems"]) == (0, True, [])
    assert found.json["versions"]["gkd"] == gkd.__version__
    for name in ("torch", "lightning", "torchmetrics", "pluggy", "python"):
        assert found.json["versions"][name]
    assert found.json["devices"][0] == "cpu"
    assert found.json["threads"] > 0
    assert isinstance(found.json["sparse_products"]["cpu"], bool)
    assert {plugin["state"] for plugin in found.json["plugins"]} == {"active"}


def test_doctor_in_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GKD_STRICT_PLUGINS", "0")
    lines = [" ".join(line.split()) for line in run("doctor").out.splitlines()]
    assert f"gkd {gkd.__version__}" in lines
    assert "GKD_STRICT_PLUGINS 0" in lines
    assert lines[-1] == "healthy"


def test_doctor_exits_with_1_and_advice_when_a_plugin_is_broken(
    site: Site, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("bad-plugin", "import no_such_library")
    monkeypatch.setenv("GKD_STRICT_PLUGINS", "1")
    outcome = run("doctor")
    assert outcome.status == 1
    assert "problem: bad-plugin 1.2 (plugin 'plug'): it needs the module" in outcome.out
    assert "pip uninstall bad-plugin" in outcome.out
    assert "healthy" not in outcome.out


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GKD_PLUGINS", "nobody", "GKD_PLUGINS names 'nobody'"),
        ("GKD_STRICT_PLUGINS", "x", "0 or 1"),
    ],
)
def test_doctor_reports_wrong_variables(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    outcome = run("doctor", "--json")
    assert outcome.status == 1
    (problem,) = outcome.json["problems"]
    assert words in problem["finding"]


def test_doctor_hints_at_a_mistyped_variable_and_a_shared_name(
    site: Site, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKD_PLUGIN", "gkd")
    site.add("first-plugin", GOOD)
    site.add("second-plugin", GOOD)
    outcome = run("doctor", "--json")
    findings = " ".join(hint["finding"] + hint["action"] for hint in outcome.json["hints"])
    assert outcome.status == 0
    for words in ("GKD_PLUGIN is set", "did you mean 'GKD_PLUGINS'", "ask for 'first-plugin:good'"):
        assert words in findings


def test_doctor_finds_missing_and_broken_libraries(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "REQUIRED", (*doctor.REQUIRED, "no-such-library"))
    # An installed distribution and a module that is not: like a build that lost its library.
    monkeypatch.setattr(doctor, "OPTIONAL", {"pytest": "no_such_module"})
    monkeypatch.setattr(doctor, "has_sparse_products", lambda device: False)
    found = run("doctor", "--json").json
    first, second = found["problems"]
    assert first["finding"] == "no-such-library is not installed"
    assert second["finding"].startswith("pytest is installed but does not import: ModuleNotFound")
    assert found["hints"][0]["finding"] == "this build of torch has no sparse products on cpu"


def test_a_process_of_its_own_prints_clean_json(site: Site) -> None:
    site.add("good-plugin", "print('hello from a plugin')\n" + GOOD)
    site.add("bad-plugin", "import sys\nprint('dying')\nsys.exit('bye')")
    outcome = in_process(site, "-m", "gkd", "plugins", "--json")
    states = {row["distribution"]: row["state"] for row in outcome.json}
    assert (states["good-plugin"], states["bad-plugin"]) == ("active", "failed")
    assert "hello from a plugin" in outcome.err


def test_a_list_of_plugins_loads_torch_only_beside_those_of_others(site: Site) -> None:
    program = """
        import sys
        from gkd.commands import listing
        listing.show_plugins(as_json=False)
        sys.exit("torch" in sys.modules)
    """
    assert in_process(site, "-c", dedent(program)).status == 0
    # They mostly need it, which gkd does, too: that is no time of theirs.
    site.add("good-plugin", GOOD)
    assert in_process(site, "-c", dedent(program)).status == 1


def test_a_process_of_its_own_tells_why_a_component_is_missing(site: Site) -> None:
    file = site.add("bad-plugin", "import no_such_library", version="3.4")
    program = "import gkd; gkd.create('loss', 'wanted')"
    outcome = in_process(site, "-W", "error", "-c", program)
    assert outcome.status == 1
    assert "UnknownNameError: no loss is called 'wanted'" in outcome.err
    assert "bad-plugin 3.4 (plugin 'plug'): it needs the module 'no_such_library'" in outcome.err
    assert f"[{file}:1]" in outcome.err


def test_a_mistake_shows_what_was_being_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        error = gkd.ParameterError("slope must be positive")
        error.add_note("while creating model 'steep' of mine 1.0")
        raise error

    monkeypatch.setattr(listing, "show_plugins", fail)
    words = "error: slope must be positive\nwhile creating model 'steep' of mine 1.0\n"
    assert run("plugins") == Outcome(2, "", words)


def test_an_interruption_exits_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "show_plugins", interrupt)
    assert run("plugins").status == 130


def test_a_fault_of_ours_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(listing, "show_plugins", fail)
    with pytest.raises(ZeroDivisionError):
        main(["plugins"])


def test_a_name_does_not_steer_the_terminal(run: Run, site: Site) -> None:
    outcome = run("components", "loss\x1b[2J")
    assert outcome.status == 2
    assert "\x1b[2J" not in outcome.err
    assert r"loss\x1b[2J" in outcome.err
    site.add("bad-plugin", 'raise ValueError("\\x1b[2J")')
    for command in ("plugins", "doctor"):
        told = run(command)
        assert "bad" in told.out
        assert "\x1b[2J" not in told.out + told.err
