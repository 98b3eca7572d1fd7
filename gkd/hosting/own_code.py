"""Components of one's own by the place of their code: ``module:Object``, without packaging."""

import importlib
import inspect
import pkgutil
import re
import sys
import typing
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gkd.errors import ParameterError, UnknownNameError, suggestion
from gkd.errors.causes import Problem
from gkd.hosting.kinds import kind_named
from gkd.hosting.records import Component, PluginRecord, Source, canonical_name

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PLACE = re.compile(rf"({_NAME}):({_NAME})")


def is_place(name: object) -> bool:
    """Whether a name has the form ``module:Object``, as names of a distribution's may have, too.

    >>> is_place("my_models:Net"), is_place("my-plugin:net"), is_place("net")
    (True, False, False)
    """
    return isinstance(name, str) and _PLACE.fullmatch(name) is not None


def is_own(name: str, records: Collection[PluginRecord], folder: Path | None) -> bool:
    """Whether a name is the place of somebody's own code, and no plugin's or component's.

    Args:
        name: that may be one.
        records: of the plugins that there are.
        folder: in which modules are looked for before all others.
    """
    if not is_place(name):
        return False
    for record in records:
        if record.source.is_called(name) or any(c.is_called(name) for c in record.usable):
            return False
    # A distribution is mostly called as its module is, but for hyphens.
    module = name.partition(":")[0]
    if canonical_name(module) not in {canonical_name(r.source.distribution) for r in records}:
        return True
    top = module.partition(".")[0]
    return own_file(top, folder) is not None or find_spec(top) is not None


def own_component(kind: str, place: str, found: Any, meant: Callable[[], str]) -> Component:
    """Return what ``module:Object`` names as a component: a class, or a function that makes one.

    What is made of it has to show, so that nothing else is ever called: the class is one of the
    kind, or the function says by its annotation what it returns.

    Args:
        kind: of component.
        place: of the object.
        found: the object, see :func:`imported`.
        meant: called where it is of another kind, for words that name what takes it; ``""`` where
            nothing is known to.

    Raises:
        ParameterError: it is of another kind; the message names the nearest choice.
    """
    name, _, path = place.partition(":")
    if not _makes(kind, found):
        own = [key for key, value in _own_names(sys.modules[name]) if _makes(kind, value)]
        wanted = kind_named(kind).product
        base = "with __call__" if kind == "graph" else f"derived from {wanted.__name__}"
        near = meant() or (suggestion(path, own) if own else f"{name} has none")
        raise ParameterError(
            f"{place} is {_described(found)}, no {kind}: expected a class {base}, or a function "
            f"annotated to return one; {near}"
        )
    return Component(kind, place, found, Source(name, "", name, place))


def imported(place: str, folder: Path | None = None, imports: bool = True) -> Any:
    """Return the object that ``module:Object`` names.

    Args:
        place: of the object.
        folder: in which the module is looked for before all others.
        imports: whether anything may be imported.

    Raises:
        UnknownNameError: there is no such module, or none may be imported; names the nearest.
        ParameterError: importing it fails, or it has no such object; names the nearest.
    """
    if not imports:
        raise UnknownNameError(
            f"{place!r} is in a module of somebody's own, none of which is imported here; name "
            "its folder, by code=FOLDER or --code FOLDER"
        )
    module_name, _, path = place.partition(":")
    found: Any = _module(module_name, folder)
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            public = (name for name in dir(found) if not name.startswith("_"))
            near = [name for name, _ in _own_names(found)] or public
            raise ParameterError(
                f"{module_name} has no {path!r}; {suggestion(attribute, near)}"
            ) from None
        except Exception as error:  # of a module that imports what it has when it is asked for it
            problem = Problem.of(error, module_name)
            raise ParameterError(f"{place} cannot be imported: {problem}") from error
    return found


def _module(name: str, folder: Path | None) -> Any:
    top = name.partition(".")[0]
    if folder is not None and str(folder) not in sys.path:
        # For good, as Python has the folder of a script: what the module imports later is beside.
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and the panics of native modules included
        missing = (error.name or name) if isinstance(error, ModuleNotFoundError) else None
        # It may be another that is missing, which the module imports.
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            words = f"there is no module {missing!r}; {_nearest(missing, folder)}"
            raise UnknownNameError(words) from None
        raise ParameterError(f"{name} cannot be imported: {Problem.of(error, name)}") from error
    if (own := own_file(top, folder)) is not None:
        # Python has one module of a name: another's would pass for it.
        loaded = getattr(sys.modules[top], "__file__", None)
        if loaded is None or Path(loaded).resolve() != own.resolve():
            raise ParameterError(
                f"the module {top!r} of {folder} is hidden by another of this name, "
                f"{loaded or 'which is built in'}; rename it"
            )
    return module


def own_file(module: str, folder: Path | None) -> Path | None:
    """Return the file of a top-level module in a folder, None where it has none."""
    if folder is None:
        return None
    for file in (folder / module / "__init__.py", folder / f"{module}.py"):
        if file.is_file():
            return file
    return None


def _nearest(missing: str, folder: Path | None) -> str:
    if folder is None and (file := own_file(missing, Path.cwd())) is not None:
        return (
            f"the working directory has {file.relative_to(Path.cwd())}: name it as the folder of "
            "your code, by code=. (--set code=. of a recipe)"
        )
    package, _, short = missing.rpartition(".")
    beside = getattr(sys.modules.get(package), "__path__", []) if package else None
    modules = [module.name for module in pkgutil.iter_modules(beside)]
    # No list of all that are there, as a suggestion has it: it would be hundreds.
    if near := get_close_matches(short, modules, n=1):
        return f"did you mean {'.'.join(filter(None, [package, near[0]]))!r}?"
    if folder is None:
        return "modules are looked for among what is installed, as no folder of your code is named"
    where = "the working directory" if folder == Path.cwd() else str(folder)
    return f"modules are looked for in {where} and among what is installed"


def _own_names(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and values of what a module has itself, and not from another package."""
    if not inspect.ismodule(module):
        return
    top = module.__name__.partition(".")[0]
    for name, value in vars(module).items():
        if name.startswith("_") or inspect.ismodule(value):
            continue
        # What is neither, such as a graph, was made here, whatever its class is of.
        defined = inspect.isclass(value) or inspect.isroutine(value)
        home = getattr(value, "__module__", None) or "" if defined else top
        if home.partition(".")[0] == top:
            yield name, value


def _makes(kind: str, factory: Any) -> bool:
    """Whether a class is one of a kind, or a function says that it returns one."""
    product = kind_named(kind).product
    if inspect.isclass(factory):
        return issubclass(factory, product)
    if not inspect.isroutine(factory):
        return False
    try:
        made = typing.get_type_hints(factory).get("return")
    except Exception:  # an annotation that cannot be evaluated says nothing
        return False
    made = typing.get_origin(made) or made
    return inspect.isclass(made) and issubclass(made, product)


def _described(value: Any) -> str:
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__)
        return f"a class derived from {bases}"
    if inspect.isroutine(value):
        return "a function"
    return f"of type {type(value).__name__}"
