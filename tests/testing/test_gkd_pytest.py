"""``pytest --gkd``, as its user sees it."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_distributions import Site
from warm_python import warm_python

from gkd.hosting import host as hosts


@dataclass(frozen=True)
class Session:
    """What a session of pytest left behind."""

    status: int
    out: str  # and its errors


@pytest.fixture
def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Session]:
    """Run pytest in this process, in a folder of the test's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GKD_PLUGINS", raising=False)

    def run(*arguments: str) -> Session:
        before = set(sys.modules)
        hosts.default_host.cache_clear()
        capsys.readouterr()
        try:
            status = pytest.main(["-p", "no:cacheprovider", *arguments])
        finally:
            hosts.default_host.cache_clear()
            for name in set(sys.modules) - before:  # the next test has files of the same names
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                    del sys.modules[name]
        return Session(status, "".join(capsys.readouterr()))

    return run


def run_elsewhere(
    folder: Path, *arguments: str, python: Sequence[str] = (sys.executable,)
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, which imports from ``folder`` first."""
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [*python, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_components_are_checked_where_there_are_no_files(tmp_path):
    command = ("-m", "pytest", "-v", "-p", "no:cacheprovider", "--gkd-examples=2")
    names = ("--gkd", "kernel:rbf", "--gkd", "graph:radius")
    done = run_elsewhere(tmp_path, *command, *names, python=warm_python())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kernel:rbf::symmetric PASSED" in done.stdout
    assert "graph:radius(radius=1.0)::translation-invariant PASSED" in done.stdout


def test_the_files_that_are_named_run_too_and_others_do_not(tmp_path, session):
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    arguments = ("-v", "--gkd", "kernel:linear", "--gkd-examples=1")
    alone, beside = session(*arguments), session(*arguments, "test_mine.py")
    assert "test_mine" not in alone.out
    assert "kernel:linear::symmetric PASSED" in alone.out
    assert "test_mine.py::test_mine PASSED" in beside.out
    assert "kernel:linear::symmetric PASSED" in beside.out


def test_laws_can_be_chosen_by_name(session):
    done = session("--gkd", "kernel:rbf", "--gkd-examples=1", "-k", "rbf and symmetric")
    assert "1 passed" in done.out
    assert "deselected" in done.out


def test_an_unknown_name_is_a_usage_error(session):
    done = session("--gkd", "kernel:rfb")
    assert done.status == pytest.ExitCode.USAGE_ERROR
    assert "did you mean 'rbf'" in done.out
    assert "Traceback" not in done.out


def test_a_plugin_of_someone_else_is_checked_and_its_failure_shown(session, site: Site):
    site.add(
        "odd-plugin",
        """
        from gkd import AbstractKernel, hookimpl

        class Odd(AbstractKernel):
            def similarity(self, pairs):
                return pairs.dot() - pairs.graph.source

        @hookimpl
        def gkd_kernels():
            return {"odd": Odd}
        """,
    )
    arguments = ("--gkd", "odd-plugin", "--gkd-examples=10", "-k", "symmetric or relabelling")
    done = session(*arguments)
    assert done.status == pytest.ExitCode.TESTS_FAILED, done.out
    assert "kernel:odd fails equivariant-to-node-relabelling: failed" in done.out
    assert "smallest example" in done.out
    assert "gkd/testing" not in done.out  # a stack of the kit tells nothing


@pytest.mark.parametrize(
    ("outcome", "expected"), [("xfailed", "gradcheck-in-float64"), ("failed", "symmetric")]
)
def test_expected_failures_are_strict(tmp_path, session, outcome, expected):
    (tmp_path / "test_laws.py").write_text(
        "from gkd import testing\n"
        "@testing.parametrize_with_checks(\n"
        '    [("kernel", "rbf", {"sigma": "median"})],\n'
        f'    expected_failures={{"{expected}": "known"}}, examples=5)\n'
        "def test_laws(check): check()\n"
    )
    done = session("-k", expected)
    assert f"1 {outcome}" in done.out, done.out


def test_sessions_without_the_option_do_not_wait_for_torch(tmp_path):
    (tmp_path / "test_light.py").write_text(
        "import sys\n"
        "def test_light(request):\n"
        "    assert request.config.pluginmanager.hasplugin('gkd')\n"
        "    assert not {'torch', 'gkd', 'gkd.testing'} & set(sys.modules)\n"
    )
    done = run_elsewhere(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_hypothesis_the_kit_says_what_to_install(tmp_path):
    (tmp_path / "hypothesis.py").write_text("raise ModuleNotFoundError('no', name='hypothesis')\n")
    done = run_elsewhere(tmp_path, "-c", "import gkd.testing")
    assert "pip install 'gkd[testing]'" in done.stderr
