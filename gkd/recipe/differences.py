"""In which values two recipes differ."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def differences(then: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the key of every value that differs, with both; None where a recipe has none.

    >>> list(differences({"seeds": [0], "student": {"name": "gat"}}, {"seeds": [1]}))
    [('seeds.0', 0, 1), ('student', {'name': 'gat'}, None)]
    """
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        pairs = [(str(key), then.get(key), now.get(key)) for key in {**then, **now}]
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(then, now, strict=True))]
    elif _same(then, now):
        return
    else:
        yield path, then, now
        return
    for key, a, b in pairs:
        yield from differences(a, b, f"{path}.{key}".lstrip("."))


def _same(then: Any, now: Any) -> bool:
    """Whether two values of recipes are one; runs of before may hold a path as it was given."""
    if then == now or not (isinstance(then, str) and isinstance(now, str)):
        return bool(then == now)
    return Path(now).is_absolute() and Path(then).expanduser().absolute() == Path(now)
