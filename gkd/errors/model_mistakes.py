"""What does not fit a model of pydantic, such as a recipe: where, and what is wrong with it."""

import functools
import types
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gkd.errors.validator import mistake
from gkd.errors.words import suggestion

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


def mistakes(
    error: "ValidationError", model: "type[BaseModel]"
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the path of every value that does not fit ``model``, and what is wrong with it.

    >>> from pydantic import BaseModel, ValidationError
    >>> class Sizes(BaseModel):
    ...     widths: dict[str, list[int]]
    >>> try:
    ...     Sizes.model_validate({"widths": {"hidden": [64, "wide"]}})
    ... except ValidationError as error:
    ...     print(*mistakes(error, Sizes))
    (('widths', 'hidden', 1), "must be int, got 'wide'")
    """
    told = set()
    for details in error.errors(include_url=False):
        path = details["loc"]
        if details["type"] == "extra_forbidden":
            known = _container(functools.reduce(_part, path[:-1], model)).model_fields
            yield path, f"unknown key; {suggestion(str(path[-1]), known)}"
        elif details["type"] == "missing":
            yield path, "missing, but required"
        elif path[-1:] == ("[key]",):  # a name in a mapping, not its value
            mapping = _container(functools.reduce(_part, path[:-2], model))
            yield path[:-1], mistake(details, typing.get_args(mapping)[0], details["input"])
        else:
            path, annotation = _place(path, model)
            # Of a choice of types, each says what it misses.
            if path not in told:
                yield path, mistake(details, annotation, details["input"])
            told.add(path)


def _place(path: tuple[str | int, ...], model: Any) -> tuple[tuple[str | int, ...], Any]:
    """Return the path of a value without names of types that it could be, and its annotation."""
    annotation = model
    for index, part in enumerate(path):
        if _is_choice(annotation):
            return path[:index], annotation
        annotation = _part(annotation, part)
    return path, annotation


def _is_choice(annotation: Any) -> bool:
    """Whether it is a union of several types beside None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _is_choice(typing.get_args(annotation)[0])
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return is_union and len({*typing.get_args(annotation)} - {type(None)}) > 1


def _part(whole: Any, part: str | int) -> Any:
    """Return the annotation of a field of a model, a value of a mapping or an item of a list."""
    whole = _container(whole)
    if hasattr(whole, "model_fields"):
        return whole.model_fields[part].rebuild_annotation()
    return typing.get_args(whole)[-1]


def _container(annotation: Any) -> Any:
    """Find the model, mapping or list in ``Annotated[...]`` and ``T | None``."""
    if hasattr(annotation, "model_fields") or typing.get_origin(annotation) in {list, dict}:
        return annotation
    return _container(typing.get_args(annotation)[0])
