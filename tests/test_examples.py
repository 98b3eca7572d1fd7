"""Every example runs: one that trains many networks, for an epoch each."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_reports(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(example), run_name="example")
    names["main"](**({"epochs": 1} if example.stem == "own_models" else {}))
    assert {"own_models": "the baseline", "two_teachers": "test loss"}[example.stem] in (
        capsys.readouterr().out
    )
