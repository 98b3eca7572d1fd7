"""What a run was computed by and on, as somebody who repeats it wants to know: environment.json."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import gkd
from gkd.hosting.host import Host
from gkd.training.code_checksums import code_checksums, own_checksums
from gkd.training.devices import Devices

_LIBRARIES = ("torch", "lightning", "torchmetrics", "numpy", "pydantic", "pluggy", "safetensors")


def command_line(*more: str) -> str:
    """Quote the running command as it would be typed, with further arguments.

    >>> command_line("--resume").endswith(" --resume")
    True
    """
    name = Path(sys.argv[0]).name
    program = ["python", "-m", "gkd"] if name == "__main__.py" else [name]
    return shlex.join([*program, *sys.argv[1:], *more])


def environment(
    host: Host, devices: Devices, seeds: list[int], threads: int | None = None
) -> dict[str, Any]:
    """Command, versions, hardware, seeds: the content of ``environment.json``.

    Args:
        host: whose plugins are listed, and of whose components it says what their code is.
        devices: what is computed on.
        seeds: of the run.
        threads: of torch in each process that computes; by default those of this one.
    """
    hardware = {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": threads or torch.get_num_threads(),
    }
    if devices.kind == "cuda":
        hardware["gpu"] = torch.cuda.get_device_name()
    return {
        "command": command_line(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seeds": seeds,
        "device": devices.kind,
        "devices": devices.count,
        "hardware": hardware,
        "versions": {
            "gkd": gkd.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _LIBRARIES},
        },
        "plugins": [str(record) for record in host.plugins],
        "code": {} if host.code is None else own_checksums(host.code),
        "plugin_code": code_checksums(host.made, host.code),
    }


def _cpu_name() -> str:
    # On Linux, platform.processor() knows the architecture only.
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
