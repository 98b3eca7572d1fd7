"""The mistakes gkd can explain, and the words that explain them.

The command line prints a :class:`GkdError` and exits with 2. :func:`validated` checks what a
constructor is called with; :func:`mistakes` words what does not fit a model, such as a recipe.
What raises these errors is here: the modules below know the words alone.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from gkd.errors.arguments import (
    NAMED,
    annotations,
    conform_arguments,
    unknown_arguments,
    validators,
)
from gkd.errors.model_mistakes import mistakes
from gkd.errors.notation import notation
from gkd.errors.validator import Validator, mistake
from gkd.errors.words import OTHER_WORDS, nearest, printable, shown, suggestion

__all__ = [
    "NAMED",
    "OTHER_WORDS",
    "DataError",
    "GkdError",
    "NonFiniteError",
    "ParameterError",
    "PluginError",
    "RecipeError",
    "TapError",
    "UnknownNameError",
    "Validator",
    "annotations",
    "conform_arguments",
    "known_arguments",
    "mistake",
    "mistakes",
    "nearest",
    "notation",
    "printable",
    "shown",
    "suggestion",
    "unknown_arguments",
    "validated",
    "validators",
]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class GkdError(Exception):
    """Base of every error whose message tells the user what to do."""


class UnknownNameError(GkdError, LookupError):
    """A name that no plugin, tap or recipe provides."""


class ParameterError(GkdError, ValueError):
    """An unknown, missing or mistyped parameter, or a value out of its range."""


class PluginError(GkdError):
    """A plugin that cannot be used, or two that offer one name."""


class TapError(GkdError, LookupError):
    """A tap that does not exist, never fires or yields no usable tensor."""


class NonFiniteError(GkdError, ArithmeticError):
    """NaN or infinity where a finite number is required."""


class RecipeError(GkdError, ValueError):
    """A recipe that does not parse or does not validate."""


class DataError(GkdError, ValueError):
    """Data that is missing, truncated, foreign or inconsistent."""


def validated(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Check the arguments of ``function`` by their annotations, whenever it is called.

    The decorator for constructors of components: ranges are written as types, such as pydantic's
    ``PositiveInt`` or ``Annotated[float, Field(ge=0, lt=1)]``, and nothing else needs to check
    them. Values are as strict, and converted as little, as :meth:`Validator.conform` says.

    Raises:
        ParameterError: from the call; names it, and every argument that is unknown or wrong.

    >>> from typing import Literal
    >>> from pydantic import PositiveInt
    >>> class Smooth:
    ...     @validated
    ...     def __init__(self, width: PositiveInt, mode: Literal["mean", "max"] = "mean"):
    ...         self.width = width
    >>> Smooth(3).width
    3
    >>> Smooth(0)
    Traceback (most recent call last):
    gkd.errors.ParameterError: Smooth: parameter 'width' must be int > 0, got 0
    """
    owner = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    positions = inspect.getfullargspec(function).args
    takes = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        # Too many arguments, or one given twice, are left to Python, whose words are known.
        given = dict(zip(positions, args, strict=False)) | kwargs
        values, wrong = conform_arguments(function, given)
        if wrong := [*unknown_arguments(takes, kwargs), *wrong]:
            raise ParameterError(f"{owner}: {'; '.join(wrong)}")
        first: Any = (*(values[name] for name in positions[: len(args)]), *args[len(positions) :])
        named: Any = {name: values[name] for name in kwargs}
        return function(*first, **named)

    call.__dict__["validates_arguments"] = True  # so that gkd.create does not check them as well
    return call


def known_arguments(cls: type[Result]) -> type[Result]:
    """Let a class refuse names that are no parameters of its own by a :class:`ParameterError`.

    >>> from dataclasses import dataclass
    >>> @known_arguments
    ... @dataclass
    ... class Layer:
    ...     width: int
    >>> Layer(widht=3)
    Traceback (most recent call last):
    gkd.errors.ParameterError: Layer: unknown parameter 'widht', did you mean 'width'?
      its parameters: width
    """
    made, names = cls.__init__, tuple(inspect.signature(cls).parameters)

    @functools.wraps(made)
    def call(*args: Any, **kwargs: Any) -> None:
        # By names alone, which torch.compile can follow: views are made within compiled steps.
        if not all(name in names for name in kwargs):
            wrong = "; ".join(unknown_arguments(inspect.signature(made), kwargs))
            raise ParameterError(f"{cls.__name__}: {wrong}\n  its parameters: {', '.join(names)}")
        made(*args, **kwargs)

    cls.__init__ = call  # type: ignore[method-assign]
    return cls
