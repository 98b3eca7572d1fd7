"""Functions that ``torch.compile`` leaves as they are."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def eagerly(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return ``function``, run as it is where a compiled function calls it.

    For what depends on the content of tensors (the order of edges, the number of neighbours, the
    precision that is needed) or computes on sparse ones: ``torch.compile`` takes none of it. The
    compiled graph ends before such a function and a new one begins behind it.
    """
    uncompiled: Callable[Parameters, Result] | None = None

    @wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        nonlocal uncompiled
        # Nothing is compiled before that module is there, and importing it takes a second.
        if uncompiled is None and "torch._dynamo" in sys.modules:
            uncompiled = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
        return (uncompiled or function)(*args, **kwargs)

    return call
