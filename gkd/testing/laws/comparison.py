"""When two results count as equal."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gkd.testing.law import require


def require_close(
    result: Tensor, expected: Tensor, what: str, rtol: float = 1e-6, atol: float = 1e-7
) -> None:
    """Require float64 tensors to agree to within what reordering sums may change."""
    require(
        result.shape == expected.shape,
        f"{what}: the shape is {list(result.shape)} instead of {list(expected.shape)}",
    )
    if torch.allclose(result, expected, rtol=rtol, atol=atol, equal_nan=True):
        return
    if result.numel() == 1:
        raise AssertionError(f"{what}: {expected.item():.10g} becomes {result.item():.10g}")
    gap = (result - expected).abs().max().item()
    raise AssertionError(f"{what}: values differ by up to {gap:.4g}")


def require_finite(tensor: Tensor | None, what: str) -> None:
    """Require that there is a tensor, and neither NaN nor infinity in it."""
    if tensor is None:
        raise AssertionError(f"{what} does not exist")
    if bool(torch.isfinite(tensor).all()):
        return
    kind = "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
    raise AssertionError(f"{what} contains {kind}")


def require_unmodified(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Require that tensors hold what they held."""
    for name, tensor in before.items():
        require(torch.equal(tensor, after[name]), f"{name} was modified in place")
