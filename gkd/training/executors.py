"""The executors by name."""

import os

import torch

from gkd.errors import ParameterError, suggestion
from gkd.training.devices import Devices
from gkd.training.executor import Executor, Pool, Serial
from gkd.training.process_pool import ProcessPool
from gkd.training.ranks import by_torchrun
from gkd.training.ray_pool import RayPool

POOLS: dict[str, type[Pool]] = {"process": ProcessPool, "ray": RayPool}
"""Pools of workers."""


def executor_for(
    devices: Devices,
    jobs: int | None = None,
    name: str | None = None,
    threads: int | None = None,
) -> Executor:
    """Return what trains networks, ``jobs`` at once.

    Args:
        devices: of each network.
        jobs: how many networks are trained at once; by default one, or as many as a cluster has
            room for.
        name: of a pool of workers; by default processes of this machine, if there have to be any.
        threads: of torch in each process. By default as many as ``OMP_NUM_THREADS`` says, else
            torch's own number shared among the processes of this machine, one on a cluster.

    Raises:
        ParameterError: there is no such pool, or torchrun has started the processes.
    """
    if by_torchrun():
        if jobs is not None or name is not None:
            raise ParameterError(
                "--jobs and --executor: torchrun has started the processes already, which train "
                "one network after another together"
            )
        return Serial()
    if name is not None and name not in POOLS:
        raise ParameterError(f"--executor: no executor {name!r}; {suggestion(name, POOLS)}")
    if name is None and (jobs or 1) * devices.count == 1:
        return Serial()
    if devices.number is not None and devices.kind == "cuda":
        raise ParameterError(
            f"--device cuda:{devices.number} is for one process; for several, let "
            f"CUDA_VISIBLE_DEVICES={devices.number} choose, and leave the number out"
        )
    pool = POOLS[name or "process"]
    size = jobs or pool.most
    if threads is None:
        told = "OMP_NUM_THREADS" in os.environ
        threads = torch.get_num_threads() if told else pool.usual_threads(size * devices.count)
    # Where nobody asked for workers, what kills one may as well kill the next.
    return pool(size, threads) if name or jobs else pool(size, threads, tries=1)
