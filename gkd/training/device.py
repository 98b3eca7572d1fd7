"""Where a run computes: device, number of devices, precision."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from gkd.errors import ParameterError, suggestion

_AVAILABLE: dict[str, Callable[[], bool]] = {
    "cpu": lambda: True,
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}


@dataclass(frozen=True)
class Placement:
    """Device and number of devices of a run.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        devices: processes, one per device; each takes its share of every batch.
    """

    device: str
    devices: int = 1

    @classmethod
    def of(cls, device: str = "auto", devices: int = 1) -> "Placement":
        """Check what the user asked for; ``"auto"`` is cuda where there is one, else the CPU.

        Raises:
            ParameterError: a device that does not exist or that this machine has not.
        """
        if device == "auto":
            # Not mps: it lacks the sparse products, so a CPU is the better guess.
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device not in _AVAILABLE:
            raise ParameterError(
                f"no device {device!r}: {suggestion(device, ['auto', *_AVAILABLE])}"
            )
        if not _AVAILABLE[device]():
            here = ", ".join(name for name, available in _AVAILABLE.items() if available())
            raise ParameterError(f"this machine has no {device} that torch can use; it has: {here}")
        found = torch.cuda.device_count() if device == "cuda" else None
        if devices < 1 or (found is not None and devices > found):
            most = found or os.cpu_count() or "the number of cores"
            raise ParameterError(f"--devices {devices}: expected 1 to {most}")
        if device == "mps" and devices > 1:
            raise ParameterError("--devices: there is one mps device")
        return cls(device, devices)

    @property
    def torch_device(self) -> torch.device:
        """Device of this process."""
        if self.device == "cpu":
            return torch.device("cpu")
        return torch.device(self.device, int(os.environ.get("LOCAL_RANK", 0)))

    def check(self, batch_size: int, precision: str) -> None:
        """Make sure that a batch can be shared out, and that the precision can be had.

        Raises:
            ParameterError: one of them is not so.
        """
        if batch_size % self.devices:
            raise ParameterError(
                f"a batch_size of {batch_size} is not divisible by {self.devices} devices"
            )
        if precision == "16-mixed" and self.device == "cpu":
            raise ParameterError(
                "precision 16-mixed needs a GPU; on a CPU use bf16-mixed or 32-true"
            )
