"""The arguments of a call: which a function takes, and whether they fit their annotations."""

import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gkd.errors.validator import Validator
from gkd.errors.words import nearest

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
"""Parameters that a caller may give by name."""


def unknown_arguments(takes: inspect.Signature, given: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each name that is none of a signature's parameters."""
    declared = takes.parameters.values()
    known = [p.name for p in declared if p.kind in NAMED and p.name != "self"]
    for name in given:
        if name not in known and not any(p.kind is p.VAR_KEYWORD for p in declared):
            within = f", did you mean params={{{name!r}: ...}}?" if "params" in known else ""
            hint = f", did you mean {near!r}?" if (near := nearest(name, known)) else within
            yield f"unknown parameter {name!r}{hint}"


def conform_arguments(
    function: Callable[..., Any], arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return ``arguments`` as ``function`` takes them, and a sentence for each that is wrong."""
    values, wrong = dict(arguments), []
    for name, validator in validators(function).items():
        if name in arguments:
            try:
                values[name] = validator.conform(arguments[name])
            except ValueError as error:
                wrong.append(f"parameter {name!r} {error}")
    return values, wrong


@functools.lru_cache(maxsize=256)
def validators(function: Callable[..., Any]) -> Mapping[str, Validator]:
    """Return what checks the parameters of ``function`` that have an annotation, by name."""
    # Building a validator takes a hundred times as long as using it: hence the cache, with an end,
    # because it keeps the functions alive.
    return {name: Validator.of(annotation) for name, annotation in annotations(function)}


def annotations(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and evaluated annotation of each parameter that may be given by name."""
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins do not tell
        return
    for name, parameter in parameters.items():
        if parameter.kind not in NAMED or parameter.annotation is parameter.empty:
            continue

        def probe() -> None: ...

        # One by one: a name imported for type checkers alone must not hide the other annotations.
        probe.__annotations__ = {name: parameter.annotation}
        try:
            yield name, typing.get_type_hints(probe, scope, include_extras=True)[name]
        except Exception:
            continue
