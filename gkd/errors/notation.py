"""Annotations as users read them."""

import inspect
import types
import typing
from collections.abc import Iterable
from typing import Any


def notation(annotation: Any) -> str:
    """Return ``annotation`` as a user reads it: types without their modules, ranges by signs.

    >>> from pydantic import Field, PositiveInt
    >>> notation(float | typing.Literal["median"] | None)
    "float | 'median' | None"
    >>> notation(tuple[PositiveInt, ...])
    'tuple[int > 0, ...]'
    >>> notation(typing.Annotated[float, Field(ge=0, lt=1)])
    '0 <= float < 1'
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, str):
        return annotation
    if annotation is type(None):
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, list):  # the arguments of a Callable
        return f"[{', '.join(map(notation, annotation))}]"
    if origin is typing.Literal:
        return " | ".join(map(repr, arguments))
    if origin is typing.Annotated:
        return _constrain(notation(arguments[0]), arguments[1:])
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(map(notation, arguments))
    if inspect.isclass(origin) and arguments:
        return f"{origin.__name__}[{', '.join(map(notation, arguments))}]"
    if inspect.isclass(annotation):
        # A model of pydantic is written as a table, in TOML.
        return "table" if hasattr(annotation, "model_fields") else annotation.__name__
    return str(annotation).replace("typing.", "")


_CONSTRAINTS = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "min_length": "of length >=",
    "max_length": "of length <=",
    "multiple_of": "that is a multiple of",
    "pattern": "matching",
}


def _constrain(base: str, metadata: Iterable[Any]) -> str:
    """Return ``base`` with the constraints that are among ``metadata``."""
    # pydantic's Field holds a list of constraints; all others are one each.
    each = [part for whole in metadata for part in getattr(whole, "metadata", [whole])]
    names = (*_CONSTRAINTS, "allow_inf_nan")
    found = ((name, getattr(part, name, None)) for part in each for name in names)
    given = {name: limit for name, limit in found if limit is not None}
    if given.pop("allow_inf_nan", True) is False:
        base = f"finite {base}"
    if {"lt", "le"} & given.keys():  # of two bounds the lower one stands in front
        for name, sign in (("gt", "<"), ("ge", "<=")):
            if name in given:
                base = f"{given.pop(name)!r} {sign} {base}"
    return " ".join([base, *(f"{_CONSTRAINTS[name]} {limit!r}" for name, limit in given.items())])
