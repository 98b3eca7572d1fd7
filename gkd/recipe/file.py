"""Recipes as files: reading them by name or path, with settings, and writing them resolved."""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tomlkit
from pydantic import ValidationError

from gkd.errors import GkdError, RecipeError, shown, suggestion
from gkd.files import parse_toml
from gkd.hosting.own_code import is_place, own_file
from gkd.hosting.parameters import path_parameters
from gkd.recipe.lines import key_lines
from gkd.recipe.model import Recipe, component_names, component_parameters
from gkd.recipe.origins import Origins, dotted, explain
from gkd.recipe.settings import Setting, apply_settings
from gkd.recipe.shipped import recipe_files, shipped_recipes
from gkd.recipe.toml_mistakes import described

if TYPE_CHECKING:  # the host needs torch, which reading a recipe does not
    from gkd.hosting.host import Host


@dataclass(frozen=True)
class RecipeFile:
    """A recipe with the name it goes by and the places of its values.

    Args:
        name: of the file, without its suffix.
        recipe: what it says.
        origins: places of its values.
        folder: that the file is in; None of one that comes with gkd.
    """

    name: str
    recipe: Recipe
    origins: Origins
    folder: Path | None = None

    @property
    def code(self) -> Path | None:
        """Folder in which modules of names such as ``"my_models:Net"`` are looked for first."""
        if self.recipe.code is not None:
            return Path(self.recipe.code).expanduser().absolute()
        return self.folder

    def check_components(self, host: "Host", kinds: Collection[str] | None = None) -> None:
        """Make sure that there is a component of every name in the recipe, and what it is given.

        What shows only where the data are known is found later; no data are read for this.

        Args:
            host: where components come from.
            kinds: of components to look for; by default all.

        Raises:
            RecipeError: a plugin offers none, or it does not take a parameter; the message names
                the line and the nearest name.
        """
        for path, kind, name in component_names(self.recipe):
            if kinds is None or kind in kinds:
                with self.origins.context(*path):
                    host.component(kind, name)
        for path, kind, name, given in component_parameters(self.recipe):
            if kinds is None or kind in kinds:
                with self.origins.context(*path):
                    host.check_parameters(kind, name, given)
                    if kind == "loss" and "task" not in host.signature(kind, name).parameters:
                        _try_to_make(host, name, given)

    def with_absolute_paths(self, host: "Host") -> Self:
        """Return the recipe whose relative paths are those of the working folder of now.

        A run may be gone on with from another folder, and a recipe that names code beside it may be
        written elsewhere. A data set that needs a ``root`` and is given none has the folder that
        the variable ``GKD_DATA`` of the environment names.

        Args:
            host: where components come from; which of their parameters are paths, these say.

        Raises:
            RecipeError: a data set needs a root, and none is given.
        """
        data: Any = self.recipe.model_dump(exclude_none=True)
        origins = self.origins
        if self._needs_root(host):
            folder = os.environ.get("GKD_DATA")
            if not folder:
                raise RecipeError(
                    f"{origins.of(('dataset',))}: dataset.root is missing: the folder of the files "
                    f"of {self.recipe.dataset.name!r}, or their archive; give it by --set "
                    "dataset.root=FOLDER, or by GKD_DATA=FOLDER in the environment"
                )
            data["dataset"]["root"] = folder
            said = {**origins.settings, ("dataset", "root"): f"GKD_DATA={folder}"}
            origins = replace(origins, settings=said)
        if self.code is not None and (self.recipe.code or any(own_modules(data, self.code))):
            data["code"] = str(self.code)
        if self.recipe.teacher is not None:
            _make_absolute(data["teacher"], ["weights", "cache_folder"])
        for place, kind, name in component_names(self.recipe):
            *above, key = place
            table = reduce(lambda whole, part: whole[part], above, data)
            names = set()
            with suppress(GkdError):  # what is wrong with a component is said when it is made
                names = path_parameters(host.component(kind, name).factory)
            if kind in ("model", "loss"):
                _make_absolute(table["params"], names)
            elif key == "name":  # else there is the name alone, without parameters
                _make_absolute(table, names)
        return replace(self, recipe=Recipe.model_validate(data), origins=origins)

    def _needs_root(self, host: "Host") -> bool:
        """Whether the data set has a parameter ``root`` without default that nothing gives.

        One that needs it with some of its parameters alone says so by a method ``needs_root``.
        """
        dataset = self.recipe.dataset
        if "root" in dataset.params:
            return False
        try:
            factory = host.component("dataset", dataset.name).factory
            if hasattr(factory, "needs_root"):
                with host.activated():
                    return bool(factory.needs_root(**dataset.params))
            root = host.signature("dataset", dataset.name).parameters.get("root")
        except (GkdError, TypeError):  # what is wrong with a component is said when it is made
            return False
        return root is not None and root.default is root.empty


def _try_to_make(host: "Host", name: str, given: Mapping[str, Any]) -> None:
    """Let a loss refuse what its signature does not tell, such as a parameter of its kernel."""
    try:
        host.create("loss", name, **given)
    except GkdError:
        raise
    except Exception:
        return  # told with its place in the code, where every network is tried on a batch


def own_modules(value: Any, folder: Path) -> Iterator[str]:
    """Yield the modules of a folder that the places in a value name, however deep they stand."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from own_modules(one, folder)
    elif is_place(value):
        top = value.partition(":")[0].partition(".")[0]
        if own_file(top, folder) is not None:
            yield top


def _make_absolute(params: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if isinstance(params.get(name), str):
            params[name] = str(Path(params[name]).expanduser().absolute())


def read_recipe(
    name_or_path: str | Path,
    settings: Iterable[str] = (),
    space: Iterable[str] = (),
    *,
    beneath: Mapping[str, Any] | None = None,
) -> RecipeFile:
    """Read a shipped recipe by name, or a file by path, and apply ``KEY=VALUE`` settings.

    Args:
        name_or_path: of the recipe.
        settings: over its own values.
        space: ``KEY=DOMAIN`` over its own of what a sweep tries.
        beneath: content of a recipe that says what this one does not.

    Raises:
        RecipeError: there is no such recipe, it is not TOML, or a key or value of it is wrong;
            the message names the line of each mistake.

    >>> read_recipe("demo", ["training.epochs=3"]).recipe.training.epochs
    3
    """
    source, folder = _source(name_or_path)
    where = str(source) if isinstance(source, Path) else source.name
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{where}: cannot be read: {error}") from error
    try:
        data = parse_toml(text)
    except ValueError as error:
        position, what = described(str(error), text)
        raise RecipeError(f"{where}{position}: not valid TOML: {what}") from error
    data = _laid_over(data, beneath or {})
    given = [Setting.of(text) for text in settings]
    given += [Setting.of(text, "--space", ("sweep", "space")) for text in space]
    set_paths = apply_settings(given, data)
    origins = Origins(where, key_lines(text), set_paths)
    _require_numbers(data, origins)
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise explain(error, Recipe, origins, data) from error
    return RecipeFile(source.name.removesuffix(".toml"), recipe, origins, folder)


def _laid_over(upper: Any, lower: Any) -> Any:
    """Return the content of one recipe, and that of another wherever the first says nothing."""
    if isinstance(upper, dict) and isinstance(lower, Mapping):
        rest = {key: value for key, value in lower.items() if key not in upper}
        return {key: _laid_over(one, lower.get(key)) for key, one in upper.items()} | rest
    if isinstance(upper, list) and isinstance(lower, list) and len(upper) == len(lower):
        return [_laid_over(one, other) for one, other in zip(upper, lower, strict=True)]
    return upper


def _require_numbers(value: Any, origins: Origins, path: tuple[str | int, ...] = ()) -> None:
    """Make sure that integers are of 64 bits, as TOML has them, and that no number is NaN.

    Nothing would bound a parameter else, and a recipe with NaN is not equal to itself.
    """
    if isinstance(value, dict | list):
        items: Iterable[tuple[str | int, Any]]
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            _require_numbers(part, origins, (*path, key))
    else:
        wanted = None
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            wanted = "an integer of 64 bits"
        elif isinstance(value, float) and math.isnan(value):
            wanted = "a number"
        if wanted is not None:
            place = f"{origins.of(path)}: {dotted(path)}"
            raise RecipeError(f"{place}: must be {wanted}, got {shown(value)}")


def resolved_toml(recipe: Recipe) -> str:
    """Recipe with every default and setting written out, which reads back as the same recipe."""
    return tomlkit.dumps(recipe.model_dump(exclude_none=True))


def _source(name_or_path: str | Path) -> tuple[Traversable, Path | None]:
    """Return a recipe's file, and the folder that it is in where it is somebody's own."""
    path = Path(name_or_path)
    if path.suffix == ".py":
        raise RecipeError(
            f"{path} is Python: expected a recipe, a TOML file, in which name = '{path.stem}:CLASS'"
            f" takes a class from it; gkd check {path.stem}:CLASS checks one by itself"
        )
    if path.is_file():
        return path, path.absolute().parent
    if (path / "recipe.toml").is_file():
        raise RecipeError(
            f"{path} is the folder of a run; its recipe is {path / 'recipe.toml'}, and "
            f"`gkd run {path / 'recipe.toml'} --out {path} --resume` goes on with it"
        )
    for file in recipe_files():
        if file.name == f"{name_or_path}.toml":
            return file, None
    what = f"no recipe {str(name_or_path)!r}, neither a file nor one that comes with gkd"
    raise RecipeError(f"{what}: {suggestion(path.stem, shipped_recipes())}")
