"""The code on the page about large graphs runs as printed."""

import re
from pathlib import Path

import pytest

from gkd.recipe.file import read_recipe

PAGE = Path(__file__).parents[1] / "docs" / "large-graphs.md"


def printed(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_keys_are_those_of_recipes(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    sampled, in_parts = printed("toml")
    path.write_text(sampled)
    parts = ('dataset.name="one"', 'student.name="two"', 'teacher.name="three"')
    recipe = read_recipe(path, parts).recipe
    assert recipe.training.sampling.neighbours == [10, 5]
    assert recipe.teacher.training.sampling.rows is None
    assert recipe.teacher.cache_half
    path.write_text(f"{in_parts}\n[teacher.training]\nepochs = 1\n[training]\nepochs = 1\n")
    recipe = read_recipe(path, parts[:2]).recipe
    assert recipe.teacher.edges_per_pass == 1_000_000


def test_the_loop_trains_a_student_and_leaves_the_teachers_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = printed("python")
    names: dict[str, object] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert set(names["report"].terms) == {"kd", "lsp"}
    assert len(list((tmp_path / "teacher-outputs").glob("*.safetensors"))) == 2
    assert names["distiller"].teacher_cache.misses == 1
