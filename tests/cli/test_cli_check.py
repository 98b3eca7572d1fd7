"""``gkd check``: tables, JSON, exit status, and wrong input."""

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from command_line import Run
from fake_distributions import Site

from gkd import testing

KERNELS = """
    from gkd import AbstractKernel, hookimpl

    class Sound(AbstractKernel):
        def similarity(self, pairs):
            return -pairs.squared_distance()

    class Lopsided(AbstractKernel):
        def similarity(self, pairs):
            return pairs.compared(lambda target, source: target[:, 0] - source[:, 0])

    class Needy(AbstractKernel):
        def __init__(self, sigma: float):
            self.sigma = sigma

        def similarity(self, pairs):
            return pairs.dot() / self.sigma

    class Fragile(AbstractKernel):
        def __init__(self):
            raise OSError("disk gone")

        def similarity(self, pairs): ...
"""
OFFER = """
    @hookimpl
    def gkd_kernels():
        return {"sound": Sound, "lopsided": Lopsided}
"""
LAWS = [law.name for law in testing.laws("kernel")]
QUICK = ("--examples", 5)


@pytest.fixture
def kernels(site: Site) -> Site:
    """A plugin of a kernel that keeps the laws, and one that is not symmetric."""
    site.add("my-kernels", KERNELS + OFFER)
    return site


def test_a_table_shows_every_law_with_its_time(
    kernels: Site, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    outcome = run("check", "kernel:sound", *QUICK)
    assert outcome.status == 0
    assert list(Path().iterdir()) == []
    counted = re.findall(r"(\d+) (passed|not-applicable)", outcome.rows[0])
    assert outcome.rows[0].startswith("kernel:sound: ")
    assert sum(int(count) for count, _ in counted) == len(LAWS)
    laws = {row.split()[0]: row.split()[1:] for row in outcome.rows[3:] if row}
    assert list(laws) == LAWS
    for words in laws.values():
        assert words[0] in {"passed", "not-applicable"}
        assert words[2] == "s"
        assert float(words[1]) >= 0


def test_a_law_that_fails_shows_why_and_the_smallest_example(kernels: Site, run: Run) -> None:
    outcome = run("check", "kernel:lopsided", *QUICK)
    assert outcome.status == 1
    assert any(row.startswith("symmetric failed ") for row in outcome.rows)
    _, _, failure = outcome.out.partition("\nsymmetric: failed: ")
    (reason,) = [law.reason for law in testing.laws("kernel") if law.name == "symmetric"]
    assert reason in failure
    assert "smallest example:" in failure
    assert ", 2 edges: " in failure  # the one pair that tells


def test_what_was_not_tried_is_one_row(run: Run, site: Site) -> None:
    wrong = KERNELS.replace("-pairs.squared_distance()", "pairs.features")
    site.add("my-kernels", wrong + OFFER)
    outcome = run("check", "kernel:sound", *QUICK)
    assert outcome.status == 1
    assert outcome.rows[0].startswith(f"kernel:sound: 1 failed, {len(LAWS) - 1} not-tried (")
    row = f"{len(LAWS) - 1} others not-tried finite-and-one-per-edge fails"
    assert row in [" ".join(row.split()) for row in outcome.rows]


def test_a_plugin_is_checked_whole(kernels: Site, run: Run) -> None:
    found = run("check", "my-kernels", *QUICK, "--json")
    assert found.status == 1
    assert found.json["passed"] is False
    reports = {report["name"]: report for report in found.json["reports"]}
    assert (reports["sound"]["passed"], reports["lopsided"]["passed"]) == (True, False)
    for report in reports.values():
        assert [result["law"] for result in report["results"]] == LAWS
    (failed,) = [r for r in reports["lopsided"]["results"] if r["outcome"] == "failed"]
    assert failed["law"] == "symmetric"
    assert "values differ" in failed["message"]
    assert "2 edges" in failed["example"]


@pytest.mark.parametrize("name", ["sound", "my-kernels:sound", "kernel:my-kernels:sound"])
def test_a_component_goes_by_its_other_names_too(kernels: Site, name: str) -> None:
    with kernels.host().activated():
        (subject,) = testing.selected(name)
    assert (subject.kind, subject.factory.__name__) == ("kernel", "Sound")


def test_a_name_that_another_plugin_has_is_said(kernels: Site, run: Run) -> None:
    kernels.add("other-kernels", KERNELS + OFFER)
    outcome = run("check", "my-kernels:sound", *QUICK)
    assert outcome.status == 0
    words = "other-kernels 1.2 offers kernel 'sound', too: with both installed that name is refused"
    assert f"{words}, and recipes say 'my-kernels:sound'; choose another name" in outcome.rows
    notes = run("check", "my-kernels:sound", "--json", *QUICK).json["notes"]
    assert list(notes) == ["kernel:my-kernels:sound"]


def test_an_expected_failure_is_no_failure_but_must_fail(kernels: Site, run: Run) -> None:
    expecting = ("--expect", "symmetric=it is meant to be directed")
    outcome = run("check", "kernel:lopsided", *QUICK, *expecting)
    assert outcome.status == 0
    assert any(
        row.startswith("symmetric expected-failure ") and row.endswith("meant to be directed")
        for row in outcome.rows
    )
    outcome = run("check", "kernel:sound", *QUICK, *expecting)
    assert outcome.status == 1
    assert "symmetric: unexpected-pass" in outcome.out


def test_an_object_need_not_be_installed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loose_kernels.py").write_text(dedent(KERNELS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "loose_kernels", raising=False)
    found = run("check", "loose_kernels:Sound", *QUICK, "--json")
    assert (found.status, found.json["reports"][0]["name"]) == (0, "sound")
    outcome = run("check", "loose_kernels:Soud")
    assert outcome.status == 2
    assert "loose_kernels has no 'Soud'; did you mean 'Sound'?" in outcome.err
    outcome = run("check", "loose_kernels:Fragile")
    assert outcome.status == 2
    place = f"[{tmp_path / 'loose_kernels.py'}:"
    assert f"kernel:fragile cannot be created: OSError: disk gone {place}" in outcome.err
    outcome = run("check", "loose_kernels:Needy")
    assert outcome.status == 2
    assert "missing parameter 'sigma'" in outcome.err
    assert "give them, as in 'kernel:needy {sigma = VALUE}', or list some in" in outcome.err


def test_an_object_may_be_of_a_module_that_is_called_as_its_distribution(
    kernels: Site, run: Run
) -> None:
    kernels.declare("other-name", {"plug": "my_kernels"})
    found = run("check", "my_kernels:Sound", *QUICK, "--json")
    assert (found.status, found.json["reports"][0]["name"]) == (0, "sound")
    found = run("check", "my_kernels:sound", *QUICK, "--json")
    assert (found.status, found.json["reports"][0]["name"]) == (0, "sound")
    assert "my_kernels has no 'Soud'; did you mean 'Sound'?" in run("check", "my_kernels:Soud").err
    assert "installed is called 'other_name:Soud'" in run("check", "other_name:Soud").err


def test_the_components_of_a_plugin_are_summed_up(site: Site, run: Run) -> None:
    offer = OFFER.replace('"sound": Sound', '"other": Lopsided')
    site.add("my-kernels", KERNELS + offer)
    outcome = run("check", "my-kernels", "--kind", "kernel", *QUICK)
    assert outcome.status == 1
    assert outcome.rows[-1] == "2 components checked; failed: kernel:lopsided, kernel:other"


def test_components_that_cannot_be_made_do_not_stop_the_others(
    kernels: Site, site: Site, run: Run
) -> None:
    offer = OFFER.replace('"lopsided": Lopsided', '"needy": Needy, "fragile": Fragile')
    site.add("my-others", KERNELS + offer.replace('"sound"', '"other"'))
    outcome = run("check", "my-others", *QUICK)
    assert outcome.status == 2
    assert any(row.startswith("kernel:other: ") for row in outcome.rows)
    assert "kernel:needy: not checked: kernel 'needy': missing parameter 'sigma'" in outcome.out
    assert "kernel:fragile: not checked: kernel:fragile cannot be created: OSError" in outcome.out
    assert outcome.rows[-1] == "1 components checked; failed: none"
    assert outcome.err == (
        "error: 2 of 3 components could not be made, and were not checked: kernel:fragile, "
        "kernel:needy\n"
    )
    found = run("check", "my-others", *QUICK, "--json")
    assert (found.status, found.json["passed"]) == (2, False)
    assert [report["name"] for report in found.json["reports"]] == ["other"]
    assert set(found.json["not_checked"]) == {"kernel:needy", "kernel:fragile"}


def test_a_data_set_is_looked_for_in_the_folder_of_real_data(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GKD_DATA", raising=False)
    outcome = run("check", "dataset:ppi")
    assert outcome.status == 2
    assert "as in 'dataset:ppi {root = VALUE}', or set GKD_DATA to the folder" in outcome.err
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("GKD_DATA", str(data))
    outcome = run("check", "dataset:ppi")
    assert f"there is no PPI at {data / 'ppi.zip'}" in outcome.err
    assert list(data.iterdir()) == []  # nothing is downloaded


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["kernel:rfb"], "no kernel is called 'rfb'; did you mean 'rbf'?"),
        (["my-kernel"], "no plugin or component that is installed is called 'my-kernel'"),
        (["lsp", "--kind", "krnel"], "no kind of component is called 'krnel'"),
        (["lsp", "--kind", "model"], "'lsp' provides no model"),
        (["no_such_module:Loss"], "there is no module 'no_such_module'; modules are looked for"),
        (["trch.nn:Linear"], "there is no module 'trch'; did you mean 'torch'?"),
        (["torch.nnn:Linear"], "there is no module 'torch.nnn'; did you mean 'torch.nn'?"),
        (["math.pi:Linear"], "there is no module 'math.pi'; modules are looked for"),
        (["torch.nn:Linear"], "cannot infer the kind of torch.nn:Linear; add --kind"),
        (["torch:pi", "--kind", "loss"], "a loss is checked by its class"),
        (["kernel:rbf", "--expect", "symmetric"], "given as LAW=REASON, got 'symmetric'"),
        (["kernel:rbf", "--expect", "symetric=so"], "did you mean 'symmetric'?"),
        (["kernel:rbf {sigma = }"], "are not TOML"),
        (["kernel:rbf {sigma = -1.0}"], "sigma"),
    ],
)
def test_wrong_input_exits_with_2(run: Run, arguments: list[str], message: str) -> None:
    outcome = run("check", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert message in outcome.err


def test_a_plugin_that_cannot_be_used_tells_why(
    site: Site, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad_plugin.py").write_text("")  # in the folder of its project, as its author is
    file = site.add("bad-plugin", "import no_such_library")
    outcome = run("check", "bad-plugin")
    assert outcome.status == 2
    assert f"it needs the module 'no_such_library', which is not installed [{file}:1]" in (
        outcome.err
    )
    assert "is not installed; bad_plugin.py is here" not in outcome.err


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_without_the_libraries_of_the_kit_it_says_how_to_install_them(
    run: Run, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    outcome = run("check", "loss:lsp")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        f"error: gkd check needs pytest and hypothesis, and {missing} is not installed; "
        "run: pip install 'gkd[testing]'\n"
    )


@pytest.mark.parametrize("target", ["my_loss.py", "my_loss", "my-loss"])
def test_a_module_that_is_not_installed_is_no_plugin(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_loss.py").write_text("")
    outcome = run("check", target)
    assert (outcome.status, outcome.out) == (2, "")
    assert f"{target!r} is not installed; my_loss.py is here: name an object" in outcome.err
    assert "my_loss:CLASS" in outcome.err


def test_a_kind_is_no_component(run: Run) -> None:
    outcome = run("check", "loss")
    assert (outcome.status, outcome.out) == (2, "")
    assert "it is a kind: name a component, loss:NAME, or a plugin with --kind loss" in outcome.err


@pytest.mark.parametrize("kind", ["", "kernel:"])
def test_a_class_that_is_not_offered_has_its_kind_and_parameters_beside_it(
    kernels: Site, run: Run, kind: str
) -> None:
    outcome = run("check", f"{kind}my_kernels:Needy {{sigma = 2}}", *QUICK)
    assert outcome.status == 0
    assert "kernel:needy(sigma=2)" in outcome.out


def test_a_class_that_is_not_offered_is_checked_with_each_of_its_examples(
    site: Site, run: Run
) -> None:
    examples = "Needy.example_parameters = ({'sigma': 1.0}, {'sigma': 3.0})"
    site.add("my-kernels", f"{dedent(KERNELS)}{examples}")
    outcome = run("check", "my_kernels:Needy", *QUICK)
    assert "kernel:needy(sigma=1.0)" in outcome.out
    assert "kernel:needy(sigma=3.0)" in outcome.out


def test_a_name_too_long_for_a_file_is_unknown(run: Run) -> None:
    outcome = run("check", "a" * 300)
    assert (outcome.status, outcome.out) == (2, "")
    assert "File name too long" not in outcome.err


def test_a_project_that_is_not_installed_is_no_plugin(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("new-plugin", "gkd-soft").status == 0
    outcome = run("check", "gkd-soft")
    assert (outcome.status, outcome.out) == (2, "")
    assert "its project is in the folder gkd-soft: pip install -e gkd-soft" in outcome.err
