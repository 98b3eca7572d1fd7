"""What ``gkd doctor`` finds out about an installation, and prints."""

import importlib
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata

import torch
from packaging.requirements import InvalidRequirement, Requirement

from gkd.commands.listing import plugin_row, print_json, quietly
from gkd.errors import GkdError, PluginError, printable, suggestion
from gkd.errors.causes import describe
from gkd.functional.sparse import has_sparse_products
from gkd.hosting.host import create_host
from gkd.hosting.kinds import KINDS
from gkd.hosting.loading import PluginSettings
from gkd.hosting.records import PluginRecord, State

REQUIRED = ("torch", "lightning", "torchmetrics", "pluggy")
OPTIONAL = {
    "scipy": "scipy",
    "torch-cluster": "torch_cluster",
    "torch-geometric": "torch_geometric",
}
VARIABLES = ("GKD_PLUGINS", "GKD_STRICT_PLUGINS", "GKD_DATA", "GKD_COMPILE")


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to know about the installation, and what to do about it."""

    finding: str
    action: str


@dataclass(slots=True)
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
    cuda = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    devices = ["cpu", *(f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in cuda)]
    if torch.backends.mps.is_available():
        devices.append("mps")
    found = Diagnosis(
        versions={
            "gkd": _version("gkd"),
            "python": platform.python_version(),
            **{name: _version(name) for name in (*REQUIRED, *OPTIONAL)},
        },
        platform=platform.platform(),
        devices=devices,
        threads=torch.get_num_threads(),
        sparse_products={
            kind: has_sparse_products(kind)
            for kind in dict.fromkeys(device.partition(":")[0] for device in devices)
        },
        variables={k: v for k, v in sorted(environment.items()) if k.startswith("GKD_")},
    )
    _examine_libraries(found)
    for device, present in found.sparse_products.items():
        if not present:
            finding = f"this build of torch has no sparse products on {device}"
            action = "results are the same; losses on edges take longer, in bounded chunks"
            found.hints.append(Advice(finding, action))
    if torch.version.cuda and not torch.cuda.is_available():
        finding = f"torch is built for CUDA {torch.version.cuda}, but no GPU can be used"
        found.hints.append(Advice(finding, "check the driver with nvidia-smi; the CPU is used"))
    _examine_plugins(found, environment)
    return found


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _examine_libraries(found: Diagnosis) -> None:
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
                finding = f"{name} is installed but does not import: {describe(error)}"
                rebuild = f"pip install --force-reinstall --no-deps --no-build-isolation {name}"
                action = f"it was probably built for another torch; rebuild it: {rebuild}"
                found.problems.append(Advice(finding, action))


def _examine_plugins(found: Diagnosis, environment: Mapping[str, str]) -> None:
    for name in found.variables.keys() - set(VARIABLES):
        near = suggestion(name, VARIABLES)
        if near.startswith("did you mean"):
            found.hints.append(Advice(f"{name} is set, which gkd does not read", near))
    try:
        wanted = PluginSettings.from_environment(environment)
        # Strict settings would make the first broken plugin an error: all are to be shown.
        host = create_host(settings=PluginSettings(wanted.allowed, strict=False))
    except GkdError as error:
        found.problems.append(Advice(str(error), "correct the variable, or unset it"))
        return
    found.plugins = host.plugins
    for distribution in dict.fromkeys(record.source.distribution for record in host.plugins):
        for requirement in _unmet(distribution, found.versions["gkd"]):
            finding = f"{distribution} requires {requirement}; {found.versions['gkd']} is installed"
            action = f"update both: pip install --upgrade gkd {distribution}"
            found.problems.append(Advice(finding, action))
    for record in host.plugins:
        if record.state is State.FAILED:
            name = record.source.distribution
            action = f"update or repair {name}, or run: pip uninstall {name}"
            found.problems.append(Advice(str(record), action))
        if record.slow:
            module = record.source.value.partition(":")[0]
            slowness = Advice(
                f"importing {record.source} takes {record.import_seconds:.1f} s, in every command",
                "its author can import large libraries inside the functions that need them; what "
                f"they are shows: {sys.executable} -X importtime -c 'import {module}'",
            )
            found.hints.append(slowness)
    for kind in KINDS:
        for name, component in host.components(kind).items():
            try:
                _ = component.factory
            except PluginError as error:
                release = component.source.distribution
                action = f"update or repair {release}, or run: pip uninstall {release}"
                found.problems.append(Advice(str(error), action))
            if ":" in name:  # the short name alone is ambiguous
                shared = f"{component}: another plugin offers that name too"
                found.hints.append(Advice(shared, f"ask for {name!r}"))


def _unmet(distribution: str, version: str | None) -> list[str]:
    """Return what a distribution requires of gkd, where this version of it is another.

    pip sees to it when it installs the plugin, and not when it installs another gkd later.
    """
    try:
        stated = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:  # a plugin that was not installed
        return []
    unmet = []
    for text in stated:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # not this program's to judge
            continue
        here = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if requirement.name != "gkd" or version is None or not here:
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            unmet.append(str(requirement))
    return unmet


def show_diagnosis(*, as_json: bool) -> bool:
    """Print what there is, then each problem and hint with what to do; return whether healthy."""
    found = quietly(diagnose)
    if as_json:
        plugins = {"plugins": [plugin_row(record) for record in found.plugins]}
        print_json({"healthy": not found.problems, **asdict(replace(found, plugins=())), **plugins})
        return not found.problems
    versions = {name: version or "not installed" for name, version in found.versions.items()}
    products = [
        f"{device}: {'yes' if has else 'no'}" for device, has in found.sparse_products.items()
    ]
    facts = versions | {
        "platform": found.platform,
        "devices": ", ".join(found.devices),
        "threads": str(found.threads),
        "sparse products": ", ".join(products),
        "plugins": ", ".join(f"{r.source.qualified} {r.state}" for r in found.plugins) or "none",
        **found.variables,
    }
    width = max(map(len, facts))
    print(printable("\n".join(f"{name:<{width}}  {value}" for name, value in facts.items())))
    for heading, advices in (("problem", found.problems), ("hint", found.hints)):
        for advice in advices:
            print(printable(f"\n{heading}: {advice.finding}\n    {advice.action}"))
    if not found.problems:
        print("\nhealthy")
    return not found.problems
