"""Environments of their own: what a user installs beside gkd, without a network."""

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from warm_python import warm_python

# pip reads its options from these, in whatever command a user types.
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # pip's spelling of --no-build-isolation
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_QUIET": "1",
}

# Much as their installers would leave them in the environment.
PROGRAMS = {
    "gkd": "gkd.cli:main",
    "pip": "pip._internal.cli.main:main",
    "pytest": "pytest:main",
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment that sees what this one has installed, gkd among it.

    Args:
        folder: of the environment.
    """

    folder: Path

    @property
    def scripts(self) -> Path:
        """Folder of its programs."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def packages(self) -> Path:
        """Folder of what is installed in it alone."""
        base = str(self.folder)
        return Path(sysconfig.get_path("purelib", "venv", {"base": base, "platbase": base}))

    def install(self, *projects: Path) -> None:
        """Install projects, not in editable form: nothing of theirs is on the path but this."""
        pip = (sys.executable, "-m", "pip", "--python", self.scripts / "python", "install")
        self.run(*pip, *projects)

    def run(self, *command: str | Path, cwd: Path | None = None, status: int = 0) -> str:
        """Run a command in which the environment is active; return what it printed.

        Its errors end up in the output, too, unless it asked for JSON.
        """
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if "--json" in command else subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == status, f"{done.stdout}{done.stderr or ''}"
        return done.stdout

    def json(self, *command: str | Path, status: int = 0) -> Any:
        """Run a command of gkd with ``--json``; return what it printed."""
        return json.loads(self.run(self.scripts / "gkd", *command, "--json", status=status))

    def passed(self, *arguments: str | Path) -> int:
        """Run pytest in it, warnings being errors; return how many tests passed: none failed."""
        options = ("-q", "-W", "error", "-p", "no:cacheprovider")
        printed = self.run(self.scripts / "pytest", *options, *arguments)
        (passed,) = re.findall(r"(\d+) passed", printed.splitlines()[-1])
        return int(passed)

    @property
    def variables(self) -> dict[str, str]:
        """Variables of a shell in which the environment is active."""
        own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        path = os.pathsep.join([str(self.scripts), own.get("PATH", "")])
        return own | OFFLINE | {"PATH": path, "VIRTUAL_ENV": str(self.folder)}


def fresh_environment(folder: Path) -> Environment:
    """Make an environment in which gkd and its requirements are there, and no plugin of others."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    environment = Environment(folder)
    # Not the mere path: editable installs are found by the .pth files of that folder.
    line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (environment.packages / "requirements.pth").write_text(line, encoding="utf-8")
    entries = folder / "entries"
    entries.mkdir()
    for program, target in PROGRAMS.items():
        module, _, function = target.partition(":")
        text = f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        file = entries / program
        file.write_text(text, encoding="utf-8")
        python = environment.scripts / "python"
        words = [str(python)] if program == "pip" else warm_python(python)
        script = environment.scripts / program
        script.write_text(f'#!/bin/sh\nexec {shlex.join([*words, str(file)])} "$@"\n')
        script.chmod(0o755)
    return environment


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A fresh environment for the tests of one module."""
    return fresh_environment(tmp_path_factory.mktemp("fresh") / "venv")
