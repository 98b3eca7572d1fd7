"""Parameters: checked by their annotations, strictly, with what TOML cannot write converted."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import pytest
import torch
from annotated_types import Gt
from hypothesis import given
from hypothesis import strategies as st

from gkd.errors import ParameterError
from gkd.hosting.annotations import conforming
from gkd.hosting.parameters import checked_parameters, readable_signature, signature_of

if TYPE_CHECKING:
    from nowhere import Unknown


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: float


class Sized(Protocol):
    def size(self) -> int: ...


LINEAR = torch.nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, float("inf"), float("inf")),
        (float | Literal["median"], "median", "median"),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, ...], (1, 2), (1, 2)),
        (tuple[tuple[int, float], ...], [[1, 2]], ((1, 2.0),)),
        (dict[str, tuple[int, ...]], {"a": [1]}, {"a": (1,)}),
        (int | tuple[int, ...], [1], (1,)),
        (list[int], [1], [1]),
        (Sequence[int], [1], [1]),
        (Mapping[str, float], {"a": 1.5}, {"a": 1.5}),
        (Path, "data", Path("data")),
        (str | Path, "data", "data"),
        (Colour, "red", Colour.RED),
        (Point, Point(1.0), Point(1.0)),
        (Point, {"x": 1}, Point(1.0)),
        (torch.nn.Module, LINEAR, LINEAR),
        (torch.nn.Module | None, None, None),
        (Callable[..., Any], len, len),
        (Annotated[float, Gt(0)], 1.0, 1.0),
        (Any, object, object),
    ],
)
def test_a_value_of_the_type_passes(annotation: Any, value: Any, expected: Any) -> None:
    result = conforming(value, annotation)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, True, "must be int, got True"),
        (float, True, "must be float, got True"),
        (bool, 1, "must be bool, got 1"),
        (int, 1.0, "must be int, got 1.0"),
        (int, "1", "must be int, got '1'"),
        (str, 1, "must be str, got 1"),
        (tuple[int, ...], [1, True], "must be tuple[int, ...], got [1, True]"),
        (tuple[int, int], [1], "must be tuple[int, int], got [1]"),
        (tuple[int, ...], 3, "must be tuple[int, ...], got 3"),
        (float | Literal["median"], "medain", "got 'medain'; did you mean 'median'?"),
        (Literal["a", "b"] | None, "c", "must be 'a' | 'b' | None, got 'c'; available: a, b"),
        (torch.nn.Module, 3, "must be Module, got 3"),
        (Callable[..., Any], 3, "must be Callable[..., Any], got 3"),
        (Annotated[float, Gt(0)], -1.0, "must be float, got -1.0 (input should be greater than 0)"),
        (int, None, "must be int, got None"),
    ],
)
def test_a_value_of_another_type_is_refused(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        conforming(value, annotation)
    assert message in str(caught.value)


def test_a_type_that_cannot_be_checked_accepts_anything() -> None:
    assert conforming(3, Sized) == 3


def test_an_annotation_for_type_checkers_alone_accepts_anything() -> None:
    def factory(width: "Unknown", depth: "int") -> None: ...

    assert checked_parameters(factory, {"width": 3, "depth": 2}, "x") == {"width": 3, "depth": 2}
    with pytest.raises(ParameterError, match="parameter 'depth' must be int"):
        checked_parameters(factory, {"width": 3, "depth": "2"}, "x")
    assert readable_signature(factory) == "(width: Unknown, depth: int)"


class Base:
    def __init__(self, width: "int", *, slope: float = 0.2) -> None: ...


class Inherits(Base):
    pass


class Callee:
    def __call__(self, width: "int", slope: float = 0.2) -> None: ...

    def method(self, width: int, slope: float = 0.2) -> None: ...

    @classmethod
    def of(cls, width: int, slope: float = 0.2) -> None: ...


FACTORIES = {
    "class": Base,
    "inherited": Inherits,
    "data class": dataclass(
        type("Data", (), {"__annotations__": {"width": "int", "slope": float}})
    ),
    "object": Callee(),
    "method": Callee().method,
    "class method": Callee.of,
    "partial": functools.partial(Callee().method, slope=0.5),
    "lambda": lambda width, slope=0.2: None,
}


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES.keys())
def test_any_callable_can_be_a_factory(factory: Callable[..., Any]) -> None:
    given_values = {"width": 3, "slope": 1}
    assert checked_parameters(factory, given_values, "x") == given_values
    with pytest.raises(ParameterError, match="missing parameter 'width'"):
        checked_parameters(factory, {"slope": 1.0}, "x")
    with pytest.raises(ParameterError, match="unknown parameter 'slop', did you mean 'slope'"):
        checked_parameters(factory, {"width": 3, "slope": 1.0, "slop": 1}, "x")


@pytest.mark.parametrize("name", [n for n in FACTORIES if n != "lambda"])
def test_types_are_checked_wherever_they_are_written(name: str) -> None:
    with pytest.raises(ParameterError, match="parameter 'width' must be int, got 'wide'"):
        checked_parameters(FACTORIES[name], {"width": "wide", "slope": 1.0}, "x")


def test_a_factory_with_further_parameters_checks_those_itself() -> None:
    def factory(width: int, **parameters: Any) -> None: ...

    given_values = {"width": 1, "anything": object()}
    assert checked_parameters(factory, given_values, "x") == given_values


def test_a_builtin_that_does_not_tell_its_signature_accepts_anything() -> None:
    assert checked_parameters(dict, {"a": 1}, "x") == {"a": 1}
    assert str(signature_of(dict)) == "(**parameters)"


def test_a_module_without_parameters_accepts_none() -> None:
    plain = type("Plain", (torch.nn.Module,), {})
    assert readable_signature(plain) == "()"
    with pytest.raises(ParameterError, match="unknown parameter 'width'"):
        checked_parameters(plain, {"width": 1}, "model 'plain'")


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        checked_parameters(Base, {"slope": "steep", "slop": 1}, "model 'base'")
    assert str(caught.value) == (
        "model 'base': unknown parameter 'slop', did you mean 'slope'?; "
        "missing parameter 'width'; parameter 'slope' must be float, got 'steep'\n"
        "  its parameters: (width: int, slope: float = 0.2)"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=5,
)
types_of = {
    int: st.integers(),
    float: st.floats(allow_nan=False),
    str: st.text(),
    bool: st.booleans(),
    tuple[int, ...]: st.lists(st.integers()).map(tuple),
}


@given(json_values, st.sampled_from(list(types_of)))
def test_a_value_is_either_refused_or_of_exactly_the_type(value: Any, annotation: Any) -> None:
    try:
        result = conforming(value, annotation)
    except ParameterError as error:
        assert repr(value) in str(error)  # noqa: PT017
    else:
        assert type(result) is (getattr(annotation, "__origin__", None) or annotation)
        assert (list(result) if isinstance(result, tuple) else result) == value
        assert isinstance(value, bool) == (annotation is bool)


@given(st.data(), st.sampled_from(list(types_of)))
def test_a_value_of_exactly_the_type_is_never_refused(data: st.DataObject, annotation: Any) -> None:
    value = data.draw(types_of[annotation])
    assert conforming(value, annotation) == value


identifiers = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@given(st.sets(identifiers, max_size=5), st.sets(identifiers, max_size=5))
def test_exactly_the_unknown_parameters_are_named(known: set[str], passed: set[str]) -> None:
    scope: dict[str, Any] = {}
    known = {f"p_{name}" for name in known}
    passed = {f"p_{name}" for name in passed}
    exec(f"def factory({', '.join(f'{name}=0' for name in sorted(known))}): ...", scope)
    parameters = dict.fromkeys(passed, 1)
    if passed <= known:
        assert checked_parameters(scope["factory"], parameters, "x") == parameters
        return
    with pytest.raises(ParameterError) as caught:
        checked_parameters(scope["factory"], parameters, "x")
    for name in passed:
        assert (f"unknown parameter {name!r}" in str(caught.value)) == (name not in known)
