"""What every test shares: the place of the real data, commands, hypothesis profiles."""

import gc
import logging
import os
from functools import partial
from pathlib import Path

import hypothesis
import pytest
import torch
from command_line import run
from fake_distributions import site
from warm_python import spawn_warm

__all__ = ["data_root", "run", "site"]

spawn_warm()

# Tests are small: a second thread only waits, and on a busy machine it waits long; so it does in
# the processes that they start. A number that someone asks for stands: make test-portable does.
if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


# No power fails in a test, and a run waits for the disk some fifty times, a millisecond each.
os.fsync = lambda fd: None
# Nor is a loader kept waiting: who waits for a worker that was killed looks every five seconds.
torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.2


def pytest_report_header() -> str:
    """Say what results may depend on in their last digits."""
    kernels = torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}, kernels {kernels}, threads {torch.get_num_threads()}"


# Each takes a minute. A file goes to one process: one that is long and comes last is waited for.
_LONGEST = (
    "test_plugin_guide.py",
    "test_shipped_components.py",
    "test_third_party_plugin.py",
    "test_scaffold_projects.py",
    "test_gkd_pytest.py",
    "test_sweep_run.py",
    "test_training_resume.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin first."""
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


# What collecting makes stays to the end: there is no use in looking through it for garbage.
gc.disable()


def pytest_collection_finish() -> None:
    """Let records of torch and Lightning go the usual way, to the handlers of the root.

    Pytest hangs its own on every logger that does not let them, fifty times six in each test.
    """
    gc.freeze()
    gc.enable()
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.propagate = True


hypothesis.settings.register_profile(
    "default",
    deadline=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "thorough", parent=hypothesis.settings.get_profile("default"), max_examples=1000
)
hypothesis.settings.register_profile(
    "ci", parent=hypothesis.settings.get_profile("default"), derandomize=True, print_blob=True
)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default")
)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets, named by ``GKD_DATA``; its absence is a failure under CI."""
    named = os.environ.get("GKD_DATA")
    if named and Path(named).is_dir():
        return Path(named)
    reason = (
        f"real data: GKD_DATA={named!r} is not a folder"
        if named
        else "real data: GKD_DATA is not set"
    )
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def quick_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs ask their networks three times each where they ask fifty times otherwise."""
    from gkd.evaluation.latency import latencies  # not above: most tests do without torchmetrics

    monkeypatch.setattr("gkd.training.latency_file.latencies", partial(latencies, rounds=3))
