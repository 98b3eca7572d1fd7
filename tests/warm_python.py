"""A Python that has loaded torch, for commands that tests run in processes of their own.

To load torch, Lightning and what they need takes four seconds, most of what such a command takes. A
server does it once and forks a process for each command, which then finds all else, gkd included,
as a fresh one does: by its own environment, folder and variables. ``warm_python()`` begins a
command line in place of ``sys.executable``: a client that hands its arguments, open files and
signals to the forked process and ends as that ends. ``spawn_warm()`` has multiprocessing begin the
processes that it spawns in this way.

    warm_python.py serve SOCKET
    warm_python.py run SOCKET PYTHON [-m MODULE | -c PROGRAM | FILE] ARGUMENTS
"""

import atexit
import gc
import io
import json
import multiprocessing.spawn
import os
import runpy
import select
import signal
import site
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache, partial
from importlib import import_module, invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# No plugin of pytest, which rewrites them as it loads them, and nothing of gkd.
PRELOADED = (
    "lightning.pytorch",
    "matplotlib.backends.backend_agg",
    "torch._dynamo",
    "torch_geometric",
    "torchmetrics",
    "pydantic",
    "rich.console",
    "typer",
)
_MOST_FILES = 253  # that Linux sends at once
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@cache
def warm_python(python: str | Path = sys.executable) -> list[str]:
    """Return the words before ``-m``, ``-c`` or a file that run it, as by a ``python`` of any venv.

    The server is this process's, and ends with it.
    """
    if sys.platform != "linux":  # elsewhere a process that has loaded torch had better not fork
        return [str(python)]
    return [sys.executable, "-IS", __file__, "run", _server(), str(python)]


def spawn_warm() -> None:
    """Let processes that are spawned in this one be such commands, from now on."""
    usual = multiprocessing.spawn.get_command_line

    def command_line(**arguments: object) -> list[str]:
        words = usual(**arguments)
        return [*warm_python(), *words[words.index("-c") :]]  # without Python's own options

    multiprocessing.spawn.get_command_line = command_line


@cache
def _server() -> str:
    # Not below a long TMPDIR: the path of a socket has 107 characters at most.
    folder = TemporaryDirectory(prefix="gkd-warm-", dir="/tmp")
    place = str(Path(folder.name, "socket"))
    server = subprocess.Popen([sys.executable, __file__, "serve", place], stdin=subprocess.PIPE)
    atexit.register(folder.cleanup)
    atexit.register(server.communicate)
    while not Path(place).exists():
        assert server.poll() is None
        time.sleep(0.01)
    return place


def run(place: str, python: str, arguments: list[str]) -> None:
    """Have the server run a command; end as it ends."""
    ignored = [number for number in FORWARDED if signal.getsignal(number) is signal.SIG_IGN]
    files = _open_files()
    job = {
        "python": python,
        "arguments": arguments,
        "folder": os.getcwd(),
        "variables": dict(os.environ),
        "ignored": ignored,
        "files": files,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        message = json.dumps(job).encode()
        socket.send_fds(connection, [len(message).to_bytes(8, "big")], files)
        connection.sendall(message)
        answers = connection.makefile("r")
        process = int(answers.readline())
        for number in FORWARDED:
            if number not in ignored:
                signal.signal(number, partial(_forward, process))
        code = os.waitstatus_to_exitcode(int(answers.readline()))
    if code < 0:
        with suppress(OSError):  # of SIGKILL, which is always heeded
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _forward(process: int, number: int, _: object) -> None:
    with suppress(ProcessLookupError):  # it has just ended, which the server tells next
        os.kill(process, number)


def _open_files() -> list[int]:
    """Return the streams, and the pipes that multiprocessing names in a command, by number."""
    files = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the folder, which is read no more
            os.fstat(int(name))
            files.append(int(name))
    return files


def serve(place: str) -> dict[str, Any]:
    """Fork a process for each command that clients ask for; return only there, with the command."""
    for module in PRELOADED:
        import_module(module)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: whoever started this ends it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(bound := f"{place}.bound")
        server.listen()
        os.rename(bound, place)  # only now is it there for clients
        while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return _forked(connection)
            connection.close()
    os._exit(0)  # that of the test process has ended


def _forked(connection: socket.socket) -> dict[str, Any]:
    """Return the command in a process of its own; another waits for that one, and tells."""
    size, files, _, _ = socket.recv_fds(connection, 8, _MOST_FILES)
    with connection.makefile("rb") as file:
        job: dict[str, Any] = json.loads(file.read(int.from_bytes(size, "big")))
    process = os.fork()
    if process == 0:
        connection.close()
        import fcntl  # which other systems lack

        # First away from the numbers that they are to have.
        moved = [fcntl.fcntl(file, fcntl.F_DUPFD, 1_000) for file in files]
        for file in files:
            os.close(file)
        for number, file in zip(job["files"], moved, strict=True):
            os.dup2(file, number)
            os.close(file)
        return job
    for file in (0, 1, 2, *files):
        os.close(file)
    # A client that was killed takes its process with it.
    threading.Thread(target=_end_with, args=(connection, process), daemon=True).start()
    connection.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    with suppress(OSError):
        connection.sendall(f"{status}\n".encode())
    os._exit(0)


def _end_with(connection: socket.socket, process: int) -> None:
    if not connection.recv(1):
        os.kill(process, signal.SIGKILL)


def become(job: dict[str, Any]) -> None:
    """Let this process be one that was started by a Python, in a folder and with variables."""
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["variables"])
    for number in FORWARDED:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in job["ignored"] else default)
    for place, name in enumerate(("stdin", "stdout", "stderr")):
        stream = open(place, "rb" if place == 0 else "wb", closefd=False)  # noqa: SIM115
        errors = "backslashreplace" if name == "stderr" else "strict"
        text = io.TextIOWrapper(stream, errors=errors, line_buffering=name == "stderr")
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    sys.executable = job["python"]
    prefix = Path(sys.executable).parents[1]
    sys.prefix = sys.exec_prefix = str(prefix)
    site.PREFIXES[:] = [str(prefix)]
    variables = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [*variables, *STANDARD]
    site.addsitepackages(set())
    invalidate_caches()


def main(job: dict[str, Any]) -> None:
    """Run a module or a file, as Python does."""
    first, *rest = job["arguments"]
    become(job)
    if first == "-m":
        module, *rest = rest
        sys.path.insert(0, os.getcwd())
        sys.argv[:] = ["-m", *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif first == "-c":
        program, *rest = rest
        sys.path.insert(0, "")
        sys.argv[:] = ["-c", *rest]
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, str(Path(first).resolve().parent))
        sys.argv[:] = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    action, socket_place, *words = sys.argv[1:]
    if action == "run":
        run(socket_place, words[0], words[1:])
    else:
        STANDARD = [path for path in sys.path[1:] if "site-packages" not in path]
        main(serve(socket_place))
