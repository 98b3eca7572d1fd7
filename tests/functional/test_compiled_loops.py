"""Compiled loops: when they are made, where they are kept, and what follows when they fail."""

import logging
import os
import stat
from pathlib import Path

import pytest
import torch

from gkd.functional import compiled_loops
from gkd.functional.edge_loops import compare, rounding, slopes

X = torch.tensor([[0.0, 1.0], [2.0, -3.0]])
EDGE = torch.tensor([0, 1, 1]), torch.tensor([1])


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A user whose cache folder is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(compiled_loops.SWITCH, raising=False)
    compiled_loops._library.cache_clear()
    yield
    compiled_loops._library.cache_clear()


def compiler(folder: Path, script: str) -> str:
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


def distance() -> torch.Tensor | None:
    return compare("l1", X, X, *EDGE)


def test_they_are_compiled_once_into_a_folder_of_the_user_alone(tmp_path, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, logger="gkd.compile"):
        found = distance()
    if found is None:
        pytest.skip("there is no compiler of C here")
    assert found.tolist() == [6.0]
    folder = tmp_path / "cache" / "gkd"
    (library,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "compiled in" in caplog.text
    compiled_loops._library.cache_clear()
    monkeypatch.setattr(compiled_loops, "_compile", None)  # another process finds them
    assert distance() is not None
    assert list(folder.iterdir()) == [library]


@pytest.mark.parametrize("change", [{"GKD_COMPILE": "0"}, {"CC": "no-such-compiler"}])
def test_without_a_compiler_or_asked_not_to_nothing_is_compiled_or_said(
    tmp_path, monkeypatch, caplog, change
):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    assert distance() is None
    assert not (tmp_path / "cache").exists()
    assert not caplog.records


def test_a_compiler_that_fails_is_one_warning_with_what_it_said(tmp_path, monkeypatch, caplog):
    script = 'test "$1" = --version || { echo out of order >&2; exit 3; }'
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    assert distance() is None
    assert distance() is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "not compiled, and take twice as long or longer (out of order); GKD_" in record.message
    assert not list((tmp_path / "cache" / "gkd").iterdir())


def test_what_a_compiler_made_and_cannot_be_loaded_is_not_kept(tmp_path, monkeypatch, caplog):
    script = 'test "$1" = --version || { for last; do :; done; echo no library > "$last"; }'
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    assert distance() is None
    (record,) = caplog.records
    assert "not compiled" in record.message
    assert not list((tmp_path / "cache" / "gkd").iterdir())


def test_a_library_that_another_process_removes_meanwhile_is_compiled_again(tmp_path, monkeypatch):
    if distance() is None:
        pytest.skip("there is no compiler of C here")
    folder = tmp_path / "cache" / "gkd"
    (folder / "edge-loops-key-0.so").symlink_to(folder / "gone")
    monkeypatch.setattr(compiled_loops, "_key", lambda *given: "key")
    compiled_loops._library.cache_clear()
    assert distance().tolist() == [6.0]


def test_a_folder_that_is_read_only_is_read(tmp_path, monkeypatch):
    if distance() is None:
        pytest.skip("there is no compiler of C here")
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr(compiled_loops.tempfile, "TemporaryDirectory", None)  # nothing is made
    compiled_loops._library.cache_clear()
    assert distance().tolist() == [6.0]


def test_what_is_not_in_a_folder_that_is_read_only_is_compiled_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    if distance() is None:
        pytest.skip("there is no compiler of C here")
    assert not list((tmp_path / "cache" / "gkd").iterdir())


@pytest.mark.parametrize("information", ["cpu : POWER9", "isa : rv64imafdcv", None])
def test_machines_that_do_not_say_what_they_can_do_share_nothing(monkeypatch, information):
    def read_text(path: Path, **given: str) -> str:
        if information is None:
            raise FileNotFoundError
        return information

    monkeypatch.setattr(Path, "read_text", read_text)
    keys = set()
    for node in ("one", "other"):
        monkeypatch.setattr("platform.node", lambda node=node: node)
        keys.add(compiled_loops._key("", ["true"]))
    assert len(keys) == 2


@pytest.mark.parametrize("name", ["flags\t\t: fpu avx2", "Features\t: fp asimd"])
def test_only_processors_that_can_do_the_same_share_a_library(monkeypatch, name):
    def key(information: str) -> str:
        monkeypatch.setattr(Path, "read_text", lambda path, **given: information)
        return compiled_loops._key("", ["true"])

    assert key(f"processor\t: 0\n{name}\nMHz : 1") == key(f"processor\t: 0\n{name}\nMHz : 2")
    assert key(f"{name}") != key(f"{name} avx512f")


def test_a_compiler_that_takes_long_is_told_of_and_then_given_up(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("CC", compiler(tmp_path, 'test "$1" = --version || exec sleep 60'))
    monkeypatch.setattr(compiled_loops, "_PATIENCE", 0.05)
    monkeypatch.setattr(compiled_loops, "_SECONDS", 0.2)
    monkeypatch.setattr(compiled_loops, "_key", lambda *given: "key")

    assert distance() is None
    told, gave_up = caplog.records
    assert "still compiling the loops" in told.message
    assert "timed out" in gave_up.message


def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path):
    folder = tmp_path / "cache" / "gkd"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert compiled_loops._folder() != folder
    folder.chmod(0o700)
    assert compiled_loops._folder() == folder


def test_what_was_kept_and_then_damaged_is_compiled_again(tmp_path):
    if distance() is None:
        pytest.skip("there is no compiler of C here")
    (library,) = (tmp_path / "cache" / "gkd").iterdir()
    whole = library.read_bytes()
    compiled_loops._library.cache_clear()
    library.unlink()  # not written over, as this process has it in memory
    library.write_bytes(whole[: len(whole) // 2])
    assert distance().tolist() == [6.0]
    (again,) = (tmp_path / "cache" / "gkd").iterdir()
    assert again.stat().st_size > len(whole) // 2


@pytest.mark.parametrize("place", ["~/.cache", "cache"])
def test_nothing_is_kept_in_the_working_directory(tmp_path, monkeypatch, place):
    # Without HOME, of a user whom the system does not know, a path begins with ~ to its end.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "" if place.startswith("~") else place)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert compiled_loops._folder().is_absolute()
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_may_be_named_with_arguments(tmp_path, monkeypatch):
    if distance() is None:
        pytest.skip("there is no compiler of C here")
    called = tmp_path / "called"
    script = f'test "$1" = --through && shift && echo called > {called} && exec cc "$@"'
    monkeypatch.setenv("CC", f"{compiler(tmp_path, script)} --through")
    compiled_loops._library.cache_clear()
    assert distance().tolist() == [6.0]
    assert called.is_file()
    monkeypatch.setenv("CC", "")  # as if there were none
    compiled_loops._library.cache_clear()
    assert distance().tolist() == [6.0]


def test_other_dtypes_and_devices_do_without():
    for x in (X.half(), X.to("meta")):
        assert compare("l1", x, x, *EDGE) is None
        assert slopes("l2", x, [(*EDGE, x.new_ones(1))]) is None
        assert rounding(x) == float("inf")
