"""Functions that ``torch.compile`` leaves as they are, and that have another form for exports."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

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


def exported_as(
    plain: Callable[..., object],
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Return a decorator: while ``torch.export`` traces, ``plain`` is called in a function's place.

    For what an exported program cannot hold: operators of gkd's own, sparse products, anything that
    depends on the content of tensors. ``plain`` gives the same in operators that every runtime has.

    >>> @exported_as(lambda values: values.sum())
    ... def total(values: torch.Tensor) -> torch.Tensor:
    ...     return values.new_tensor(sum(values.tolist()))
    >>> total(torch.ones(3))
    tensor(3.)
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @wraps(function)
        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            if _is_exporting():
                return cast(Result, plain(*args, **kwargs))
            return function(*args, **kwargs)

        return call

    return decorate


# torch has it from 2.7 on; before, nothing is exported.
_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)
