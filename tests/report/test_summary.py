import json
import math
from pathlib import Path

import pytest
from run_directories import summary

from gkd.errors import DataError
from gkd.report.summary import Summary, read_summary, summaries


def written(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "summary.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_a_finite_number_is_nan(tmp_path: Path, value: float | None) -> None:
    found = read_summary(written(tmp_path, summary("lsp", 0, value)))
    assert math.isnan(found.test["micro_f1"])


def test_nan_is_null_in_json() -> None:
    one = Summary.model_validate(summary("lsp", 0, math.nan))
    assert one.model_dump(mode="json")["test"] == {"micro_f1": None}


def test_further_keys_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path, summary("lsp", 0, 0.5, gradient_share=0.3))
    assert read_summary(path).model_dump()["gradient_share"] == 0.3


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    content = summary("lsp", 0, 0.5)
    del content["parameters"]
    with pytest.raises(DataError, match=r"summary\.json is not a summary: parameters: missing"):
        read_summary(written(tmp_path, content))


def test_a_mistyped_value_is_named(tmp_path: Path) -> None:
    content = summary("lsp", 0, 0.5, test={"micro_f1": "high"})
    with pytest.raises(DataError, match=r"test\.micro_f1: must be float, got 'high'"):
        read_summary(written(tmp_path, content))
    with pytest.raises(DataError, match=r"is damaged: it holds no object"):
        read_summary(written(tmp_path / "other", []))


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        ([1, 3, 3], r"\[2\] has 3\.0"),
        ([1, None], r"\[1\] has nan"),
        ([1.5], r"\[0\] has 1\.5"),
        ([1, "missing"], r"\[1\] has None"),
    ],
)
def test_epochs_without_an_order_are_damage(tmp_path: Path, epochs: list, words: str) -> None:
    history = [{} if epoch == "missing" else {"epoch": epoch} for epoch in epochs]
    content = summary("lsp", 0, 0.5) | {"history": history}
    with pytest.raises(DataError, match=f"history: epochs must be whole numbers .* {words}"):
        read_summary(written(tmp_path, content))


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text('{"network": "stu', encoding="utf-8")
    with pytest.raises(DataError, match=r"summary\.json is damaged"):
        read_summary(path)


def test_two_summaries_of_one_network_are_refused(tmp_path: Path) -> None:
    for name in ("seed-0", "copy-of-seed-0"):
        written(tmp_path / name, summary("lsp", 0, 0.5))
    with pytest.raises(DataError, match="both of lsp, seed 0"):
        summaries(tmp_path)


def test_a_teacher_with_given_weights_has_no_training(tmp_path: Path) -> None:
    content = summary("teacher", 0, 0.9)
    for key in ("epochs", "best_epoch", "selection", "validation", "history"):
        del content[key]
    assert read_summary(written(tmp_path, content)).epochs is None


def test_epochs_of_older_runs_are_counted_from_one(tmp_path: Path) -> None:
    new = summary("lsp", 0, 0.5)
    old = new | {"best_epoch": new["best_epoch"] - 1}
    old["history"] = [row | {"epoch": row["epoch"] - 1} for row in new["history"]]
    assert old["history"][0]["epoch"] == 0
    folders = (tmp_path / "old", tmp_path / "new")
    found = [read_summary(written(f, one)) for f, one in zip(folders, (old, new), strict=True)]
    assert found[0] == found[1]
    assert [row["epoch"] for row in found[0].history] == [1, 2, 3, 4]
    assert found[0].best_epoch == 4
