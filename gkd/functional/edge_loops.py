"""Compiled loops over edges, where the machine has a compiler of C.

What torch has no operation for takes several passes over memory; a plain loop takes one. It is
compiled when it is first needed, which takes a second, and kept in the user's cache folder. Where
there is no compiler, or ``GKD_COMPILE=0`` is in the environment, callers do without.
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
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

logger = logging.getLogger("gkd.compile")

SWITCH = "GKD_COMPILE"
"""Variable of the environment: 0 leaves the loops uncompiled."""

_FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-fno-math-errno", "-shared", "-fPIC")
_PATIENCE = 3.0  # seconds after which the user is told what is waited for
_SECONDS = 60.0  # after which the compiler is given up
_NAMES = {torch.float32: "float", torch.float64: "double"}


def l1_distances(x: Tensor, target: Tensor, source: Tensor, edges: slice, out: Tensor) -> bool:
    """Write the L1 distance of the ends of some edges into ``out``, ``[E]``.

    Args:
        x: contiguous ``[N, F]``, float32 or float64.
        target: int64 ``[E]``.
        source: int64 ``[E]``.
        edges: which.
        out: ``[E]``, of the dtype of ``x``.

    Returns:
        False, and nothing is written, where there is no compiled loop.
    """
    return _run("l1_distances", [x, target, source], edges, out)


def add_l1_slopes(
    result: Tensor, pointer: Tensor, columns: Tensor, values: Tensor, x: Tensor, rows: slice
) -> bool:
    """Add the sum of ``values · sign(x[r] - x[c])`` over the stored columns c of some rows r.

    Args:
        result: contiguous ``[N, F]``.
        pointer: int64 ``[N+1]``, of compressed rows.
        columns: int64 ``[E]``.
        values: ``[E]``.
        x: contiguous ``[N, F]``, float32 or float64.
        rows: which.

    Returns:
        False, and nothing is added, where there is no compiled loop.
    """
    return _run("l1_slopes", [x, pointer, columns, values], rows, result)


def _run(name: str, inputs: list[Tensor], part: slice, out: Tensor) -> bool:
    x = inputs[0]
    if x.device.type != "cpu" or x.dtype not in _NAMES or os.environ.get(SWITCH) == "0":
        return False
    library = _library()
    if library is None:
        return False
    inputs = [tensor.contiguous() for tensor in inputs]  # held, as the loop knows addresses alone
    getattr(library, f"{name}_{_NAMES[x.dtype]}")(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in inputs),
        *map(ctypes.c_int64, (part.start, part.stop, x.shape[1])),
        ctypes.c_void_p(out.data_ptr()),
    )
    return True


@cache
def _library() -> ctypes.CDLL | None:
    compiler = os.environ.get("CC", "").split() or ["cc"]  # it may be ccache with a compiler
    if shutil.which(compiler[0]) is None or os.name != "posix":
        return None
    source = resources.files(__package__).joinpath("edge_loops.c").read_text(encoding="utf-8")
    try:
        folder, key = _folder(), _key(source, compiler)
        return ctypes.CDLL(str(_kept(folder, key) or _compile(compiler, source, folder, key)))
    except (OSError, subprocess.SubprocessError) as error:
        # What a compiler has to say stands in what it wrote.
        said = getattr(error, "stderr", None) or error
        logger.warning(
            "the loops of the L1 distance are not compiled, and take twice as long (%s); %s=0 in "
            "the environment leaves them out",
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
            if own and os.access(folder, os.W_OK):
                return folder
    made = tempfile.TemporaryDirectory(prefix="gkd-")
    atexit.register(made.cleanup)
    return Path(made.name)


def _named(folder: Path, key: str, library: Path) -> Path:
    """Return where a library is kept: its name has its checksum."""
    checksum = hashlib.sha256(library.read_bytes()).hexdigest()[:16]
    return folder / f"edge-loops-{key}-{checksum}.so"


def _kept(folder: Path, key: str) -> Path | None:
    """Return what was compiled before, if it is as it was then."""
    for path in folder.glob(f"edge-loops-{key}-*.so"):
        if path == _named(folder, key, path):
            return path
        path.unlink(missing_ok=True)
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
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        processor += platform.processor() + platform.node()
    content = "\n".join([source, version, processor, *compiler[1:], *_FLAGS])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _compile(compiler: list[str], source: str, folder: Path, key: str) -> Path:
    logger.info("compiling the loops of the L1 distance into %s, once", folder)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as made:
        code, library = Path(made, "edge_loops.c"), Path(made, "edge_loops.so")
        code.write_text(source, encoding="utf-8")
        command = [*compiler, *_FLAGS, str(code), "-o", str(library)]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            try:
                _, said = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                logger.warning(
                    "still compiling the loops of the L1 distance, once for this machine; "
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
        # Whole or not at all, also where two processes compile at once.
        path = library.replace(_named(folder, key, library))
    logger.info("compiled in %.1f s", time.monotonic() - begin)
    return path
