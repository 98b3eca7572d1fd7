"""What a benchmark is, and where it computes in which precision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from gkd.errors import GkdError

CPU = torch.device("cpu")

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Setting:
    """Device and precision of one side of a benchmark.

    Args:
        device: where it computes.
        dtype: of the features that a loss sees; networks keep float32 parameters and run under
            autocast where it is half precision.
        exact: compute in float64 on the CPU instead, from the same numbers as ``dtype`` holds.

    >>> setting = Setting(dtype=torch.bfloat16)
    >>> value = torch.tensor(1.001)
    >>> setting.features(value), setting.exactly().features(value)
    (tensor(1., dtype=torch.bfloat16), tensor(1., dtype=torch.float64))
    """

    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    exact: bool = False

    def exactly(self) -> Setting:
        """Return the setting that errors are measured against."""
        return replace(self, exact=True)

    def features(self, values: Tensor) -> Tensor:
        """Return ``values`` in the precision of the setting, on its device."""
        rounded = values.to(self.dtype)
        return rounded.to("cpu", torch.float64) if self.exact else rounded.to(self.device)

    def inputs(self, values: Tensor) -> Tensor:
        """Return what a network is called with: float32, for autocast to round, or float64."""
        return values.double() if self.exact else values.to(self.device)

    def indices(self, values: Tensor) -> Tensor:
        """Return ``values``, which are no measured quantity, on the device."""
        return values if self.exact else values.to(self.device)

    def module(self, module: Module) -> Module:
        """Return ``module``, moved, with parameters in float32 or float64."""
        return module.double() if self.exact else module.to(self.device)

    def autocast(self) -> torch.autocast:
        """Context for the forward pass of a network: half precision where the setting says so."""
        half = self.dtype in (torch.float16, torch.bfloat16)
        dtype = self.dtype if half else torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=half and not self.exact)


Work: TypeAlias = Callable[[], Sequence[Tensor]]
"""One repetition of what is measured; it returns the results that have an error."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a benchmark is to show.

    Args:
        speed: how many times as fast as the alternative gkd is to be, at least.
        time: the time that gkd may take, at most, in units of the alternative's.
        memory: the same of the memory that a step holds at its peak.
        process_bytes: whole-process memory that gkd may take at its peak.
    """

    speed: float | None = None
    time: float | None = None
    memory: float | None = None
    process_bytes: int | None = None


class MissingPackageError(GkdError):
    """A benchmark's alternative is not installed; the message says how to install it."""


class Benchmark(ABC):
    """One task, done by gkd and by a named alternative.

    The first sentence of a subclass's docstring says what is measured. Both sides start from the
    same numbers, drawn from fixed seeds.

    Attributes:
        alternative: name of what gkd is compared with.
        goal: what the comparison is to show.
        same_result: whether both sides compute the same, so that errors of both are measured
            against the alternative in float64; otherwise each is compared with itself.
        repeats: how often each side is measured, unless the user says otherwise.
        long: whether it takes minutes, so that a quick run leaves it out unless it is asked for.
        units: number of items (edges, say) that gkd's and the alternative's side work on. Time
            and memory are compared for each item.
    """

    alternative: ClassVar[str]
    goal: Goal = Goal()
    same_result: bool = True
    repeats: int = 15
    long: bool = False
    units: tuple[float, float] = (1.0, 1.0)

    @abstractmethod
    def ours(self, setting: Setting) -> Work:
        """Prepare gkd's side, and return what is to be measured of it."""

    @abstractmethod
    def theirs(self, setting: Setting) -> Work:
        """Prepare the alternative's side, and return what is to be measured of it.

        Raises:
            MissingPackageError: the alternative is not installed.
        """

    def results(self, setting: Setting, *, ours: bool) -> Sequence[Tensor]:
        """Return what one side computes, for its error; by default what its work returns.

        None of it, where the two sides differ in nothing that could be wrong.
        """
        return (self.ours if ours else self.theirs)(setting)()

    def error(self, results: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
        """Return the largest relative error, in norm, among one side's results.

        Args:
            results: as :meth:`results` returned them.
            exact: the same in float64, on the CPU.
        """
        return max(
            float((ours.cpu().double() - expected).norm() / expected.norm().clamp_min(1e-300))
            for ours, expected in zip(results, exact, strict=True)
        )

    def traffic(self) -> int | None:
        """Bytes that gkd's side must read and write where no cache holds them, if that bounds it.

        In float32; reported as the share of the bandwidth that copying a large tensor has.
        """
        return None
