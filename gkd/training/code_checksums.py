"""What the code of a run is: checksums of the files that it was imported from."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from gkd.hosting.own_code import is_place, own_file
from gkd.hosting.records import Component

_NAMED = 3  # files of a distribution, in a message

Checksums = Mapping[str, Mapping[str, str]]
"""Of each distribution, checksums of its files by their names."""


def code_checksums(components: Iterable[Component], own: Path | None) -> dict[str, dict[str, str]]:
    """Return the checksums of gkd's code, and of the packages that components come from.

    A file counts where it was imported, or is the source in C of a module that was.

    Args:
        components: that are used.
        own: folder of modules of one's own, which :func:`own_checksums` is for; None for none.
    """
    owners = {"gkd": "gkd"}
    for component in components:
        source, home = component.source, getattr(component.factory, "__module__", None) or ""
        for place in (source.value, home):
            top = place.partition(":")[0].partition(".")[0]
            if top and own_file(top, own) is None:
                owners.setdefault(top, top if is_place(component.name) else source.distribution)
    files: dict[str, dict[str, Path]] = {}
    for name, file in _imported_files(owners.__contains__):
        # Names begin with that of the package, wherever it is.
        depth = name.count(".") + (file.stem == "__init__")
        named = files.setdefault(owners[name.partition(".")[0]], {})
        for path in (file, file.with_suffix(".c")):
            named[Path(*path.parts[-depth - 1 :]).as_posix()] = path
    return {owner: _checksums(named, digits=16) for owner, named in files.items()}


def own_checksums(folder: Path) -> dict[str, str]:
    """Return a hash of the file of every module of a folder that is imported, by its name."""
    # Not all that is below: an environment may be, with everything that is installed.
    imported = _imported_files(lambda top: own_file(top, folder) is not None)
    return _checksums({name: file for name, file in imported if file.is_relative_to(folder)})


def _imported_files(wanted: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of every module imported of the packages that are wanted."""
    # Thousands of modules are, of few packages.
    wanted = cache(wanted)
    for name, module in sorted(sys.modules.items()):
        if wanted(name.partition(".")[0]) and (file := getattr(module, "__file__", None)):
            yield name, Path(file)


def _checksums(files: Mapping[str, Path], digits: int = 64) -> dict[str, str]:
    """Return the beginning of the hash of each file that can be read."""
    found = {}
    for name, file in files.items():
        with suppress(OSError):
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()[:digits]
    return found


def changed_code(then: Checksums, now: Checksums) -> list[str]:
    """Return in words which files are not what they were, by distribution.

    Those that only one of the two has say nothing: what is imported when may be another.

    >>> changed_code({"mine": {"mine/loss.py": "1"}}, {"mine": {"mine/loss.py": "2"}})
    ['mine (mine/loss.py)']
    """
    words = []
    for distribution, files in now.items():
        before = then.get(distribution)
        if not isinstance(before, Mapping):  # another component, or a file of before
            continue
        changed = [file for file in files if before.get(file, files[file]) != files[file]]
        more = len(changed) - _NAMED
        named = ", ".join(changed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        words += [f"{distribution} ({named})"] if changed else []
    return words
