"""Values of parameters: whether one conforms to the type its annotation names."""

import inspect
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from gkd.errors import ParameterError, suggestion


def conforming(value: Any, annotation: Any) -> Any:
    """Return ``value`` if it is of the type ``annotation``; what TOML cannot write is converted.

    Nothing is guessed: True is no number, "1" is no integer. A whole number is a float; a list
    is a tuple, and a string a path, where the annotation says so.

    Raises:
        ParameterError: it is not; says what was expected.

    >>> conforming([1, 2], tuple[int, ...])
    (1, 2)
    >>> conforming("medain", float | typing.Literal["median"])
    Traceback (most recent call last):
    gkd.errors.ParameterError: must be float | 'median', got 'medain'; did you mean 'median'? ...
    """
    from pydantic import ValidationError

    adapter = _adapter(annotation)
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        try:
            return adapter.validate_json(json.dumps(value), strict=True)
        except (TypeError, ValueError):
            raise ParameterError(_expected(value, annotation, error)) from None


def _adapter(annotation: Any) -> Any:
    """Return what validates values of the type ``annotation``; None if pydantic knows no way."""
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError
    from pydantic_core import SchemaError

    # Data classes and models bring a configuration of their own and refuse another.
    for config in (ConfigDict(arbitrary_types_allowed=True), None):
        try:
            return TypeAdapter(annotation, config=config)
        except (PydanticUserError, SchemaError, TypeError, NameError):
            continue
    return None


def _expected(value: Any, annotation: Any, error: Any) -> str:
    message = f"must be {readable(annotation)}, got {value!r}"
    details = error.errors(include_url=False, include_input=False)
    if typing.get_origin(annotation) is typing.Annotated:
        message += f" ({details[0]['msg'].lower()})"
    literals = [choice for choice in _literals(annotation) if isinstance(choice, str)]
    near = f"; {suggestion(value, literals)}" if isinstance(value, str) and literals else ""
    return message + near


def _literals(annotation: Any) -> Iterator[Any]:
    for argument in typing.get_args(annotation):
        if typing.get_origin(annotation) is typing.Literal:
            yield argument
        else:
            yield from _literals(argument)


def readable(annotation: Any) -> str:
    """Return ``annotation`` as a user reads it: without the modules of its types.

    >>> readable(float | typing.Literal["median"] | None)
    "float | 'median' | None"
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, str):
        return annotation
    if annotation is type(None):
        return "None"
    if origin is typing.Literal:
        return " | ".join(map(repr, arguments))
    if origin is typing.Annotated:
        return readable(arguments[0])
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(map(readable, arguments))
    if origin is None and inspect.isclass(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")
