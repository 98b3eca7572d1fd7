"""``gkd new-plugin``: what it says, and wrong input."""

from pathlib import Path

import pytest
from command_line import Run
from fake_distributions import GOOD, Site


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_it_lists_the_files_and_the_next_steps(run: Run, here: Path) -> None:
    outcome = run("new-plugin", "gkd-fresh", "--kind", "kernel")
    assert (outcome.status, outcome.err) == (0, "")
    listed, _, steps = outcome.out.partition("\nnext:\n")
    assert {here / name for name in listed.split()} == {
        path for path in (here / "gkd-fresh").rglob("*") if path.is_file()
    }
    assert [step.strip() for step in steps.splitlines()] == [
        "cd gkd-fresh", "pip install -e '.[test]'", "pytest", "gkd check gkd-fresh",
    ]  # fmt: skip


def test_the_folder_can_be_chosen(run: Run, here: Path) -> None:
    outcome = run("new-plugin", "gkd-fresh", "--out", "some where")
    assert (here / "some where" / "gkd_fresh.py").is_file()
    assert "    cd 'some where'\n" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Fresh Loss"], "'Fresh Loss' is not a valid plugin name: use lower-case letters, digits "
         "and single dashes, a letter first; try 'fresh-loss'"),
        (["torch"], "the module 'torch' exists already; try 'gkd-torch'"),
        (["gkd-fresh", "--kind", "kernal"], "'kernal'; did you mean 'kernel'?"),
        (["gkd-fresh", "--out", "."], "the folder '.' is in use"),
        (["gkd-lsp2", "--kind", "los"], "did you mean 'loss'?"),
    ],
)  # fmt: skip
def test_wrong_input_exits_with_2_and_leaves_nothing(
    run: Run, here: Path, arguments: list[str], message: str
) -> None:
    (here / "file").write_text("")
    outcome = run("new-plugin", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert message in outcome.err
    assert [path.name for path in here.iterdir()] == ["file"]


def test_a_component_that_exists_is_not_offered_again(site: Site, run: Run, here: Path) -> None:
    site.add("good-plugin", GOOD)
    outcome = run("new-plugin", "gkd-good")
    assert outcome.status == 2
    assert "there is a loss 'good' of good-plugin 1.2 already" in outcome.err
    assert outcome.err.endswith("try 'gkd-my-good'\n")
    assert run("new-plugin", "gkd-good", "--kind", "kernel").status == 0
