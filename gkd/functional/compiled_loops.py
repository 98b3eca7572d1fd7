"""Loops in C, compiled where the machine has a compiler.

What torch has no operation for takes several passes over memory; a plain loop takes one. Loops are
compiled when they are first needed, which takes a second, and kept in the user's cache folder.
Where there is no compiler, or ``GKD_COMPILE=0`` is in the environment, callers do without.
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
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

logger = logging.getLogger("gkd.compile")

SWITCH = "GKD_COMPILE"
"""Variable of the environment: 0 leaves the loops uncompiled."""

_FLAGS = ("-O3", "-march=native", "-Wno-psabi", "-shared", "-fPIC")
_PATIENCE = 3.0  # seconds after which the user is told what is waited for
_SECONDS = 60.0  # after which the compiler is given up
_NAMES = {torch.float32: "float", torch.float64: "double"}


def loop_for(source: str, name: str, x: Tensor) -> Callable[..., None] | None:
    """Return a compiled loop for tensors like ``x``, None where there is none.

    It is called with tensors, which it may write to, and numbers; None is no tensor.

    Args:
        source: file of C beside this one, without its suffix.
        name: of the loop in it, without the dtype that is appended.
        x: float32 or float64 on CPU, or something else that no loop is for.
    """
    if x.device.type != "cpu" or x.dtype not in _NAMES or os.environ.get(SWITCH) == "0":
        return None
    library = _library(source)
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


@cache
def _library(name: str) -> ctypes.CDLL | None:
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
