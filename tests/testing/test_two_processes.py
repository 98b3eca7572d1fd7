"""Where a component is defined decides whether another process can make one."""

import importlib
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gkd import AbstractKernel, testing


class Negative(AbstractKernel):
    def similarity(self, pairs):
        return -pairs.squared_distance()


def test_a_class_of_a_script_cannot_be_imported_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Negative, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Negative", Negative, raising=False)
    report = testing.check_kernel(Negative, examples=1)
    assert [(result.law, result.message) for result in report.failures] == [
        (
            "works-in-two-processes",
            "it is defined in a script or session (__main__), which no other process can import: "
            "put it into a module",
        )
    ]


def test_a_module_that_checks_while_it_is_imported_starts_no_process_after_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        from gkd import AbstractKernel, testing

        class Eager(AbstractKernel):
            def similarity(self, pairs):
                return -pairs.squared_distance()

        report = testing.check_kernel(Eager, examples=1)
        file = __file__.replace("eager_kernel.py", "seen.txt")
        with open(file, "a") as seen:
            print(*(result.message for result in report.failures), file=seen)
    """
    (tmp_path / "eager_kernel.py").write_text(dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("eager_kernel").report.passed
    there, here = (tmp_path / "seen.txt").read_text().splitlines()
    assert there.startswith("importing the component's module starts a check of its own")
    assert here == ""
