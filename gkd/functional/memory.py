"""How much memory there is, asked before more is taken than a file or a number should ask for."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gkd.errors import ParameterError

_UNITS = (("PiB", 2**50), ("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_PER_WEIGHT = 16  # bytes: the weight, its gradient, the two moments of Adam
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def free_memory() -> int:
    """Return how many bytes this process can still take, as far as the system tells.

    >>> free_memory() > 2**20
    True
    """
    limits = [sys.maxsize]
    with suppress(OSError, ValueError, AttributeError):  # there may be no such number
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        limits.append(1024 * int(found.split()[1]))
    for path in _CGROUPS:  # of a container
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text(encoding="ascii")))
    with suppress(ImportError, OSError, ValueError):
        import resource  # not on every system

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            limits.append(max(0, most - pages * os.sysconf("SC_PAGE_SIZE")))
    return min(limits)


def memory_shortage(num_bytes: float) -> str | None:
    """Return what to say where there is not enough memory for something; None where there is.

    >>> memory_shortage(5), memory_shortage(10.0**30).partition(", ")[0]
    (None, '8.88e+14 PiB of memory')
    """
    free = free_memory()
    if num_bytes <= free:
        return None
    return f"{in_bytes(num_bytes)} of memory, of which {in_bytes(free)} are free"


def require_memory(num_bytes: float, owner: str, **numbers: int) -> None:
    """Make sure that there is memory for what a component is asked for, before it is taken.

    Args:
        num_bytes: what it would take, roughly.
        owner: name of the component.
        numbers: the parameters that it follows from.

    Raises:
        ParameterError: there is not; names the largest of the numbers first.

    >>> require_memory(10.0**30, "shapes", points=10, objects=10**29)
    Traceback (most recent call last):
    gkd.errors.ParameterError: shapes: 'objects' = 1000...0, 'points' = 10 would take ... are free
    """
    if shortage := memory_shortage(num_bytes):
        ordered = sorted(numbers.items(), key=lambda item: -item[1])
        listing = ", ".join(f"{name!r} = {value}" for name, value in ordered)
        raise ParameterError(f"{owner}: {listing} would take {shortage}")


def require_memory_for_layers(owner: str, widths: Iterable[tuple[int, int]]) -> None:
    """Make sure that there is memory to train linear layers of these input and output widths.

    Raises:
        ParameterError: there is not.

    >>> require_memory_for_layers("GCN", [(8, 10**9), (10**9, 2)])
    Traceback (most recent call last):
    gkd.errors.ParameterError: GCN: layers of widths 8 to 1000000000, 1000000000 to 2 would take ...
    """
    pairs = list(widths)
    weights = sum(float(inputs) * outputs for inputs, outputs in pairs)
    if shortage := memory_shortage(_PER_WEIGHT * weights):
        widest = sorted(pairs, key=lambda pair: -pair[0] * pair[1])[:2]
        listing = ", ".join(f"{a} to {b}" for a, b in pairs if (a, b) in widest)
        raise ParameterError(f"{owner}: layers of widths {listing} would take {shortage}")


def in_bytes(num_bytes: float) -> str:
    """Return a size in the unit that fits.

    >>> in_bytes(31 * 2**20), in_bytes(640)
    ('31 MiB', '640 bytes')
    """
    for unit, size in _UNITS:
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{num_bytes:.0f} bytes"
