"""Distributions with plugins, written to a folder as installers leave them there."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from gkd.hosting.host import Host, create_host
from gkd.hosting.loading import PluginSettings
from gkd.hosting.records import PluginRecord

LOSS = """
    import torch
    from gkd import AbstractLoss, hookimpl

    class Zero(AbstractLoss):
        def forward(self, student, teacher):
            return student.logits.sum() * 0
"""

GOOD = dedent(LOSS) + dedent("""
    @hookimpl
    def gkd_losses():
        return {"good": Zero}
""")


@dataclass
class Site:
    """A folder on the import path, like ``site-packages``."""

    folder: Path

    def add(
        self,
        distribution: str,
        source: str,
        *,
        module: str = "",
        entry_points: Mapping[str, str] | None = None,
        version: str = "1.2",
    ) -> Path:
        """Install a distribution of one module; return the module's file."""
        module = module or distribution.replace("-", "_")
        file = self.folder / f"{module}.py"
        file.write_text(dedent(source), encoding="utf-8")
        self.declare(distribution, entry_points or {"plug": module}, version=version)
        return file

    def declare(
        self,
        distribution: str,
        entry_points: Mapping[str, str],
        *,
        version: str = "1.2",
        group: str = "gkd",
        requires: Sequence[str] = (),
    ) -> None:
        """Write the metadata of a distribution alone."""
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]), encoding="utf-8")

    def host(self, *, strict: bool = False, allowed: tuple[str, ...] | None = None) -> Host:
        """Discover everything that is installed, here and in the real site-packages."""
        return create_host(settings=PluginSettings(allowed, strict))

    def record(self, distribution: str) -> PluginRecord:
        """The record of the one plugin of ``distribution`` in a fresh host."""
        records = [r for r in self.host().plugins if r.source.distribution == distribution]
        assert len(records) == 1
        return records[0]


@contextmanager
def importing_from(folder: Path) -> Iterator[Site]:
    """Have a folder on the import path; its modules are forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GKD_PLUGINS", raising=False)
        patch.delenv("GKD_STRICT_PLUGINS", raising=False)
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.syspath_prepend(folder)
        before = set(sys.modules)
        yield Site(folder)
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty folder on the import path."""
    folder = tmp_path / "site"
    folder.mkdir()
    with importing_from(folder) as found:
        yield found
