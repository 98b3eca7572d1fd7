"""How much memory there is, asked before more is taken than a file or a number should ask for."""

import os
import sys
from contextlib import suppress
from pathlib import Path

_UNITS = (("PiB", 2**50), ("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
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


def in_bytes(num_bytes: float) -> str:
    """Return a size in the unit that fits.

    >>> in_bytes(31 * 2**20), in_bytes(640)
    ('31 MiB', '640 bytes')
    """
    for unit, size in _UNITS:
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{num_bytes:.0f} bytes"
