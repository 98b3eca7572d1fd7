"""How users and data sets name a task."""

from collections.abc import Mapping
from typing import TypeAlias, cast

from gkd.data.task import Task
from gkd.errors import ParameterError
from gkd.hosting.host import create

TaskChoice: TypeAlias = str | Mapping[str, object] | Task
"""A name, a mapping of a name and parameters, or a task."""


def find_task(choice: object) -> Task:
    """Return the task that a :data:`TaskChoice` names, or is.

    Raises:
        UnknownNameError: there is no such task; the message names the nearest one.
        ParameterError: it is no such choice, or the parameters do not fit the task.

    >>> find_task({"name": "multi-label"}).likelihood
    'sigmoid'
    """
    if isinstance(choice, Task):
        return choice
    parameters = {"name": choice} if isinstance(choice, str) else choice
    if not isinstance(parameters, Mapping) or not isinstance(parameters.get("name"), str):
        raise ParameterError(
            "task: expected a name, a mapping of its name and parameters such as "
            f"{{'name': 'single-label'}}, or a gkd.Task, got {choice!r}"
        )
    parameters = dict(parameters)
    return cast(Task, create("task", parameters.pop("name"), **parameters))
