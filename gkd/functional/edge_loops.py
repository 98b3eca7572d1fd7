"""Compiled loops over edges, where the machine has a compiler of C.

What torch has no operation for takes several passes over memory; a plain loop takes one, and some
columns of all rows at a time, which stay in a core's own cache. Loops are compiled when they are
first needed, which takes a second, and kept in the user's cache folder. Where there is no compiler,
or ``GKD_COMPILE=0`` is in the environment, callers do without.
"""

import atexit
import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib import resources
from math import inf
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from gkd.functional.threads import Share, in_threads, shares

logger = logging.getLogger("gkd.compile")

SWITCH = "GKD_COMPILE"
"""Variable of the environment: 0 leaves the loops uncompiled."""

_FLAGS = ("-O3", "-march=native", "-Wno-psabi", "-shared", "-fPIC")
_PATIENCE = 3.0  # seconds after which the user is told what is waited for
_SECONDS = 60.0  # after which the compiler is given up
_NAMES = {torch.float32: "float", torch.float64: "double"}
_VECTOR = 64  # bytes, as in the loops
_BYTES = 4 * _VECTOR  # of a row at a time, as in the loops
_LONG = 2048  # bytes of a row from which on it is taken part by part
_CACHE = 2**21  # bytes: what a core has for itself
_ELEMENTS_PER_SHARE = 2**20  # of fewer, a thread is found later than the work is done

Comparison = Literal["l1", "l2", "dot"]


def compare(
    by: Comparison, a: Tensor, b: Tensor, row_pointer: Tensor, columns: Tensor
) -> Tensor | None:
    r"""Compare the two ends of every stored (r, c), ``[E]``.

    .. math:: \sum_k |a_{rk} - b_{ck}|, \qquad \sum_k (a_{rk} - b_{ck})^2, \qquad
        \sum_k a_{rk} b_{ck}

    The same pair gives the same bits, whatever else there is. The round-off is proportional to the
    sum of the magnitudes that are added up: :func:`rounding` of it.

    Args:
        by: which: ``"l1"``, ``"l2"`` or ``"dot"``.
        a: ``[N, F]``, float32 or float64.
        b: ``[M, F]``, of the dtype of ``a``; may be the same.
        row_pointer: int64 ``[N+1]``, of compressed rows.
        columns: int64 ``[E]``.

    Returns:
        None where there is no compiled loop.
    """
    loop = loop_for(f"compare_{by}", a)
    if loop is None:
        return None
    pointer, columns = row_pointer.contiguous(), columns.contiguous()
    result = a.new_zeros(len(columns))

    def add(left: Tensor, right: Tensor, share: Share) -> None:
        edges = share.of(len(columns))
        row = int(torch.searchsorted(pointer, edges.start, right=True)) - 1
        numbers = row, edges.start, edges.stop, right.shape[1]
        loop(left, right, pointer, columns, *numbers, result)

    for part in _parts(b):
        right = _dense(b, part)
        left = right if a is b else _dense(a, part)
        in_threads(partial(add, left, right), edge_shares(len(columns), right))
    return result


def slopes(
    by: Comparison, x: Tensor, matrices: Sequence[tuple[Tensor, Tensor, Tensor]]
) -> Tensor | None:
    r"""Sum the slopes of comparisons over the stored columns of each row, ``[N, F]``.

    .. math:: \sum_{c} v_{rc}\, \mathrm{sign}(x_r - x_c), \qquad
        2 \sum_{c} v_{rc}\, (x_r - x_c)

    Args:
        by: which: ``"l1"`` or ``"l2"``.
        x: ``[N, F]``, float32 or float64.
        matrices: row pointers int64 ``[N+1]``, columns int64 ``[E]`` and values ``[E]`` of sparse
            matrices, all of which are summed.

    Returns:
        None where there is no compiled loop.
    """
    loop = loop_for(f"slopes_{by}", x)
    if loop is None:
        return None
    dense = _dense(x, slice(0, x.shape[1]))
    result = torch.zeros_like(dense)

    def add(pointer: Tensor, columns: Tensor, values: Tensor, share: Share) -> None:
        numbers = *rows_within(share, pointer, len(columns)), dense.shape[1]
        loop(dense, pointer, columns, values, *numbers, result)

    for matrix in matrices:
        pointer, columns, values = (tensor.contiguous() for tensor in matrix)
        in_threads(partial(add, pointer, columns, values), edge_shares(len(columns), dense))
    return result[:, dense.shape[1] - x.shape[1] :]


def rounding(x: Tensor) -> float:
    """Return the share of a comparison of rows of ``x`` that its round-off is below.

    Infinite where there is no compiled loop.
    """
    if _library_for(x) is None:
        return inf
    # A number is rounded in its difference and square, in its lane, on the way to the sum of all
    # lanes, and with that of every part of the row.
    return (16 + x.shape[1] * x.element_size() / _BYTES) * torch.finfo(x.dtype).eps


def _parts(x: Tensor) -> list[slice]:
    width, step = x.shape[1], _BYTES // x.element_size()
    # Some columns of all rows, where they fit into a core's own cache, are found there again and
    # again; short rows come as soon from where they are.
    if x.element_size() * width < _LONG or len(x) * _BYTES > _CACHE:
        step = max(1, width)
    return [slice(start, min(start + step, width)) for start in range(0, width, step)]


def _dense(x: Tensor, part: slice) -> Tensor:
    """Return columns of ``x``, at least a vector of them: after zeros, which add nothing."""
    columns = x.detach()[:, part]
    missing = _VECTOR // x.element_size() - columns.shape[1]
    return pad(columns, (missing, 0)) if missing > 0 else columns.contiguous()


def edge_shares(num_edges: int, x: Tensor) -> list[Share]:
    """Return the shares of threads that go through rows of ``x [N, F]`` edge by edge."""
    return shares(num_edges * x.shape[1], _ELEMENTS_PER_SHARE)


def rows_within(share: Share, row_pointer: Tensor, num_edges: int) -> tuple[int, int, int]:
    """Return the first row of a share, its first edge, and the edge that ends the last.

    They are the rows that begin within the share of the edges: none belongs to two threads.
    """
    edges = share.of(num_edges)
    rows = torch.searchsorted(row_pointer, row_pointer.new_tensor([edges.start, edges.stop]))
    first, last = row_pointer[rows].tolist()
    return int(rows[0]), first, last


def loop_for(name: str, x: Tensor, source: str = "edge_loops") -> Callable[..., None] | None:
    """Return a compiled loop for tensors like ``x``, None where there is none.

    It is called with tensors, which it may write to, and numbers; None is no tensor.
    """
    library = _library_for(x, source)
    if library is None:
        return None
    function = getattr(library, f"{name}_{_NAMES[x.dtype]}")

    def loop(*arguments: Tensor | int | float | None) -> None:
        function(*map(_argument, arguments))

    return loop


def _argument(
    value: Tensor | int | float | None,
) -> ctypes.c_void_p | ctypes.c_int64 | ctypes.c_double:
    if isinstance(value, int):
        return ctypes.c_int64(value)
    if isinstance(value, float):
        return ctypes.c_double(value)
    return ctypes.c_void_p(None if value is None else value.data_ptr())


def _library_for(x: Tensor, source: str = "edge_loops") -> ctypes.CDLL | None:
    if x.device.type != "cpu" or x.dtype not in _NAMES or os.environ.get(SWITCH) == "0":
        return None
    return _library(source)


@cache
def _library(name: str = "edge_loops") -> ctypes.CDLL | None:
    compiler = os.environ.get("CC", "").split() or ["cc"]  # it may be ccache with a compiler
    if shutil.which(compiler[0]) is None or os.name != "posix":
        return None
    source = resources.files(__package__).joinpath(f"{name}.c").read_text(encoding="utf-8")
    try:
        folder, key = _folder(), f"{name.replace('_', '-')}-{_key(source, compiler)}"
        return _kept(folder, key) or _compile(compiler, name, source, folder, key)
    except (OSError, subprocess.SubprocessError) as error:
        # What a compiler has to say stands in what it wrote.
        said = getattr(error, "stderr", None) or error
        logger.warning(
            "the loops in C are not compiled, and take twice as long or longer (%s); %s=0 in the "
            "environment leaves them out",
            str(said).strip()[:500],
            SWITCH,
        )
        return None


def _folder() -> Path:
    """Return a folder that belongs to this user alone, as what is in it will be run."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path(os.path.expanduser("~/.cache"))
    # It is not where nobody knows the user's home.
    if base.is_absolute():
        folder = base / "gkd"
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
            own = status.st_uid == os.getuid() and not status.st_mode & 0o022
            if own:
                return folder
    return _temporary_folder()


def _temporary_folder() -> Path:
    made = tempfile.TemporaryDirectory(prefix="gkd-")
    atexit.register(made.cleanup)
    return Path(made.name)


def _named(folder: Path, key: str, library: Path) -> Path:
    """Return where a library is kept: its name has its checksum."""
    checksum = hashlib.sha256(library.read_bytes()).hexdigest()[:16]
    return folder / f"{key}-{checksum}.so"


def _kept(folder: Path, key: str) -> ctypes.CDLL | None:
    """Return what was compiled before, if it is as it was then."""
    for path in folder.glob(f"{key}-*.so"):
        with suppress(OSError):  # another process may remove it, or nobody may
            if path == _named(folder, key, path):
                return ctypes.CDLL(str(path))
            path.unlink()
    return None


def _key(source: str, compiler: list[str]) -> str:
    version = subprocess.run(
        [*compiler, "--version"],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=_SECONDS,
    ).stdout
    # Code for one processor need not run on another that shares the folder.
    processor = platform.machine() + torch.backends.cpu.get_cpu_capability()
    lines: list[str] = []
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    can = next((line for line in lines if line.startswith(("flags", "Features"))), None)
    # Where the system does not say what it can do, each machine has its own.
    processor += platform.processor() + platform.node() if can is None else can
    content = "\n".join([source, version, processor, *compiler[1:], *_FLAGS])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _compile(compiler: list[str], name: str, source: str, folder: Path, key: str) -> ctypes.CDLL:
    if not os.access(folder, os.W_OK):
        folder = _temporary_folder()
    logger.info("compiling the loops in C into %s, once", folder)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as made:
        code, library = Path(made, f"{name}.c"), Path(made, f"{name}.so")
        code.write_text(source, encoding="utf-8")
        command = [*compiler, *_FLAGS, str(code), "-o", str(library)]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            try:
                _, said = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                logger.warning(
                    "still compiling the loops in C, once for this machine; "
                    "%s=0 in the environment leaves that out",
                    SWITCH,
                )
                try:
                    _, said = process.communicate(timeout=_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
        loaded = ctypes.CDLL(str(library))  # what cannot be loaded is not kept
        # Whole or not at all, also where two processes compile at once.
        library.replace(_named(folder, key, library))
    logger.info("compiled in %.1f s", time.monotonic() - begin)
    return loaded
