"""The code on the page about large graphs runs as printed."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "large-graphs.md"


def test_the_loop_trains_a_student_and_leaves_the_teachers_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert set(names["report"].terms) == {"kd", "lsp"}
    assert len(list((tmp_path / "teacher-outputs").glob("*.safetensors"))) == 2
    assert names["distiller"].teacher_cache.misses == 1
