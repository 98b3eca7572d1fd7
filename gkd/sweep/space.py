"""What a sweep tries for each method: keys of the recipe, their values, recipes that have them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from math import prod
from typing import Any

from pydantic import ValidationError

from gkd.errors import GkdError, RecipeError, nearest, suggestion
from gkd.hosting.host import Host
from gkd.hosting.parameters import accepts
from gkd.recipe.domain import Choices, Domain, Range, domain_from, label
from gkd.recipe.file import RecipeFile
from gkd.recipe.model import MethodRecipe, Recipe, component_names
from gkd.recipe.origins import explain, whole_keys
from gkd.recipe.settings import Setting, apply_settings
from gkd.recipe.training import TrainingRecipe

# Keys of the recipe that are a method's own in trials, by what they are called there.
_TRAINING, _STUDENT = ("training",), ("student", "params")
_TEACHER = ("teacher", "params")
# What makes the values of trials comparable is the same in all of them.
_FIXED = {
    "title": "it changes nothing",
    "seeds": "they judge what the sweep finds; sweep.seeds are those of the search",
    "precision": "all methods have the same",
    "dataset": "validation values on other data do not compare",
    "task": "validation values of another task do not compare",
    "teacher": "a teacher is tuned by a recipe whose student it is; what can be tried here is how "
    "well others teach (teacher.params.NAME)",
    "student": "methods are compared on the same student; what leaves its size as it is can be "
    "(student.params.NAME), and so can a method's own (methods.NAME.student.params.NAME)",
    "feature_space": "it changes nothing",
    "sweep": "it is the sweep itself",
}
_FIXED_TRAINING = {"selection": "validation values of other epochs do not compare"}
_LARGEST_GRID = 10_000
_ABSENT = object()


@dataclass(frozen=True, eq=False)  # choices may be tables, which have no hash
class Dimension:
    """One key of which the trials of a method have different values.

    Args:
        key: as the recipe writes it.
        path: where its values go; those of ``training`` to the method's own.
        domain: what to try.
        own: the recipe's own value.
        place: where the user asked for it, for messages.
    """

    key: str
    path: tuple[str, ...]
    domain: Domain
    own: Any
    place: str

    @property
    def has_own(self) -> bool:
        """Whether the recipe has a value, rather than to leave it to a component's default."""
        return self.own is not _ABSENT

    @property
    def own_is_inside(self) -> bool:
        """Whether the recipe's own value is one of those to try."""
        return self.has_own and self.own in self.domain

    @property
    def values(self) -> list[Any]:
        """All values of a domain that has so many only."""
        if isinstance(self.domain, Choices):
            return list(self.domain.values)
        low, step = self.domain.low, self.domain.step or 1
        return [low + number * step for number in range(int(self.domain.size))]

    def setting(self, value: Any) -> Setting:
        """Return a value as a setting of the recipe."""
        return Setting(self.path, value, f"{self.place}: {self.key} = {label(value)}")


Values = Mapping[Dimension, Any]


@dataclass(frozen=True)
class Space:
    """What is tried for one method.

    Args:
        method: its name.
        dimensions: its keys; none for a method with nothing to try.
    """

    method: str
    dimensions: tuple[Dimension, ...]

    @property
    def size(self) -> float:
        """How many different trials there are, with the recipe's own values."""
        points = prod(one.domain.size for one in self.dimensions)
        return points + (not all(one.own_is_inside for one in self.dimensions))

    @property
    def grid(self) -> list[dict[str, Any]] | None:
        """All points by key, None where there are more than anybody tries."""
        if self.size > _LARGEST_GRID:
            return None
        keys = [one.key for one in self.dimensions]
        every = product(*(one.values for one in self.dimensions))
        return [dict(zip(keys, point, strict=True)) for point in every]

    @property
    def extremes(self) -> Iterator[dict[Dimension, Any]]:
        """Yield few points that have every end of every range, and every choice."""
        count = max((len(one.domain.extremes) for one in self.dimensions), default=0)
        for number in range(count):
            yield {
                one: one.domain.extremes[number % len(one.domain.extremes)]
                for one in self.dimensions
            }


def spaces(file: RecipeFile, host: Host) -> list[Space]:
    """Return what a recipe's sweep tries for each of its methods.

    Raises:
        RecipeError: a key is unknown or cannot be swept, or a value of it is not valid. The message
            names the line, and the nearest key.
    """
    sweep = file.recipe.sweep
    if sweep is None or not sweep.space:
        raise RecipeError(
            f"{file.origins.file}: nothing to sweep: name keys and what to try in [sweep.space], "
            "or by --space 'training.learning_rate=1e-4..0.1 log'"
        )
    recipe = file.recipe
    found: dict[str, list[Dimension]] = {method.name: [] for method in recipe.methods}
    for key, value in sweep.space.items():
        parts = tuple(part.strip() for part in key.split("."))
        place = _place(file, key)
        rest = parts
        if parts[:1] == _TRAINING:
            _require_known(place, parts, _FIXED_TRAINING)
            methods = list(recipe.methods)
        elif parts[:2] == _STUDENT and len(parts) == 3:
            methods = [method for method in recipe.methods if method.student is None]
            rest = ("student_params", parts[2])
        elif parts[:2] == _TEACHER and len(parts) == 3:
            methods = [_sole_pupil(recipe, key, place)]
        elif parts[0] == "methods" and len(parts) > 2:
            methods, rest = [_method(recipe, parts[1], place)], parts[2:]
        else:
            _refuse(place, parts, recipe)
        for method in methods:
            dimension = Dimension(
                key,
                rest if parts[:2] == _TEACHER else ("methods", method.name, *rest),
                domain_from(value),
                _own_value(recipe, method, rest),
                place,
            )
            if any(one.path == dimension.path for one in found[method.name]):
                raise RecipeError(f"{place}: {key} is there twice, by its name and its number")
            found[method.name].append(_with_numbers_that_fit(dimension, file, host))
    all_spaces = [Space(name, tuple(dimensions)) for name, dimensions in found.items()]
    for space in all_spaces:
        for dimension in space.dimensions:
            for value in dimension.domain.extremes:
                with_values(file, {dimension: value})
    return all_spaces


def with_values(file: RecipeFile, values: Values, *, sweep: bool = False) -> RecipeFile:
    """Return a recipe with values of swept keys.

    Args:
        file: the recipe.
        values: to put into it.
        sweep: whether it still says what to sweep.

    Raises:
        RecipeError: they are not valid.
    """
    data = file.recipe.model_dump(exclude_none=True, exclude=None if sweep else {"sweep"})
    paths = apply_settings((one.setting(value) for one, value in values.items()), data)
    origins = replace(file.origins, settings={**file.origins.settings, **paths})
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        explained = explain(error, Recipe, origins, data)
        words = paths.values()
        if any(one in str(explained) for one in words):
            raise explained from error
        raise RecipeError(f"{'; '.join(words)}: {explained}") from error  # they do not fit together
    return replace(file, recipe=recipe, origins=origins)


def _place(file: RecipeFile, key: str) -> str:
    table = ("sweep", "space")
    quoted, plain = (*table, key), (*table, *key.split("."))
    lines = file.origins.lines
    return file.origins.of(plain if plain in lines and quoted not in lines else quoted)


def _method(recipe: Recipe, name: str, place: str) -> MethodRecipe:
    names = [method.name for method in recipe.methods]
    if name.isdecimal() and int(name) < len(names):
        return recipe.methods[int(name)]
    if name not in names:
        raise RecipeError(f"{place}: no method {name!r}; {suggestion(name, names)}")
    return recipe.methods[names.index(name)]


def _sole_pupil(recipe: Recipe, key: str, place: str) -> MethodRecipe:
    """Return the one method that has the recipe's teacher: its trials may have others."""
    pupils = [method for method in recipe.methods if method.needs_teacher]
    if len(pupils) != 1:
        names = ", ".join(method.name for method in pupils) or "none"
        raise RecipeError(
            f"{place}: {key} cannot be swept: a recipe has one teacher, and each method would find "
            f"another; expected one method that distils from it, got {names}"
        )
    if recipe.teacher is not None and recipe.teacher.weights is not None:
        raise RecipeError(
            f"{place}: {key} cannot be swept: teacher.weights are those of one teacher; leave them "
            "out, and every teacher is trained, by [teacher.training]"
        )
    return pupils[0]


def _require_known(place: str, parts: Sequence[str], fixed: Mapping[str, str]) -> None:
    key = ".".join(parts)
    known = TrainingRecipe.model_fields.keys() - fixed.keys()
    if len(parts) == 2 and parts[1] in fixed:
        raise RecipeError(f"{place}: {key} cannot be swept: {fixed[parts[1]]}")
    if len(parts) != 2 or parts[1] not in known:
        known_keys = [f"{parts[0]}.{name}" for name in known]
        meant = nearest(".".join(parts[1:]), known)
        near = suggestion(f"{parts[0]}.{meant}" if meant else key, known_keys)
        raise RecipeError(f"{place}: unknown key {key!r}; {near}")


def _refuse(place: str, parts: Sequence[str], recipe: Recipe) -> None:
    key, first = ".".join(parts), parts[0]
    if first in _FIXED:
        raise RecipeError(f"{place}: {key} cannot be swept: {_FIXED[first]}")
    if first == "methods":
        raise RecipeError(f"{place}: {key} is not one value; name one, methods.NAME.terms.0.weight")
    tables = ["methods", *_TRAINING, "student", "teacher"]
    near = suggestion(first, tables)
    if nearest(first, tables) is None:  # a key without its table
        whole = whole_keys(recipe.model_dump(include={*tables}, exclude_none=True), parts[-1])
        like = max(whole, key=lambda one: len({*parts} & {*one.split(".")}), default=None)
        near = f"did you mean {like}?" if like else near
    raise RecipeError(f"{place}: unknown key {key!r}; {near}")


def _own_value(recipe: Recipe, method: MethodRecipe, rest: Sequence[str]) -> Any:
    data: Any = method.model_dump(exclude_none=True)
    data["training"] = recipe.training_of(method).model_dump(exclude_none=True)
    data["teacher"] = recipe.teacher and recipe.teacher.model_dump(exclude_none=True)
    data["student_params"] = {**recipe.student.params, **(method.student_params or {})}
    try:
        return reduce(
            lambda whole, part: whole[int(part)] if isinstance(whole, list) else whole[part],
            rest,
            data,
        )
    except (LookupError, TypeError, ValueError):  # a component's default, or for the schema to say
        return _ABSENT


def _with_numbers_that_fit(dimension: Dimension, file: RecipeFile, host: Host) -> Dimension:
    """Return a range with all numbers, though its ends be whole, where the key has such."""
    domain = dimension.domain
    if not (isinstance(domain, Range) and domain.integers and domain.step is None):
        return dimension
    middle = domain.low + 0.5
    try:
        path = Setting(dimension.path, middle, dimension.place).apply(
            file.recipe.model_dump(exclude_none=True)
        )
        changed = with_values(file, {dimension: middle})
    except RecipeError:
        return dimension
    # The schema leaves parameters of components to them; what they do not say, the recipe does.
    fits: bool | None = "params" not in path
    if path[-2:-1] == ("student_params",):
        path = ("student", "params", path[-1])
    for place, kind, name in component_names(changed.recipe):
        tables = [(*place[:-1], "params")] if kind in ("model", "loss") else [place[:-1]]
        if path[:-1] in tables and place[-1] != path[-1]:
            try:
                fits = accepts(host.component(kind, name).factory, str(path[-1]), middle)
            except GkdError:
                fits = None
    if not fits:
        return dimension
    return replace(
        dimension,
        domain=Range(float(domain.low), float(domain.high), domain.log),
    )
