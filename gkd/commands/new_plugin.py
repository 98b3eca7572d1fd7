"""What ``gkd new-plugin`` does."""

from pathlib import Path
from shlex import quote

from gkd.commands.listing import quietly
from gkd.errors import ParameterError
from gkd.hosting.host import current_host
from gkd.scaffold import PluginName, new_project


def write_plugin(name: str, kind: str, out: Path | None) -> None:
    """Write a new plugin project, and print its files and what to do next.

    Raises:
        UnknownNameError: there is no such kind.
        ParameterError: the name is invalid or taken, or the folder is in use.
    """
    component = PluginName(name).component
    other = quietly(current_host).components(kind).get(component)
    if other is not None:
        raise ParameterError(
            f"there is a {other} already: beside another, both would have to be asked for as "
            f"distribution:{component}; try 'gkd-my-{component}'"
        )
    written = new_project(name, kind, out)
    print("\n".join(map(str, written)))
    enter = f"cd {quote(str(out or name))}"
    steps = (enter, "pip install -e '.[test]'", "pytest", f"gkd check {name}")
    print("\n    ".join(["\nnext:", *steps]))
