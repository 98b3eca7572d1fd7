"""Parameters of a factory: its signature, and whether what is given fits it."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from gkd.errors import (
    NAMED,
    ParameterError,
    annotations,
    conform_arguments,
    notation,
    unknown_arguments,
    validators,
)


def signature_of(factory: Callable[..., Any]) -> inspect.Signature:
    """Return the parameters that ``factory`` can be called with, by keyword.

    >>> str(signature_of(lambda width, *, slope=0.2: None))
    '(width, *, slope=0.2)'
    """
    from torch import nn  # not above: names of components are found without torch

    if inspect.isclass(factory) and factory.__init__ is nn.Module.__init__:
        return inspect.Signature()  # torch declares (*args, **kwargs) and refuses both
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError):  # builtins do not tell: accept anything
        return inspect.signature(lambda **parameters: None)


def readable_signature(factory: Callable[..., Any]) -> str:
    """Return the parameters of ``factory`` as a user reads them, with their ranges.

    >>> from pydantic import PositiveInt
    >>> def factory(k: PositiveInt = 20, **parameters: Any): ...
    >>> readable_signature(factory)
    '(k: int > 0 = 20, **parameters)'
    """
    known = dict(annotations(_constructor(factory)))
    words = []
    for parameter in signature_of(factory).parameters.values():
        # An annotation that cannot be evaluated is shown as it is written.
        annotation = known.get(parameter.name, parameter.annotation)
        if parameter.kind in NAMED and annotation is not parameter.empty:
            default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
            words.append(f"{parameter.name}: {notation(annotation)}{default}")
        else:
            words.append(str(parameter.replace(annotation=parameter.empty)))
    return f"({', '.join(words)})"


def path_parameters(factory: Callable[..., Any]) -> set[str]:
    """Return the names of the parameters that take a ``pathlib.Path``, by their annotations.

    >>> from pathlib import Path
    >>> def factory(root: str | Path, split: str): ...
    >>> path_parameters(factory)
    {'root'}
    """
    found = annotations(_constructor(factory))
    return {name for name, annotation in found if Path in (annotation, *get_args(annotation))}


def unusable_parameters(factory: Callable[..., Any]) -> Iterator[str]:
    """Say which parameters recipes cannot give, or cannot have checked as their authors meant.

    >>> def factory(k: int, slope: "NoSuchType" = 0.2, mode=None): ...
    >>> list(unusable_parameters(factory))
    ["the annotation of 'slope', 'NoSuchType', cannot be evaluated: what it names is not there..."]
    """
    evaluated = dict(annotations(_constructor(factory)))
    for name, parameter in signature_of(factory).parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            yield f"{name!r} stands before a /, and recipes give parameters by their names"
        elif (
            parameter.kind in NAMED
            and parameter.annotation is not parameter.empty
            and name not in evaluated
        ):
            written = f"the annotation of {name!r}, {parameter.annotation!r}, cannot be evaluated"
            yield f"{written}: what it names is not there, but for type checkers"


def accepts(factory: Callable[..., Any], name: str, value: Any) -> bool | None:
    """Whether a parameter can have a value; None where it has no annotation that tells.

    >>> def factory(k: int, slope: float, mode): ...
    >>> accepts(factory, "k", 0.5), accepts(factory, "slope", 0.5), accepts(factory, "mode", 0.5)
    (False, True, None)
    """
    constructor = _constructor(factory)
    if name not in validators(constructor):
        return None
    return not conform_arguments(constructor, {name: value})[1]


def bind_parameters(
    factory: Callable[..., Any],
    parameters: Mapping[str, Any],
    owner: str,
    *,
    trust: bool = True,
    whole: bool = True,
) -> dict[str, Any]:
    """Return ``parameters`` as ``factory`` takes them: lists from TOML have become tuples.

    A factory with ``**parameters`` takes names that its signature does not list, and checks them.
    Values for a constructor that is ``validated`` are left to it if we ``trust`` it to be called:
    so they are checked once. Unless they are the ``whole``, others are to follow, and none is
    missing yet.

    Raises:
        ParameterError: from ``owner``; names all parameters that are unknown, missing or mistyped.

    >>> def factory(widths: tuple[int, ...], slope: float = 0.2): ...
    >>> bind_parameters(factory, {"widths": [64, 128]}, "model 'mlp'")
    {'widths': (64, 128)}
    >>> bind_parameters(factory, {"widths": [64], "slop": 0.1}, "model 'mlp'")
    Traceback (most recent call last):
    gkd.errors.ParameterError: model 'mlp': unknown parameter 'slop', did you mean 'slope'?
      its parameters: (widths: tuple[int, ...], slope: float = 0.2)
    """
    signature = signature_of(factory)
    wrong = list(unknown_arguments(signature, parameters))
    for name, parameter in signature.parameters.items():
        required = parameter.kind in NAMED and parameter.default is parameter.empty
        if whole and required and name not in parameters:
            wrong.append(f"missing parameter {name!r}")
    constructor = _constructor(factory)
    if trust and not wrong and getattr(constructor, "validates_arguments", False):
        return dict(parameters)
    values, mistyped = conform_arguments(constructor, parameters)
    if wrong := [*wrong, *mistyped]:
        parameters_line = f"  its parameters: {readable_signature(factory)}"
        raise ParameterError(f"{owner}: {'; '.join(wrong)}\n{parameters_line}")
    return values


def _constructor(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that has the annotations of ``factory``."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if inspect.isclass(factory):
        # A named tuple, for one, is made by __new__ alone.
        made_by_new = factory.__init__ is object.__init__
        return factory.__new__ if made_by_new else factory.__init__
    function = factory if inspect.isroutine(factory) else type(factory).__call__
    return getattr(function, "__func__", function)
