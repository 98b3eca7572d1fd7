"""Arguments: checked by their annotations, strictly, with what TOML cannot write converted."""

import copy
import inspect
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import pytest
import torch
from annotated_types import Gt, Predicate
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt

import gkd
from gkd.errors import ParameterError, Validator, notation, validated, validators

if TYPE_CHECKING:
    from nowhere import Unknown


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: float


class Sized(Protocol):
    def size(self) -> int: ...


def is_even(number: int) -> bool:
    return number % 2 == 0


def ascending(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(numbers) != list(numbers):
        raise ValueError("should ascend")
    return numbers


EVEN = Predicate(is_even)
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
    result = Validator.of(annotation).conform(value)
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
        (Annotated[float, Gt(0)], -1.0, "must be float > 0, got -1.0"),
        (PositiveFloat, math.nan, "must be float > 0, got nan"),
        (Annotated[FiniteFloat, Field(ge=0)], math.inf, "must be finite float >= 0, got inf"),
        (PositiveFloat | Literal["median"], 0.0, "must be float > 0 | 'median', got 0.0"),
        (tuple[PositiveInt, ...], (8, 0), "must be tuple[int > 0, ...], got (8, 0)"),
        (tuple[PositiveInt, ...], [8, 0], "must be tuple[int > 0, ...], got [8, 0]"),
        (Annotated[list[int], Field(min_length=1)], [], "must be list[int] of length >= 1, got []"),
        (Annotated[int, EVEN], 3, "must be int, got 3 (predicate 'is_even' failed)"),
        (Annotated[tuple[int, ...], AfterValidator(ascending)], [2, 1], "should ascend"),
        (int, None, "must be int, got None"),
        (list[int], "[" * 5000 + ",1", "must be list[int], got '[[[["),
    ],
)
def test_a_value_of_another_type_is_refused(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Validator.of(annotation).conform(value)
    assert message in str(caught.value)


def test_a_type_that_cannot_be_checked_accepts_anything() -> None:
    assert Validator.of(Sized).conform(3) == 3


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None | int, "None | int"),
        ("Unknown", "Unknown"),
        (Any, "Any"),
        (PositiveInt, "int > 0"),
        (NonNegativeInt | None, "int >= 0 | None"),
        (Annotated[float, Field(ge=0, lt=1)], "0 <= float < 1"),
        (Annotated[float, Field(gt=0.1, le=1)], "0.1 < float <= 1"),
        (Annotated[float, Field(le=1)], "float <= 1"),
        (Annotated[FiniteFloat, Field(gt=0)], "finite float > 0"),
        (tuple[PositiveInt, ...], "tuple[int > 0, ...]"),
        (Annotated[list[int], Field(min_length=1)], "list[int] of length >= 1"),
        (Annotated[list[int], Field(max_length=3)], "list[int] of length <= 3"),
        (Annotated[int, Field(multiple_of=2)], "int that is a multiple of 2"),
        (Annotated[str, Field(pattern="^a")], "str matching '^a'"),
        (Annotated[int, "what it is for"], "int"),
        (Callable[[int, str], float], "Callable[[int, str], float]"),
        (Mapping[str, Sequence[torch.nn.Module]], "Mapping[str, Sequence[Module]]"),
    ],
)  # fmt: skip
def test_an_annotation_is_written_as_users_read_it(annotation: Any, text: str) -> None:
    assert notation(annotation) == text


class Layer(torch.nn.Module):
    """A layer."""

    @validated
    def __init__(
        self,
        width: PositiveInt,
        widths: tuple[PositiveInt, ...] = (1,),
        *,
        mode: Literal["mean", "max"] = "mean",
        unknown: "Unknown | None" = None,
        **others: Any,
    ) -> None:
        """Make it."""
        super().__init__()
        self.given = (width, widths, mode, unknown, others)


def test_arguments_that_fit_arrive_by_position_and_by_name() -> None:
    assert Layer(3).given == (3, (1,), "mean", None, {})
    assert Layer(3, [4, 5], mode="max").given == (3, (4, 5), "max", None, {})
    assert Layer(widths=[4], width=3, unknown=7, more=8).given == (3, (4,), "mean", 7, {"more": 8})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Layer(0), "Layer: parameter 'width' must be int > 0, got 0"),
        (lambda: Layer(True), "Layer: parameter 'width' must be int > 0, got True"),
        (lambda: Layer(width="1"), "Layer: parameter 'width' must be int > 0, got '1'"),
        (
            lambda: Layer(1.0, (0,), mode="men"),
            "Layer: parameter 'width' must be int > 0, got 1.0; "
            "parameter 'widths' must be tuple[int > 0, ...], got (0,); "
            "parameter 'mode' must be 'mean' | 'max', got 'men'; "
            "did you mean 'mean'? Available: max, mean",
        ),
    ],
)
def test_every_argument_that_does_not_fit_is_named(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((), {}, "missing 1 required positional argument: 'width'"),
        ((1, (1,), "max"), {}, "takes from 2 to 3 positional arguments but 4 were given"),
        ((1,), {"width": 2}, "multiple values for argument 'width'"),
    ],
)
def test_calls_that_python_refuses_fail_as_ever(
    arguments: tuple[Any, ...], named: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Layer(*arguments, **named)


def test_names_of_no_parameter_are_refused_beside_what_does_not_fit() -> None:
    @validated
    def make(width: PositiveInt, depth: int = 1) -> int:
        return width * depth

    with pytest.raises(ParameterError) as caught:
        make(0, deptf=2)
    assert str(caught.value) == (
        "make: unknown parameter 'deptf', did you mean 'depth'?; "
        "parameter 'width' must be int > 0, got 0"
    )
    assert Layer(1, deptf=2).given[-1] == {"deptf": 2}  # it takes all names


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: gkd.Term("kd", parms={}),
            "Term: unknown parameter 'parms', did you mean 'params'?\n",
        ),
        (
            lambda: gkd.Term("kd", zzz=1),
            "Term: unknown parameter 'zzz', did you mean params={'zzz': ...}?\n",
        ),
        (
            lambda: gkd.View(feature=1),
            "View: unknown parameter 'feature', did you mean 'features'?\n",
        ),
        (
            lambda: gkd.Distiller(None, None, masks="train_mask"),
            "Distiller: unknown parameter 'masks', did you mean 'mask'?\n",
        ),
    ],
)
def test_public_classes_name_the_nearest_parameter(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert "\n  its parameters: " in str(caught.value)


def test_functions_can_be_validated_and_name_themselves() -> None:
    @validated
    def make(width: PositiveInt, /, depth: int = 1, *rest: int) -> tuple[int, ...]:
        return (width, depth, *rest)

    assert make(1, 2, 3, 4) == (1, 2, 3, 4)
    with pytest.raises(ParameterError, match=r"^make: parameter 'depth' must be int, got 'a'$"):
        make(1, "a")  # type: ignore[arg-type]


def test_a_subclass_inherits_the_check() -> None:
    class Wide(Layer):
        pass

    with pytest.raises(ParameterError, match="Layer: parameter 'width'"):
        Wide(0)


def test_signature_documentation_and_pickling_stay() -> None:
    assert list(inspect.signature(Layer).parameters)[:2] == ["width", "widths"]
    assert inspect.signature(Layer).parameters["width"].annotation == PositiveInt
    assert Layer.__init__.__doc__ == "Make it."
    layer = Layer(3, mode="max")
    for copied in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert copied.given == layer.given


class Counted:
    """Counts how often it was looked at."""

    times = 0


def count(value: Any) -> Any:
    Counted.times += 1
    return value


class Mine(gkd.AbstractKernel):
    @validated
    def __init__(self, width: Annotated[PositiveInt, AfterValidator(count)]) -> None:
        self.width = width

    def similarity(self, pairs: Any) -> Any:
        return pairs.dot()


class Offers:
    @gkd.hookimpl
    def gkd_kernels(self) -> dict[str, Any]:
        return {"mine": Mine}


def test_gkd_create_checks_once_and_names_the_component() -> None:
    host = gkd.create_host(discover=False)
    host.register(Offers())
    Counted.times = 0
    assert host.create("kernel", "mine", width=3).width == 3
    assert Counted.times == 1
    with pytest.raises(ParameterError) as caught:
        host.create("kernel", "mine", width=0)
    assert str(caught.value) == (
        "kernel 'mine': parameter 'width' must be int > 0, got 0\n"
        "  its parameters: (width: int > 0)"
    )
    with pytest.raises(ParameterError) as caught:
        host.create("kernel", "mine", width=0, widht=1)
    assert "unknown parameter 'widht', did you mean 'width'?; parameter 'width' must" in str(
        caught.value
    )


def test_a_validator_is_built_once() -> None:
    Layer(3)
    before = validators.cache_info().misses
    for width in range(1, 100):
        Layer(width)
    assert validators.cache_info().misses == before


def test_importing_gkd_does_not_import_pydantic() -> None:
    program = "import sys, gkd; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


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
        result = Validator.of(annotation).conform(value)
    except ValueError as error:
        assert repr(value) in str(error)  # noqa: PT017
    else:
        assert type(result) is (getattr(annotation, "__origin__", None) or annotation)
        assert (list(result) if isinstance(result, tuple) else result) == (
            float(value) if annotation is float else value  # which a large integer is not exactly
        )
        assert isinstance(value, bool) == (annotation is bool)


@given(st.data(), st.sampled_from(list(types_of)))
def test_a_value_of_exactly_the_type_is_never_refused(data: st.DataObject, annotation: Any) -> None:
    value = data.draw(types_of[annotation])
    assert Validator.of(annotation).conform(value) == value


RANGES = {
    "int > 0": (PositiveInt, lambda v: v > 0),
    "0 <= float < 1": (Annotated[float, Field(ge=0, lt=1)], lambda v: 0 <= v < 1),
    "0.1 < float <= 1": (Annotated[float, Field(gt=0.1, le=1)], lambda v: 0.1 < v <= 1),
    "finite float > 0": (Annotated[FiniteFloat, Field(gt=0)], lambda v: 0 < v < math.inf),
}


@given(st.integers() | st.floats() | st.sampled_from([0, 1, 0.1, -0.0]), st.sampled_from([*RANGES]))
def test_exactly_the_numbers_in_the_range_are_taken(value: float, name: str) -> None:
    annotation, holds = RANGES[name]
    fits = holds(value) and (isinstance(value, int) or not name.startswith("int"))
    try:
        result = Validator.of(annotation).conform(value)
    except ValueError as error:
        assert not fits
        assert str(error) == f"must be {name}, got {value!r}"  # noqa: PT017
    else:
        assert fits
        assert result == (value if annotation is PositiveInt else float(value))
