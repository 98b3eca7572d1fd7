"""Parameters of a factory: checked against its signature before it is called."""

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn

from gkd.errors import ParameterError
from gkd.hosting.annotations import conforming, readable

_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def signature_of(factory: Callable[..., Any]) -> inspect.Signature:
    """Return the parameters that ``factory`` can be called with, by keyword.

    >>> str(signature_of(lambda width, *, slope=0.2: None))
    '(width, *, slope=0.2)'
    """
    if inspect.isclass(factory) and factory.__init__ is nn.Module.__init__:
        return inspect.Signature()  # torch declares (*args, **kwargs) and refuses both
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError):  # builtins do not tell: accept anything
        anything = inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD)
        return inspect.Signature([anything])


def readable_signature(factory: Callable[..., Any]) -> str:
    """Return the parameters of ``factory`` as a user reads them: types without their modules.

    >>> def factory(sigma: float | typing.Literal["median"] = 1.0, **parameters: Any): ...
    >>> readable_signature(factory)
    "(sigma: float | 'median' = 1.0, **parameters)"
    """
    signature = signature_of(factory)
    annotations = dict(_annotations(factory, signature))
    return f"({', '.join(_written(p, annotations) for p in signature.parameters.values())})"


def _written(parameter: inspect.Parameter, annotations: Mapping[str, Any]) -> str:
    bare = parameter.replace(annotation=parameter.empty, default=parameter.empty)
    annotation = annotations.get(parameter.name, parameter.annotation)
    known = parameter.kind in _KEYWORDS and annotation is not parameter.empty
    default = "" if parameter.default is parameter.empty else repr(parameter.default)
    if not known:
        return f"{bare}={default}" if default else str(bare)
    typed = f"{bare}: {readable(annotation)}"
    return f"{typed} = {default}" if default else typed


def checked_parameters(
    factory: Callable[..., Any], parameters: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    """Return ``parameters`` as ``factory`` takes them: lists from TOML have become tuples.

    A factory with ``**parameters`` takes names that its signature does not list, and checks them.

    Args:
        factory: class or function.
        parameters: by name.
        owner: what the factory makes, for messages.

    Raises:
        ParameterError: one is unknown, missing or mistyped; all that are wrong are named.

    >>> def factory(widths: tuple[int, ...], slope: float = 0.2): ...
    >>> checked_parameters(factory, {"widths": [64, 128]}, "model 'mlp'")
    {'widths': (64, 128)}
    >>> checked_parameters(factory, {"widths": [64], "slop": 0.1}, "model 'mlp'")
    Traceback (most recent call last):
    gkd.errors.ParameterError: model 'mlp': unknown parameter 'slop', did you mean 'slope'?
      its parameters: (widths: tuple[int, ...], slope: float = 0.2)
    """
    signature = signature_of(factory)
    names = [p.name for p in signature.parameters.values() if p.kind in _KEYWORDS]
    wrong = [*_unknown(signature, names, parameters), *_missing(signature, parameters)]
    values = dict(parameters)
    for name, annotation in _annotations(factory, signature):
        if name in parameters:
            try:
                values[name] = conforming(parameters[name], annotation)
            except ParameterError as error:
                wrong.append(f"parameter {name!r} {error}")
    if wrong:
        parameters_line = f"  its parameters: {readable_signature(factory)}"
        raise ParameterError(f"{owner}: {'; '.join(wrong)}\n{parameters_line}")
    return values


def _unknown(
    signature: inspect.Signature, names: list[str], parameters: Mapping[str, Any]
) -> Iterator[str]:
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return
    for name in parameters:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            yield f"unknown parameter {name!r}{f', did you mean {near[0]!r}?' if near else ''}"


def _missing(signature: inspect.Signature, parameters: Mapping[str, Any]) -> Iterator[str]:
    for name, parameter in signature.parameters.items():
        required = parameter.kind in _KEYWORDS and parameter.default is parameter.empty
        if required and name not in parameters:
            yield f"missing parameter {name!r}"


def _annotations(
    factory: Callable[..., Any], signature: inspect.Signature
) -> Iterator[tuple[str, Any]]:
    """Pairs of name and evaluated annotation, without those that cannot be evaluated."""
    function = factory
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        function = function.__init__
    elif not inspect.isroutine(function):
        function = type(function).__call__
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    for name, parameter in signature.parameters.items():
        if parameter.kind in _KEYWORDS and parameter.annotation is not parameter.empty:
            try:
                yield name, _evaluated(parameter.annotation, scope)
            except Exception:  # a name imported for type checkers alone: nothing to check against
                continue


def _evaluated(annotation: Any, scope: dict[str, Any]) -> Any:
    def probe() -> None: ...

    probe.__annotations__ = {"value": annotation}
    return typing.get_type_hints(probe, globalns=scope, include_extras=True)["value"]
