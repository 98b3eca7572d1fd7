"""What a run computes on: kind and number of devices."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from gkd.errors import ParameterError, suggestion
from gkd.training.ranks import by_torchrun, machines, world_size

_AVAILABLE: dict[str, Callable[[], bool]] = {
    "cpu": lambda: True,
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}


@dataclass(frozen=True)
class Devices:
    """Kind and number of the devices of a run.

    Args:
        kind: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        count: processes, one per device; each takes its share of every batch.
        machines: that have them, each as many.
    """

    kind: str
    count: int = 1
    machines: int = 1

    @classmethod
    def of(cls, kind: str = "auto", count: int = 1) -> "Devices":
        """Check what the user asked for; ``"auto"`` is cuda where there is one, else the CPU.

        Raises:
            ParameterError: a device that does not exist or that this machine has not.
        """
        if kind == "auto":
            # Not mps: it lacks the sparse products, so a CPU is the better guess.
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        if kind not in _AVAILABLE:
            raise ParameterError(f"no device {kind!r}: {suggestion(kind, ['auto', *_AVAILABLE])}")
        if not _AVAILABLE[kind]():
            there = ", ".join(name for name, available in _AVAILABLE.items() if available())
            raise ParameterError(f"this machine has no {kind} that torch can use; it has: {there}")
        if by_torchrun():
            if count not in (1, world_size()):
                raise ParameterError(
                    f"--devices {count}: torchrun has started {world_size()} processes; leave "
                    "--devices out"
                )
            here = world_size() // machines()
            if kind == "cuda" and here > torch.cuda.device_count():
                raise ParameterError(
                    f"torchrun has started {here} processes on this machine, which has "
                    f"{torch.cuda.device_count()} devices"
                )
            return cls(kind, world_size(), machines())
        found = torch.cuda.device_count() if kind == "cuda" else None
        if count < 1 or (found is not None and count > found):
            most = found or os.cpu_count() or "the number of cores"
            raise ParameterError(f"--devices {count}: expected 1 to {most}")
        if kind == "mps" and count > 1:
            raise ParameterError("--devices: there is one mps device")
        return cls(kind, count)

    @property
    def torch_device(self) -> torch.device:
        """Device of this process."""
        if self.kind == "cpu":
            return torch.device("cpu")
        # A process that computes by itself may find the number of another program's.
        number = os.environ.get("LOCAL_RANK", 0) if self.count > 1 else 0
        return torch.device(self.kind, int(number))

    def check(self, batch_size: int, precision: str) -> None:
        """Make sure that a batch has something for every device, and that the precision can be had.

        Raises:
            ParameterError: one of them is not so.
        """
        if batch_size < self.count:
            raise ParameterError(
                f"{self.count} devices cannot share a batch of {batch_size}: raise batch_size"
            )
        if precision == "16-mixed" and self.kind == "cpu":
            raise ParameterError(
                "precision 16-mixed needs a GPU; on a CPU use bf16-mixed or 32-true"
            )
