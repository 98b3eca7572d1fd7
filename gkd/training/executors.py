"""The executors by name."""

import os
from collections.abc import Callable

import torch

from gkd.errors import ParameterError, suggestion
from gkd.training.devices import Devices
from gkd.training.executor import Executor, Pool, Serial
from gkd.training.process_pool import ProcessPool

POOLS: dict[str, Callable[[int, int], Pool]] = {"process": ProcessPool}
"""What makes a pool of so many workers with so many threads."""


def executor_for(
    devices: Devices, jobs: int = 1, name: str | None = None, threads: int | None = None
) -> Executor:
    """Return what trains networks, ``jobs`` at once.

    Args:
        devices: of each network.
        jobs: how many networks are trained at once.
        name: of a pool of workers; by default processes of this machine, if there have to be any.
        threads: of torch in each process. By default as many as ``OMP_NUM_THREADS`` says, else
            torch's own number shared among all processes.

    Raises:
        ParameterError: there is no such pool.
    """
    if name is not None and name not in POOLS:
        raise ParameterError(f"--executor: no executor {name!r}; {suggestion(name, POOLS)}")
    processes = jobs * devices.count
    if name is None and processes == 1:
        return Serial()
    if threads is None:
        told = "OMP_NUM_THREADS" in os.environ
        threads = torch.get_num_threads() if told else max(1, torch.get_num_threads() // processes)
    pool = POOLS[name or "process"](jobs, threads)
    if name is None and jobs == 1:
        pool.tries = 1  # nobody asked for workers: what kills one may as well kill the next
    return pool
