"""Some damaged files for every reader, and all that once broke the law; many more: make fuzz."""

from pathlib import Path

import pytest
from kept_drawings import kept_drawings
from readers import READERS
from reading_law import Trial

from gkd.report.outputs import write_files
from gkd.report.results import run_results

SEED = 12
INPUTS = 12
FINDS = Path(__file__).parent / "finds"
CORPUS = sorted(path for path in FINDS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_by_name(name: str, tmp_path: Path) -> None:
    trial = Trial(READERS[name], tmp_path)
    for index in range(INPUTS):
        find = trial.judge(trial.content(SEED, index))
        assert find is None, f"python tests/fuzz {name} --seed {SEED}, input {index}: {find}"


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_broke_the_law_keeps_it(path: Path, tmp_path: Path) -> None:
    assert Trial(READERS[path.parent.name], tmp_path).judge(path.read_bytes()) is None


@pytest.mark.parametrize("name", ["page-summary", "page-feature-space"])
def test_pages_with_figures_that_are_kept_are_those_drawn_anew(name: str, tmp_path: Path) -> None:
    trial, pages = Trial(READERS[name], tmp_path / "run"), 0
    for content in (trial.content(SEED, index) for index in range(INPUTS)):
        if trial.judge(content) is not None or not trial.was_read or pages == 3:
            continue
        trial.path.write_bytes(content)
        run = run_results(trial.folder)
        drawn = {path.name: path.read_bytes() for path in write_files([run], tmp_path / "drawn")}
        with kept_drawings():
            kept = {path.name: path.read_bytes() for path in write_files([run], tmp_path / "kept")}
        assert [name for name, content in drawn.items() if kept.get(name) != content] == []
        pages += 1
    assert pages


def test_a_reader_that_breaks_the_law_is_found(tmp_path: Path) -> None:
    from dataclasses import replace

    from gkd.errors import DataError

    def read(folder: Path) -> object:
        content = (folder / "a").read_bytes()
        match content[:1]:
            case b"n":
                raise DataError("something is wrong")
            case b"e":
                raise KeyError("a")
            case b"m":
                raise DataError("a is too large") from MemoryError()
            case b"i":
                raise AssertionError("not finite")
        return content

    whole = READERS["lock"]
    reader = replace(
        whole, write=lambda folder: (folder / "a").write_bytes(b"whole seal"), file="a", read=read
    )
    trial = Trial(replace(reader, seal=b"seal", names=()), tmp_path)
    kinds = {b"n": "exception", b"e": "exception", b"m": "memory", b"i": "invalid"}
    kinds |= {b"n": "unnamed", b"other seal": "silent"}
    for content, kind in kinds.items():
        find = trial.judge(content)
        assert find is not None
        assert find.kind == kind
    assert trial.judge(b"other") is None
    assert trial.path.read_bytes() == b"whole seal"
