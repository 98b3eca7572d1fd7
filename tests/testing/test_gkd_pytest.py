"""``pytest --gkd``, as its user sees it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    environment.pop("GKD_PLUGINS", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    options = {"capture_output": True, "text": True, "timeout": 600, "check": False}
    return subprocess.run(command, cwd=folder, env=environment, **options)


def test_components_are_checked_where_there_are_no_files(tmp_path):
    done = run(tmp_path, "-v", "--gkd", "kernel:rbf", "--gkd", "graph:radius", "--gkd-examples=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kernel:rbf::symmetric PASSED" in done.stdout
    assert "graph:radius(radius=1.0)::translation-invariant PASSED" in done.stdout


def test_the_files_that_are_named_run_too_and_others_do_not(tmp_path):
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    arguments = ("-v", "--gkd", "kernel:linear", "--gkd-examples=1")
    alone, beside = run(tmp_path, *arguments), run(tmp_path, *arguments, "test_mine.py")
    assert "test_mine" not in alone.stdout
    assert "test_mine.py::test_mine PASSED" in beside.stdout
    assert "kernel:linear::symmetric PASSED" in beside.stdout


def test_laws_can_be_chosen_by_name(tmp_path):
    done = run(tmp_path, "--gkd", "kernel:rbf", "--gkd-examples=1", "-k", "rbf and symmetric")
    assert "1 passed" in done.stdout
    assert "deselected" in done.stdout


def test_an_unknown_name_is_a_usage_error(tmp_path):
    done = run(tmp_path, "--gkd", "kernel:rfb")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "did you mean 'rbf'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_plugin_of_someone_else_is_checked_and_its_failure_shown(tmp_path, site):
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
    done = run(tmp_path, *arguments, path=str(site.folder))
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "kernel:odd fails equivariant-to-node-relabelling: failed" in done.stdout
    assert "smallest example" in done.stdout
    assert "gkd/testing" not in done.stdout  # a stack of the kit tells nothing


@pytest.mark.parametrize(
    ("outcome", "expected"), [("xfailed", "gradcheck-in-float64"), ("failed", "symmetric")]
)
def test_expected_failures_are_strict(tmp_path, outcome, expected):
    (tmp_path / "test_laws.py").write_text(
        "from gkd import testing\n"
        "@testing.parametrize_with_checks(\n"
        '    [("kernel", "rbf", {"sigma": "median"})],\n'
        f'    expected_failures={{"{expected}": "known"}}, examples=5)\n'
        "def test_laws(check): check()\n"
    )
    done = run(tmp_path, "-k", expected)
    assert f"1 {outcome}" in done.stdout, done.stdout


def test_sessions_without_the_option_do_not_wait_for_torch(tmp_path):
    (tmp_path / "test_light.py").write_text(
        "import sys\n"
        "def test_light(request):\n"
        "    assert request.config.pluginmanager.hasplugin('gkd')\n"
        "    assert not {'torch', 'gkd', 'gkd.testing'} & set(sys.modules)\n"
    )
    done = run(tmp_path, "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_hypothesis_the_kit_says_what_to_install(tmp_path):
    (tmp_path / "hypothesis.py").write_text("raise ModuleNotFoundError('no', name='hypothesis')\n")
    program = "import gkd.testing"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "pip install 'gkd[testing]'" in done.stderr
