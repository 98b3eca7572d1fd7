"""Where, and in which precision, a benchmark computes."""

from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

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

    def exactly(self) -> "Setting":
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
