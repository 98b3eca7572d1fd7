"""The benchmarks that installed distributions bring.

A distribution names a mapping, name → factory of a :class:`~gkd.benchmarking.Benchmark`, as an
entry point of the group ``gkd.benchmarks``. It is loaded when benchmarks are asked for, not before.
"""

import fnmatch
from collections.abc import Callable, Mapping
from importlib import metadata

from gkd.benchmarking.benchmark import Benchmark
from gkd.errors import PluginError, UnknownNameError, suggestion

GROUP = "gkd.benchmarks"

Factory = Callable[[], Benchmark]


def load_benchmarks() -> dict[str, Factory]:
    """Return the factories of all benchmarks by name, in the order in which they are listed.

    Raises:
        PluginError: a distribution's benchmarks cannot be loaded, or two have one name.
    """
    found: dict[str, Factory] = {}
    for entry in metadata.entry_points(group=GROUP):
        place = f"{entry.dist.name if entry.dist else 'unknown'}: {entry.value}"
        try:
            offered: Mapping[str, Factory] = entry.load()
        except Exception as error:
            raise PluginError(
                f"the benchmarks of {place} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        twice = sorted(found.keys() & offered.keys())
        if twice:
            raise PluginError(f"{place} offers a benchmark {twice[0]!r}, which is there already")
        found |= offered
    return found


def load_benchmark(name: str) -> Benchmark:
    """Return the benchmark called ``name``.

    Raises:
        UnknownNameError: there is none; the nearest is named.
    """
    return choose_benchmarks([name])[name]


def choose_benchmarks(names: list[str], *, quick: bool = False) -> dict[str, Benchmark]:
    """Return the benchmarks called ``names``, or all; without the long ones where ``quick``.

    Args:
        names: of benchmarks, or patterns of the shell such as ``zoo-*``.
        quick: whether the long ones are left out, where no names are given.

    Raises:
        UnknownNameError: one does not exist; the nearest is named.
    """
    known = load_benchmarks()
    chosen: dict[str, None] = {}  # a set that keeps the order
    for name in names:
        found = [name] if name in known else fnmatch.filter(known, name)
        if not found:
            raise UnknownNameError(f"no benchmark is called {name!r}; {suggestion(name, known)}")
        chosen |= dict.fromkeys(found)
    made = {name: known[name]() for name in chosen or known}
    return {name: each for name, each in made.items() if names or not (quick and each.long)}
