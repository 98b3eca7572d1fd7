"""Programs that stand beside the package, in ``docs`` and ``results``, as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


def program(path: str) -> ModuleType:
    """Return a program by its path in the repository, with what it defines."""
    place = ROOT / path
    spec = importlib.util.spec_from_file_location(f"program_{place.stem}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
