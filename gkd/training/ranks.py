"""Processes that torchrun has started, on one machine or several: each trains all of a run."""

import gc
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from gkd.errors import GkdError
from gkd.training.failures import explained

if TYPE_CHECKING:  # a mistake in a recipe is reported before torch is there
    import torch

Value = TypeVar("Value")

# What a process has to say that the first does not say, too: that has ended all by then.
PATIENCE = 3.0


def by_torchrun() -> bool:
    """Whether torchrun has started this process and others."""
    return bool(os.environ.get("TORCHELASTIC_RUN_ID")) and world_size() > 1


def world_size() -> int:
    """Return how many processes torchrun has started on all machines."""
    return int(os.environ.get("WORLD_SIZE", 1))


def machines() -> int:
    """Return on how many machines, each with as many processes as the others."""
    return max(1, world_size() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def is_first() -> bool:
    """Whether this process writes the folder and tells the user what happens."""
    return not by_torchrun() or os.environ.get("RANK", "0") == "0"


@contextmanager
def first_speaks() -> Iterator[None]:
    """Let the first process say what all have found: it then ends the others."""
    if by_torchrun():
        # Torch, when it is imported, takes it: each process would print pages of the lost ones.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        yield
    except GkdError as error:
        if not is_first():
            time.sleep(PATIENCE)
            error.add_note(f"(process {os.environ['RANK']}, on {socket.gethostname()})")
        raise


@contextmanager
def joined() -> Iterator[None]:
    """Leave the group of processes at the end, if they have met."""
    try:
        yield
    finally:
        if by_torchrun():
            _leave()


def _leave() -> None:
    from torch import distributed

    if distributed.is_initialized():
        # Or the interpreter may not come to its end; a group that a circle of objects holds would
        # outlive it, and end the process by SIGABRT.
        gc.collect()
        distributed.destroy_process_group()


@contextmanager
def agreement(device: "torch.device") -> Iterator[None]:
    """Meet the other processes at the end, and go on if none of them has raised.

    Args:
        device: of this process.

    Raises:
        GkdError: what one of them has raised; in the first process alone.
        SystemExit: in the others.
    """
    failure: GkdError | None = None
    try:
        yield
    except GkdError as error:
        if not by_torchrun():
            raise
        failure = error
    if not by_torchrun():
        return
    _meet(device)
    from torch import distributed

    words = None if failure is None else explained(failure)
    said: list[Any] = [None] * world_size()
    distributed.all_gather_object(said, (socket.gethostname(), words))
    if all(words is None for _, words in said):
        return
    if not is_first():
        raise SystemExit(2)
    if failure is not None:
        raise failure
    rank, host, words = next((rank, *one) for rank, one in enumerate(said) if one[1] is not None)
    raise GkdError(f"process {rank}, on {host}: {words}")


def _meet(device: "torch.device") -> None:
    import torch
    from torch import distributed

    if distributed.is_initialized():
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    except RuntimeError as error:
        if not is_first():
            raise SystemExit(2) from error
        raise GkdError(f"the processes of torchrun do not find one another: {error}") from error


def of_first(value: Value) -> Value:
    """Return what the first process has for ``value``."""
    if not by_torchrun():
        return value
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def wait_for_all() -> None:
    """Wait until all processes are here."""
    if by_torchrun():
        from torch import distributed

        distributed.barrier()


def is_of_others(error: Exception) -> bool:
    """Whether an error says that another process has ended.

    >>> is_of_others(RuntimeError("[gloo/transport/tcp/pair.cc:5] Connection closed by peer"))
    True
    """
    lost = re.search(r"gloo|NCCL|by peer|Broken pipe", str(error))
    return isinstance(error, RuntimeError) and lost is not None
