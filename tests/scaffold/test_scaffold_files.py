"""What a generated project consists of, and the folders that are left alone."""

import ast
import tomllib
from pathlib import Path

import pytest

import gkd
from gkd import ParameterError, UnknownNameError
from gkd.hosting.kinds import KINDS
from gkd.scaffold import new_project


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_four_files_without_a_trace_of_the_template(tmp_path: Path, kind: str) -> None:
    written = new_project("gkd-two-words", kind, tmp_path / "new")
    names = {str(file.relative_to(tmp_path / "new")) for file in written}
    module, test = "gkd_two_words.py", "tests/test_gkd_two_words.py"
    assert names == {"pyproject.toml", "README.md", module, test}
    assert not any("$" in file.read_text(encoding="utf-8") for file in written)
    for name in (module, test):
        tree = ast.parse((tmp_path / "new" / name).read_text(encoding="utf-8"))
        assert ast.get_docstring(tree)


def test_the_project_file_declares_what_gkd_looks_for(tmp_path: Path) -> None:
    new_project("gkd-two-words", "loss", tmp_path)
    declared = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))
    project = declared["project"]
    assert project["name"] == "gkd-two-words"
    assert project["entry-points"] == {"gkd": {"two-words": "gkd_two_words"}}
    assert gkd.__version__.startswith(project["dependencies"][0].removeprefix("gkd>="))
    assert declared["build-system"]["build-backend"] == "hatchling.build"


@pytest.mark.parametrize(("name", "kind"), [("gkd-view", "loss"), ("gkd-mean-layer", "model")])
def test_a_class_does_not_take_a_name_that_the_module_needs(
    tmp_path: Path, name: str, kind: str
) -> None:
    new_project(name, kind, tmp_path)
    source = (tmp_path / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
    defined = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert len(defined) == len(set(defined))
    assert f"My{name.title().replace('-', '')[3:]}" in defined


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ParameterError, match="is in use; name a new or empty one with --out"):
        new_project("gkd-fresh", "loss", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(ParameterError, match="a file is called so"):
        new_project("gkd-fresh", "loss", tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "precious"


def test_an_unknown_kind_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'los'; did you mean 'loss'"):
        new_project("gkd-fresh", "los", tmp_path / "new")
    assert not (tmp_path / "new").exists()
