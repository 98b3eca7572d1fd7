"""What a run computes on: kind and number of devices."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

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
        number: of the device of a run on a single one; None takes the first.
    """

    kind: str
    count: int = 1
    machines: int = 1
    number: int | None = None

    @classmethod
    def of(cls, kind: str = "auto", count: int = 1) -> "Devices":
        """Check what the user asked for; ``"auto"`` is cuda where there is one, else the CPU.

        ``"cuda:1"`` is one device, as torch counts them.

        Raises:
            ParameterError: a device that does not exist or that this machine has not.
        """
        kind, colon, index = kind.partition(":")
        if colon:
            return cls._single(kind, index, count)
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

    @classmethod
    def _single(cls, kind: str, index: str, count: int) -> "Devices":
        """Return one device by its number."""
        name, found = f"{kind}:{index}", cls.of(kind)
        most = torch.cuda.device_count() if found.kind == "cuda" else 1
        if not (index.isdecimal() and index.isascii() and len(index) < 9 and int(index) < most):
            raise ParameterError(f"no device {name!r}: {found.kind} has 0 to {most - 1}")
        if count != 1 or by_torchrun():
            raise ParameterError(
                f"--device {name} is one device; for several, leave the number out"
            )
        return replace(found, number=int(index))

    @property
    def torch_device(self) -> torch.device:
        """Device of this process."""
        if self.kind == "cpu":
            return torch.device("cpu")
        # A process that computes by itself may find the number of another program's.
        number = os.environ.get("LOCAL_RANK", 0) if self.count > 1 else self.number or 0
        return torch.device(self.kind, int(number))

    @property
    def of_lightning(self) -> int | list[int]:
        """Devices of this machine as Lightning takes them: how many, or which."""
        if self.kind == "cuda" and self.number is not None:
            return [self.number]
        return self.count // self.machines

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
