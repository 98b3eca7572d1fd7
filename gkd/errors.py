"""The mistakes gkd can explain, and the words that explain them.

The command line prints a :class:`GkdError` and exits with 2. :func:`validated` checks what a
constructor is called with; :func:`mistake` words what does not fit an annotation, in constructors
and recipes alike. pydantic, which does the checking, is imported when something is checked.
"""

import functools
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
"""Parameters that a caller may give by name."""


class GkdError(Exception):
    """Base of every error whose message tells the user what to do."""


class UnknownNameError(GkdError, LookupError):
    """A name that no plugin, tap or recipe provides."""


class ParameterError(GkdError, ValueError):
    """An unknown, missing or mistyped parameter, or a value out of its range."""


class PluginError(GkdError):
    """A plugin that cannot be used, or two that offer one name."""


class TapError(GkdError, LookupError):
    """A tap that does not exist, never fires or yields no usable tensor."""


class NonFiniteError(GkdError, ArithmeticError):
    """NaN or infinity where a finite number is required."""


class RecipeError(GkdError, ValueError):
    """A recipe that does not parse or does not validate."""


class DataError(GkdError, ValueError):
    """Data that is missing, truncated, foreign or inconsistent."""


_OTHER_WORDS = """
    learning_rate: lr; batch_size: bs; weight_decay: wd, l2; epochs: maxepochs, nepochs, numepochs
    gradient_clipping: clip, clipgradnorm, gradclip, gradientclipval, maxnorm; workers: numworkers
    schedule: scheduler, lrscheduler; validate_every: checkvaleverynepoch, evalevery
    seeds: randomseed; labels: y; weights: checkpoint, ckpt, pretrained, statedict
    weight: alpha, coefficient, lambda, lossweight; temperature: tau, temp
    name: arch, architecture, model, type; params: args, kwargs, options, parameters
    hidden_channels: hidden, hiddendim, hiddensize; num_layers: depth, layers, nlayers
    root: datadir, dir, folder, path; file: path; cuda: gpu; mps: metal; average_precision: ap
    16-mixed: amp, fp16, half; bf16-mixed: bf16, bfloat16; 32-true: float32, fp32
    validation: val, dev; train: training; test: testing
    single-label: classification, multiclass; accuracy: acc; micro_f1: f1; roc_auc: auc
"""
OTHER_WORDS: Mapping[str, Sequence[str]] = types.MappingProxyType(
    {
        name.strip(): words.replace(",", " ").split()
        for name, words in (entry.split(":") for entry in re.split("[;\n]", _OTHER_WORDS.strip()))
    }
)
"""By what things are called here: what people write who come from elsewhere, without hyphens."""

_SHORT = 4  # letters of a name that may have one mistake
_MOST = 40  # names that are all listed
_NEAREST = 5  # names that are listed of more


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the one of ``choices`` that a name means, None where none is near.

    That is one which is written otherwise, or has another word for it, or is nearly so spelt. A
    short name is that with one letter too many, missing, wrong or in the other's place.

    >>> nearest("lr", ["learning_rate", "layer"]), nearest("Batch-Size", ["batch_size"])
    ('learning_rate', 'batch_size')
    >>> nearest("gta", ["gat"]), nearest("gcn", ["dgcnn"])
    ('gat', None)
    """
    known = sorted(choices)
    plain = _plain(name)
    for one in known:
        if _plain(one) == plain:
            return one
    for one in known:
        if plain in OTHER_WORDS.get(one, ()):
            return one
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    return next((one for one in near if len(name) > _SHORT or _one_mistake(name, one)), None)


def _plain(name: str) -> str:
    return re.sub(r"[-_ .]", "", name).lower()


def _one_mistake(name: str, other: str) -> bool:
    """Whether two names differ by one letter at most, or by the order of two neighbours."""
    start = next((i for i, (a, b) in enumerate(zip(name, other, strict=False)) if a != b), None)
    if start is None:
        return abs(len(name) - len(other)) <= 1
    ours, theirs = name[start:], other[start:]
    swapped = theirs[1:2] + theirs[:1] + theirs[2:]
    return ours[1:] in (theirs, theirs[1:]) or ours == theirs[1:] or ours == swapped


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Sentence naming the nearest of ``choices`` and all of them, or a few where they are many.

    >>> suggestion("lps", ["lsp", "kd"])
    "did you mean 'lsp'? Available: kd, lsp"
    >>> suggestion("zzz", ["lsp", "kd"])
    'available: kd, lsp'
    >>> suggestion("5", map(str, range(100)))
    "did you mean '5'? Available: 5, 95, 85, 75, 65, … (100 in all)"
    """
    known = sorted(choices)
    if not known:
        return "none is available"
    near, listing = nearest(name, known), ", ".join(known)
    if len(known) > _MOST:
        few = get_close_matches(name, known, n=_NEAREST, cutoff=0.3) or known[:_NEAREST]
        listing = f"{', '.join(few)}, … ({len(known)} in all)"
    return (
        f"available: {listing}" if near is None else f"did you mean {near!r}? Available: {listing}"
    )


def printable(text: str) -> str:
    r"""Return a text as a terminal may have it: what would steer it is written out.

    Names of plugins, and what files hold, may be anybody's.

    >>> printable("a name\x1b[2J\nand more")
    'a name\\x1b[2J\nand more'
    """
    return "".join(
        c if c.isprintable() or c in "\n\t\u00a0\u202f\u2009" else ascii(c)[1:-1] for c in text
    )


def shown(value: object, length: int = 200) -> str:
    """Return a value as messages show it, an error by its words: no longer than a line or two.

    >>> shown("a"), shown(KeyError("a"))
    ("'a'", "'a'")
    >>> shown([0] * 1000, length=12)
    '[0, 0, 0, 0,… (3000 characters)'
    >>> shown(16**5000)
    'an int of 6021 digits'
    """
    try:
        text = str(value) if isinstance(value, Exception) else repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deep"
    except ValueError:  # Python writes no integers of more than 4,300 digits
        if isinstance(value, int):
            return f"an int of {int(value.bit_length() * 0.30103) + 1} digits"
        return f"a {type(value).__name__} that holds an int of thousands of digits"
    return text if len(text) <= length else f"{text[:length]}… ({len(text)} characters)"


def validated(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Check the arguments of ``function`` by their annotations, whenever it is called.

    The decorator for constructors of components: ranges are written as types, such as pydantic's
    ``PositiveInt`` or ``Annotated[float, Field(ge=0, lt=1)]``, and nothing else needs to check
    them. Values are as strict, and converted as little, as :meth:`Validator.conform` says.

    Raises:
        ParameterError: from the call; names it, and every argument that is unknown or wrong.

    >>> from pydantic import PositiveInt
    >>> class Smooth:
    ...     @validated
    ...     def __init__(self, width: PositiveInt, mode: typing.Literal["mean", "max"] = "mean"):
    ...         self.width = width
    >>> Smooth(3).width
    3
    >>> Smooth(0)
    Traceback (most recent call last):
    gkd.errors.ParameterError: Smooth: parameter 'width' must be int > 0, got 0
    """
    owner = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    positions = inspect.getfullargspec(function).args
    takes = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        # Too many arguments, or one given twice, are left to Python, whose words are known.
        given = dict(zip(positions, args, strict=False)) | kwargs
        values, wrong = conform_arguments(function, given)
        if wrong := [*unknown_arguments(takes, kwargs), *wrong]:
            raise ParameterError(f"{owner}: {'; '.join(wrong)}")
        first: Any = (*(values[name] for name in positions[: len(args)]), *args[len(positions) :])
        named: Any = {name: values[name] for name in kwargs}
        return function(*first, **named)

    call.__dict__["validates_arguments"] = True  # so that gkd.create does not check them as well
    return call


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
            except ParameterError as error:
                wrong.append(f"parameter {name!r} {error}")
    return values, wrong


@functools.lru_cache(maxsize=256)
def validators(function: Callable[..., Any]) -> "Mapping[str, Validator]":
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
            ParameterError: it is not; says what was expected.

        >>> Validator.of(tuple[int, ...]).conform([1, 2])
        (1, 2)
        >>> Validator.of(typing.Literal["median"] | None).conform("medain")
        Traceback (most recent call last):
        gkd.errors.ParameterError: must be 'median' | None, got 'medain'; did you mean 'median'? ...
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
        raise ParameterError(mistake(details, self.annotation, value))


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
        with suppress(ParameterError, ValueError):
            Validator.of(annotation).conform(json.loads(listed))
            return listed
    return None


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


def _choices(annotation: Any) -> Iterator[Any]:
    """Yield the values of every ``Literal`` in ``annotation``."""
    for argument in typing.get_args(annotation):
        if typing.get_origin(annotation) is typing.Literal:
            yield argument
        else:
            yield from _choices(argument)


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
