"""What ``gkd doctor`` finds out about an installation."""

import importlib
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata

import torch

from gkd.errors import GkdError, suggestion
from gkd.functional.sparse import has_sparse_products
from gkd.hosting.host import Host, create_host
from gkd.hosting.kinds import KINDS
from gkd.hosting.plugin_record import PluginRecord, State
from gkd.hosting.plugin_sources import PluginSettings, described

REQUIRED = ("torch", "lightning", "torchmetrics", "pluggy")
OPTIONAL = {"torch-cluster": "torch_cluster", "torch-geometric": "torch_geometric"}
VARIABLES = ("GKD_PLUGINS", "GKD_STRICT_PLUGINS", "GKD_DATA")


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to know about the installation, and what to do about it."""

    finding: str
    action: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An installation as ``gkd doctor`` shows it.

    Args:
        versions: of gkd, Python and the libraries; None for one that is not installed.
        platform: operating system and machine.
        devices: that torch can compute on.
        threads: that torch uses on the CPU.
        sparse_products: whether torch has the fast products on edges, by kind of device.
        variables: of the environment, those that begin with ``GKD_``.
        plugins: all that were found.
        problems: what does not work; the installation is healthy without any.
        hints: what works, but could work better or may surprise.
    """

    versions: dict[str, str | None]
    platform: str
    devices: list[str]
    threads: int
    sparse_products: dict[str, bool]
    variables: dict[str, str]
    plugins: tuple[PluginRecord, ...] = ()
    problems: list[Advice] = field(default_factory=list)
    hints: list[Advice] = field(default_factory=list)


def diagnose(environment: Mapping[str, str] = os.environ) -> Diagnosis:
    """Examine the installation; whatever is broken in it becomes a finding, never an exception."""
    devices = _devices()
    found = Diagnosis(
        versions=_versions(),
        platform=platform.platform(),
        devices=devices,
        threads=torch.get_num_threads(),
        sparse_products={
            kind: has_sparse_products(kind)
            for kind in dict.fromkeys(device.partition(":")[0] for device in devices)
        },
        variables={k: v for k, v in sorted(environment.items()) if k.startswith("GKD_")},
    )
    _judge_libraries(found)
    _judge_torch(found)
    return _with_plugins(found, environment)


def _versions() -> dict[str, str | None]:
    versions = {"gkd": _version("gkd"), "python": platform.python_version()}
    return versions | {name: _version(name) for name in (*REQUIRED, *OPTIONAL)}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> list[str]:
    cuda = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    named = [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in cuda]
    return ["cpu", *named, *(["mps"] if torch.backends.mps.is_available() else [])]


def _judge_libraries(found: Diagnosis) -> None:
    if found.versions["gkd"] is None:
        advice = Advice(
            "gkd is importable but not installed, so its own plugins cannot be found",
            f"run: {sys.executable} -m pip install -e . in its folder",
        )
        found.problems.append(advice)
    for name in REQUIRED:
        if found.versions[name] is None:
            found.problems.append(Advice(f"{name} is not installed", f"run: pip install {name}"))
    for name, module in OPTIONAL.items():
        if found.versions[name] is not None:
            try:
                importlib.import_module(module)
            except Exception as error:
                finding = f"{name} is installed but does not import: {described(error)}"
                rebuild = f"pip install --force-reinstall --no-deps --no-build-isolation {name}"
                action = f"it was probably built for another torch; rebuild it: {rebuild}"
                found.problems.append(Advice(finding, action))


def _judge_torch(found: Diagnosis) -> None:
    for device, present in found.sparse_products.items():
        if not present:
            finding = f"this build of torch has no sparse products on {device}"
            action = "results are the same; losses on edges take longer, in bounded chunks"
            found.hints.append(Advice(finding, action))
    if torch.version.cuda and not torch.cuda.is_available():
        finding = f"torch is built for CUDA {torch.version.cuda}, but no GPU can be used"
        found.hints.append(Advice(finding, "check the driver with nvidia-smi; the CPU is used"))


def _with_plugins(found: Diagnosis, environment: Mapping[str, str]) -> Diagnosis:
    for name in found.variables.keys() - set(VARIABLES):
        near = suggestion(name, VARIABLES)
        if near.startswith("did you mean"):
            found.hints.append(Advice(f"{name} is set, which gkd does not read", near))
    try:
        wanted = PluginSettings.from_environment(environment)
        lenient = PluginSettings(wanted.allowed, strict=False)
        host = create_host(settings=lenient)
    except GkdError as error:
        found.problems.append(Advice(str(error), "correct the variable, or unset it"))
        return found
    for record in host.plugins:
        if record.state is State.FAILED:
            found.problems.append(Advice(str(record), _action(record)))
        if record.slow:
            found.hints.append(_slowness(record))
    found.hints.extend(_shared_names(host))
    return replace(found, plugins=host.plugins)


def _action(record: PluginRecord) -> str:
    name = record.source.distribution
    return f"update or repair {name}, or run: pip uninstall {name}"


def _slowness(record: PluginRecord) -> Advice:
    module = record.source.value.partition(":")[0]
    return Advice(
        f"importing {record.source} takes {record.import_seconds:.1f} s, in every command",
        "its author can import large libraries inside the functions that need them; what they "
        f"are shows: {sys.executable} -X importtime -c 'import {module}'",
    )


def _shared_names(host: Host) -> list[Advice]:
    return [
        Advice(f"{component}: another plugin offers that name too", f"ask for {name!r}")
        for kind in KINDS
        for name, component in host.components(kind).items()
        if ":" in name
    ]
