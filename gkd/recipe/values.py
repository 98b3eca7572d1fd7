"""What recipes are made of: tables, and values that are more than numbers and words."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gkd.distillation.layout import Layout
from gkd.distillation.schedule import task_weight_from, weight_from
from gkd.errors import shown
from gkd.recipe.domain import domain_from


class Part(BaseModel):
    """Base of all tables of a recipe: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _check_weight(value: Any) -> Any:
    weight_from(value)
    return value


def _check_task_weight(value: Any) -> Any:
    task_weight_from(value)
    return value


def _check_graph(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, dict) and "name" in value):
        return value
    raise ValueError("should be the name of a batch attribute, 'tap:PATH' or {name = ..., ...}")


def _check_weigher(value: Any) -> Any:
    return _component(value, "weigher")


def _check_task(value: Any) -> Any:
    return _component(value, "task")


def _component(value: Any, kind: str) -> Any:
    if value is None or isinstance(value, str) or (isinstance(value, dict) and "name" in value):
        return value
    raise ValueError(f"should be the name of a {kind}, or {{name = ..., ...}}")


def _check_inputs(value: Any) -> Any:
    names = value.values() if isinstance(value, dict) else value
    known = isinstance(names, list | type({}.values())) and all(isinstance(n, str) for n in names)
    if value == "batch" or (names and known):
        return value
    raise ValueError(
        'must be names of attributes such as ["x", "edge_index"], a table from parameters to '
        f'attributes, or "batch", got {shown(value)}'
    )


def _check_layout(value: Any) -> Any:
    Layout.parse(value)
    return value


def _check_domain(value: Any) -> Any:
    domain_from(value)
    return value


# What is Any to pydantic says in words what it is, for the reference of all keys.
Weight = Annotated[Any, AfterValidator(_check_weight), "float | table of a schedule or a share"]
TaskWeight = Annotated[Any, AfterValidator(_check_task_weight), "float | table, as of a term"]
NetworkInputs = Annotated[
    Any, AfterValidator(_check_inputs), "list of names | table, from parameter to name | 'batch'"
]
Taps = str | Annotated[list[str], Field(min_length=1)] | None
Weigher = Annotated[Any, AfterValidator(_check_weigher), "name | table of name and parameters"]
TaskChoice = Annotated[Any, AfterValidator(_check_task), "name | table of name and parameters"]
GraphSource = Annotated[
    Any, AfterValidator(_check_graph), "name | 'tap:PATH' | table of a builder and its parameters"
]
LogitsPlace = Annotated[str | None, Field(pattern=r"^(\[[^\[\]]+\])+$")]
LayoutOfTap = Annotated[Any, AfterValidator(_check_layout), "'N H F' | … | table of form and mask"]
Domain = Annotated[Any, AfterValidator(_check_domain), "'LOW..HIGH [log] [step N]' | list"]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
