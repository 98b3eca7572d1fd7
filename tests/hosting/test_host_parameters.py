"""Parameters of any factory: unknown, missing and mistyped ones, all named at once."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gkd.errors import ParameterError
from gkd.hosting.parameters import bind_parameters, readable_signature, signature_of

if TYPE_CHECKING:
    from nowhere import Unknown


def test_an_annotation_for_type_checkers_alone_accepts_anything() -> None:
    def factory(width: "Unknown", depth: "int") -> None: ...

    assert bind_parameters(factory, {"width": 3, "depth": 2}, "x") == {"width": 3, "depth": 2}
    with pytest.raises(ParameterError, match="parameter 'depth' must be int"):
        bind_parameters(factory, {"width": 3, "depth": "2"}, "x")
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
    assert bind_parameters(factory, given_values, "x") == given_values
    with pytest.raises(ParameterError, match="missing parameter 'width'"):
        bind_parameters(factory, {"slope": 1.0}, "x")
    with pytest.raises(ParameterError, match="unknown parameter 'slop', did you mean 'slope'"):
        bind_parameters(factory, {"width": 3, "slope": 1.0, "slop": 1}, "x")


@pytest.mark.parametrize("name", [n for n in FACTORIES if n != "lambda"])
def test_types_are_checked_wherever_they_are_written(name: str) -> None:
    with pytest.raises(ParameterError, match="parameter 'width' must be int, got 'wide'"):
        bind_parameters(FACTORIES[name], {"width": "wide", "slope": 1.0}, "x")


class Named(NamedTuple):
    width: int
    slope: float = 0.2


def test_a_named_tuple_is_checked_though_it_has_no_constructor_of_its_own() -> None:
    with pytest.raises(ParameterError, match="parameter 'width' must be int, got 'wide'"):
        bind_parameters(Named, {"width": "wide"}, "x")


def test_a_factory_with_further_parameters_checks_those_itself() -> None:
    def factory(width: int, **parameters: Any) -> None: ...

    given_values = {"width": 1, "anything": object()}
    assert bind_parameters(factory, given_values, "x") == given_values


def test_a_builtin_that_does_not_tell_its_signature_accepts_anything() -> None:
    assert bind_parameters(dict, {"a": 1}, "x") == {"a": 1}
    assert str(signature_of(dict)) == "(**parameters)"


def test_a_module_without_parameters_accepts_none() -> None:
    plain = type("Plain", (torch.nn.Module,), {})
    assert readable_signature(plain) == "()"
    with pytest.raises(ParameterError, match="unknown parameter 'width'"):
        bind_parameters(plain, {"width": 1}, "model 'plain'")


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        bind_parameters(Base, {"slope": "steep", "slop": 1}, "model 'base'")
    assert str(caught.value) == (
        "model 'base': unknown parameter 'slop', did you mean 'slope'?; "
        "missing parameter 'width'; parameter 'slope' must be float, got 'steep'\n"
        "  its parameters: (width: int, slope: float = 0.2)"
    )


identifiers = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@given(st.sets(identifiers, max_size=5), st.sets(identifiers, max_size=5))
def test_exactly_the_unknown_parameters_are_named(known: set[str], passed: set[str]) -> None:
    scope: dict[str, Any] = {}
    known = {f"p_{name}" for name in known}
    passed = {f"p_{name}" for name in passed}
    exec(f"def factory({', '.join(f'{name}=0' for name in sorted(known))}): ...", scope)
    parameters = dict.fromkeys(passed, 1)
    if passed <= known:
        assert bind_parameters(scope["factory"], parameters, "x") == parameters
        return
    with pytest.raises(ParameterError) as caught:
        bind_parameters(scope["factory"], parameters, "x")
    for name in passed:
        assert (f"unknown parameter {name!r}" in str(caught.value)) == (name not in known)
