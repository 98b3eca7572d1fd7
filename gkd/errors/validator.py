"""Whether a value fits an annotation, and the words for it where it does not.

pydantic, which does the checking, is imported when something is checked.
"""

import json
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gkd.errors.notation import notation
from gkd.errors.words import shown, suggestion


@dataclass(frozen=True, slots=True)
class Validator:
    """Checks values by ``annotation``; its ``adapter`` is None where pydantic knows no way to."""

    annotation: Any
    adapter: Any

    @classmethod
    def of(cls, annotation: Any) -> "Validator":
        """Return the validator of ``annotation``."""
        from pydantic import ConfigDict, TypeAdapter
        from pydantic.errors import PydanticUserError
        from pydantic_core import SchemaError

        # Data classes and models bring a configuration of their own and refuse another.
        for config in (ConfigDict(arbitrary_types_allowed=True), None):
            try:
                return cls(annotation, TypeAdapter(annotation, config=config))
            except (PydanticUserError, SchemaError, TypeError, NameError):
                continue
        return cls(annotation, None)

    def conform(self, value: Any) -> Any:
        """Return ``value`` if it is of the type; what TOML cannot write is converted.

        Nothing is guessed: True is no number, "1" is no integer. A whole number is a float; a
        list is a tuple, and a string a path, where the annotation says so.

        Raises:
            ValueError: it is not; says what was expected.

        >>> Validator.of(tuple[int, ...]).conform([1, 2])
        (1, 2)
        >>> Validator.of(typing.Literal["median"] | None).conform("medain")
        Traceback (most recent call last):
        ValueError: must be 'median' | None, got 'medain'; did you mean 'median'? ...
        """
        from pydantic import ValidationError

        if self.adapter is None:
            return value
        try:
            return self.adapter.validate_python(value, strict=True)
        except ValidationError as error:
            refusal = error
        # JSON has lists and strings alone, as TOML has: from there they become tuples and paths.
        try:
            return self.adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            refusal = error
        except (TypeError, ValueError):  # no value that JSON knows
            pass
        details = refusal.errors(include_url=False)[0]
        raise ValueError(mistake(details, self.annotation, value))


def mistake(details: Mapping[str, Any], annotation: Any, value: Any) -> str:
    """Return what is wrong with ``value``, of which pydantic gives ``details``.

    The words follow its name: ``must be int > 0, got 0``.
    """
    if details["type"] in {"value_error", "assertion_error"}:  # a validator has its own words
        return str(details["ctx"]["error"])
    expected = notation(annotation)
    if details["type"] == "finite_number" and "finite" not in expected:  # asked for by a model
        expected = f"finite {expected}"
    sentence = f"must be {expected}, got {shown(value)}"
    if details["type"] == "predicate_failed":  # the one constraint that has no notation
        sentence += f" ({details['msg'].lower()})"
    if not isinstance(value, str):
        return sentence
    if "," in value and (listed := _in_brackets(value, annotation)) is not None:
        return f"{sentence}; did you mean {listed}?"
    choices = [choice for choice in _choices(annotation) if isinstance(choice, str)]
    return f"{sentence}; {suggestion(value, choices)}" if choices else sentence


def _in_brackets(text: str, annotation: Any) -> str | None:
    """Return items between commas as the list that is meant, None where none is: '0,1' as [0,1]."""
    items = [item.strip() for item in text.split(",")]
    for written in (items, [json.dumps(item, ensure_ascii=False) for item in items]):
        listed = f"[{','.join(written)}]"
        with suppress(ValueError, RecursionError):  # that of JSON that is nested too deep
            Validator.of(annotation).conform(json.loads(listed))
            return listed
    return None


def _choices(annotation: Any) -> Iterator[Any]:
    """Yield the values of every ``Literal`` in ``annotation``."""
    for argument in typing.get_args(annotation):
        if typing.get_origin(annotation) is typing.Literal:
            yield argument
        else:
            yield from _choices(argument)
