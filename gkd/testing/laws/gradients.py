"""Comparison of gradients with differences of values."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck


def require_right_gradient(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
    """Require that the gradient of ``function`` at float64 ``inputs`` is its slope.

    Raises:
        AssertionError: it is not; says what gradcheck says.
    """
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    try:
        gradcheck(function, leaves, eps=1e-6, atol=1e-5, rtol=1e-3, nondet_tol=1e-9)
    except GradcheckError as error:
        message = " ".join(str(error).split())
        raise AssertionError(f"gradcheck: {message}") from error
