"""The parameters that a component names to be made with where nobody gives any."""

import atexit
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gkd.hosting.parameters import path_parameters


def example_parameters(factory: Callable[..., Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the parameters that a factory declares for being checked; none by default.

    A component that needs parameters, or has ways to work that differ much, lists them in the
    attribute ``example_parameters`` of its class (or function): it is checked with each. For a
    component that reads files that may be a function of a folder, which writes small ones there and
    returns the parameters that have them read. A path that is not absolute is below the folder of
    real data that the variable ``GKD_DATA`` of the environment names; where it names none, the
    parameter is left out.
    """
    declared: Any = getattr(factory, "example_parameters", ({},))
    if callable(declared):
        declared = declared(_folder_of(factory))
    paths = path_parameters(factory)
    data = os.environ.get("GKD_DATA")
    return tuple(
        {
            name: Path(data or "", value) if name in paths else value
            for name, value in choice.items()
            if data or name not in paths or Path(value).is_absolute()
        }
        for choice in declared
    )


@cache
def _folder_of(factory: Callable[..., Any]) -> Path:
    """Return an empty folder that lasts as long as the process."""
    above = TemporaryDirectory(prefix="gkd-check-")
    atexit.register(above.cleanup)
    # Labels have this name, and are the same in all processes of a test session.
    folder = Path(above.name, "example")
    folder.mkdir()
    return folder
