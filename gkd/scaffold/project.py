"""Writing a new plugin project from templates."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from gkd import __version__
from gkd.errors import ParameterError
from gkd.hosting.kinds import kind_named
from gkd.scaffold.names import PluginName

_TEMPLATES = files("gkd.scaffold") / "templates"


def new_project(name: str, kind: str = "loss", folder: Path | None = None) -> tuple[Path, ...]:
    """Write an installable project with one component of ``kind``, and return its files.

    Args:
        name: of the distribution.
        kind: loss, kernel, graph, model, dataset, task or weigher.
        folder: of the project, new or empty; by default ``name`` in the working directory.

    Raises:
        UnknownNameError: there is no such kind.
        ParameterError: the name is invalid or taken, or the folder is in use.
    """
    hook = kind_named(kind).hook
    names = PluginName(name)
    folder = Path(name) if folder is None else folder
    if folder.exists() and not folder.is_dir():
        raise ParameterError(f"the folder '{folder}' cannot be made: a file is called so")
    if folder.is_dir() and any(folder.iterdir()):
        raise ParameterError(f"the folder '{folder}' is in use; name a new or empty one with --out")
    contents = {
        "pyproject.toml": _template("pyproject.toml"),
        "README.md": _template("README.md"),
        f"{names.module}.py": _template(f"{kind}.py"),
        f"tests/test_{names.module}.py": _template(f"test_{kind}.py"),
    }
    values = {
        "distribution": names.distribution,
        "module": names.module,
        "component": names.component,
        "class_name": names.class_name,
        "kind": kind,
        "hook": hook,
        "gkd": ".".join(__version__.split(".")[:2]),
    }
    if re.search(rf"\b{names.class_name}\b", "".join(t.template for t in contents.values())):
        values["class_name"] = f"My{names.class_name}"  # the template means something else by it
    written = tuple(folder / path for path in contents)
    for path, template in zip(written, contents.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template.substitute(values), encoding="utf-8")
    return written


def _template(name: str) -> Template:
    # Another suffix than .py keeps tools from taking a template for a module.
    return Template((_TEMPLATES / f"{name}.template").read_text(encoding="utf-8"))
