"""Commands of gkd as tests run them: in this process, or in one of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fake_distributions import Site

from gkd.cli import main
from gkd.hosting import host as hosts


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[str]:
        """Lines of its output, with one space between words."""
        return [" ".join(line.split()) for line in self.out.splitlines()]


Run = Callable[..., Outcome]


@pytest.fixture
def run(site: Site, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, with the plugins installed at this moment."""

    def command(*arguments: object) -> Outcome:
        hosts.default_host.cache_clear()
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as caught:
                main([str(argument) for argument in arguments])
        finally:
            hosts.default_host.cache_clear()
        status = caught.value.code
        assert isinstance(status, int)
        return Outcome(status, *capsys.readouterr())

    return command


def in_process(site: Site, *command: str, **variables: str) -> Outcome:
    """Run Python in a process of its own, with the plugins of ``site``."""
    path = os.pathsep.join([str(site.folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **variables, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
