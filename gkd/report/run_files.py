"""What a report needs of a run's recipe and environment, whichever version wrote them."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from gkd.errors import DataError, mistakes, shown
from gkd.files import parse_toml, read_sealed_json, read_sealed_text
from gkd.recipe.model import with_current_names
from gkd.recipe.sections import PublishedRecipe

RECIPE = "recipe.toml"
ENVIRONMENT = "environment.json"

Seed = Annotated[int, Field(ge=0, lt=2**64)]
FolderName = Annotated[str, Field(max_length=255)]  # longer ones no disk has
Content = TypeVar("Content", bound=BaseModel)


class RunMethod(BaseModel):
    """A method of a run: what it trains, whether it distils, how it is trained otherwise."""

    name: FolderName
    student: JsonValue = None
    terms: list[JsonValue] = []
    training: dict[str, JsonValue] | None = None
    student_params: dict[str, JsonValue] | None = None


class RunRecipe(BaseModel):
    """A run's recipe: no key of today's must be there, and others of yesterday's may be."""

    title: str = ""
    seeds: list[Seed] = [0]
    max_seeds: int | None = None
    precision: str = "32-true"
    dataset: dict[str, JsonValue] = {}
    teacher: dict[str, JsonValue] | None = None
    methods: list[RunMethod] = []
    published: list[PublishedRecipe] = []

    @field_validator("methods", mode="before")
    @classmethod
    def _rename(cls, methods: Any) -> Any:
        return with_current_names(methods) if isinstance(methods, list) else methods


class Place(BaseModel):
    """What a run, or a part of it, was computed on, and which code was another than before."""

    device: str | None = None
    devices: int = 1
    changed_code: list[str] = []


class RunEnvironment(Place):
    """A run's environment; nothing of it must be there."""

    model_config = ConfigDict(extra="ignore")

    command: str | None = None
    hardware: JsonValue = None
    versions: dict[str, JsonValue] = {}
    samples: dict[str, int] = {}
    classes: int | None = None
    data: JsonValue = None
    resumed: list[Place] = []


def read_recipe_of_run(directory: Path) -> tuple[str, RunRecipe]:
    """Return text and content of a run's recipe.

    Raises:
        DataError: It is damaged.
        FileNotFoundError: There is none.
    """
    path = directory / RECIPE
    if not path.is_file():
        raise FileNotFoundError(path)
    text = read_sealed_text(path)
    return text, parse_recipe_of_run(text, path)


def parse_recipe_of_run(text: str, path: Path) -> RunRecipe:
    """Return the content of the text of a recipe, which is in a file.

    Raises:
        DataError: It is none.
    """
    try:
        return validated(RunRecipe, parse_toml(text), path)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not TOML: {shown(error)}") from error


def read_environment(directory: Path) -> RunEnvironment:
    """Return a run's environment, an empty one where there is none.

    Raises:
        DataError: It is damaged.
    """
    path = directory / ENVIRONMENT
    content = read_sealed_json(path) if path.is_file() else {}
    return validated(RunEnvironment, content, path)


def validated(kind: type[Content], content: Any, path: Path) -> Content:
    """Return the content of a file as what it should be.

    Raises:
        DataError: It is not.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        place, sentence = next(mistakes(error, kind))
        where = ".".join(map(str, place)) or "the whole file"
        raise DataError(f"{path} is damaged: {where[:100]}: {sentence}") from error
