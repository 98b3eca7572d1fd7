"""The wheel built from the tree works in an environment of its own."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import gkd
from gkd.benchmarking.installed import load_benchmarks
from gkd.hosting.kinds import KINDS

ROOT = Path(__file__).parents[1]


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scripts of an environment with the wheel in it and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("gkd-*.whl")
    venv.create(folder / "venv", with_pip=False)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    _run(*pip, "--python", scripts / "python", "install", "--no-deps", wheel, cwd=folder)
    packages = _run(
        scripts / "python",
        "-c",
        "import sysconfig; print(sysconfig.get_path('purelib'))",
        cwd=folder,
    )
    dependencies = Path(packages.strip()) / "dependencies.pth"
    dependencies.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return scripts


def test_its_own_code_runs(installed: Path, tmp_path: Path) -> None:
    modules = ("gkd", "gkd.testing", "gkd_lsp", "gkd_pytest")
    place = (
        f"import {', '.join(modules)}; print(*map(lambda m: m.__file__, ({', '.join(modules)})))"
    )
    files = _run(installed / "python", "-c", place, cwd=tmp_path).split()
    assert len(files) == len(modules)
    for file in files:
        assert Path(file).is_relative_to(installed.parent)


def test_it_provides_what_the_tree_provides(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(_run(installed / "gkd", "components", "--json", cwd=tmp_path))
    assert {(row["kind"], row["name"]) for row in listed} == {
        (kind, name) for kind in KINDS for name in gkd.names(kind)
    }


def test_it_brings_the_benchmarks(installed: Path, tmp_path: Path) -> None:
    count = "from gkd.benchmarking.installed import load_benchmarks as b; print(*b())"
    names = _run(installed / "python", "-c", count, cwd=tmp_path).split()
    assert names == list(load_benchmarks())


def test_it_carries_recipes_templates_and_the_marker_of_types(
    installed: Path, tmp_path: Path
) -> None:
    package = "import gkd, pathlib; print(pathlib.Path(gkd.__file__).parent)"
    folder = Path(_run(installed / "python", "-c", package, cwd=tmp_path).strip())
    recipes = {path.name for path in (ROOT / "gkd" / "recipes").rglob("*.toml")}
    assert {path.name for path in (folder / "recipes").rglob("*.toml")} == recipes
    loops = [f"functional/{name}_loops.c" for name in ("edge", "attention", "selection")]
    for file in ("py.typed", "report/page.html", "report/style.css", *loops):
        assert (folder / file).is_file()
