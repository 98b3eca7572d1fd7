import hashlib
import json
import math
from pathlib import Path

import pytest
import torch

from gkd.errors import DataError
from gkd.files import (
    parse_toml,
    read_sealed_json,
    read_sealed_text,
    write_sealed_json,
    write_sealed_text,
    write_tensors,
    write_text,
)

TEXT = 'title = "a"\n\n# sha256 in a comment\n[b]\nc = 1\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_sealed_text(tmp_path / "a.toml", TEXT)
    return tmp_path / "a.toml"


def test_a_sealed_text_comes_back_as_it_was(path: Path) -> None:
    assert read_sealed_text(path) == TEXT
    assert parse_toml(path.read_text()) == parse_toml(TEXT)


def test_a_sealed_text_that_is_cut_off_is_damaged(path: Path) -> None:
    whole = path.read_bytes()
    begins, ends = whole.index(b"title"), whole.rindex(b"# sha256")
    for cut in range(begins, ends + 9 + 63):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="is damaged"):
            read_sealed_text(path)
    for cut in range(begins + 1, ends):
        path.write_bytes(whole[cut:])
        with pytest.raises(DataError, match="is damaged"):
            read_sealed_text(path)


def test_texts_of_before_are_read(path: Path) -> None:
    seal = hashlib.sha256(b"x = 1\n").hexdigest()
    for content in ("x = 1\n", f"x = 1\n# sha256 {seal}\n"):
        path.write_text(content)
        assert read_sealed_text(path) == "x = 1\n"
    path.write_text(f"x = 2\n# sha256 {seal}\n")
    with pytest.raises(DataError, match="is damaged"):
        read_sealed_text(path)


@pytest.mark.parametrize("seal", ["null", "NaN", "1e999", "1", '""', "[]"])
def test_a_seal_that_is_no_checksum_is_damage(tmp_path: Path, seal: str) -> None:
    (tmp_path / "a.json").write_text(f'{{"a": 1, "sha256": {seal}}}')
    with pytest.raises(DataError, match="not what was written"):
        read_sealed_json(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["sha25&", "SHA256", "", "\\u0000", "a"])
def test_a_seal_whose_name_is_damaged_is_damage(tmp_path: Path, name: str) -> None:
    write_sealed_json(tmp_path / "a.json", {"a": 1})
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text.replace("sha256", name).replace("1,", "2,"))
    with pytest.raises(DataError, match=r"a.json is damaged: its content is not what was written"):
        read_sealed_json(tmp_path / "a.json")


def test_a_seal_within_another_object_is_damage(tmp_path: Path) -> None:
    write_sealed_json(tmp_path / "a.json", {"b": {"c": 1}})
    seal = json.loads((tmp_path / "a.json").read_text())["sha256"]
    (tmp_path / "a.json").write_text(json.dumps({"b": {"sha256": seal}, "c": 1}))
    with pytest.raises(DataError, match="not what was written"):
        read_sealed_json(tmp_path / "a.json")


@pytest.mark.parametrize("text", [r'{"a\ud800": 1}', r'{"a": ["\uDFFF"]}'])
def test_text_that_cannot_be_written_again_is_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match="is damaged"):
        read_sealed_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(r'{"a": "\ud83d\ude00"}')
    assert read_sealed_json(tmp_path / "a.json") == {"a": "😀"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_json_has_no_number_that_is_none(tmp_path: Path, number: str) -> None:
    (tmp_path / "a.json").write_text(f'{{"a": [{number}, 1.5]}}')
    assert read_sealed_json(tmp_path / "a.json") == {"a": [None, 1.5]}


def test_all_files_have_the_mode_of_new_ones(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    write_tensors(tmp_path / "tensors", {"x": torch.ones(2)}, {})
    write_text(tmp_path / "text", "words")
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_a_number_that_is_none_is_null_and_the_file_sound(tmp_path: Path) -> None:
    written = {"a": [1.0, math.nan], "b": {"c": (math.inf, "x")}}
    write_sealed_json(tmp_path / "a.json", written)
    assert read_sealed_json(tmp_path / "a.json") == {"a": [1.0, None], "b": {"c": [None, "x"]}}
