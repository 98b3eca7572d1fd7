"""What others published of a table, beside ours; and what was done otherwise here."""

from collections.abc import Iterator, Mapping
from typing import Any

from gkd.files import parse_toml
from gkd.recipe.sections import PublishedRecipe
from gkd.report.results import Results

_OF_TEACHER = "teacher.training."


def deviations(run: Results) -> list[tuple[str, str]]:
    """Return by source, in words, what differs from how its numbers came about."""
    recipe = parse_toml(run.recipe)
    found = []
    for source in run.published:
        differences = [
            *_settings(recipe, source.settings),
            *_given_teacher(run, recipe, source.settings),
            *_samples(run.samples, source),
            *_classes(run.classes, source),
            *source.remarks,
        ]
        if differences:
            found.append((f"unlike {source.source}", "; ".join(differences)))
    return found


def _settings(recipe: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    given = _has_given_teacher(recipe)
    for key, theirs in there.items():
        if given and key.startswith(_OF_TEACHER):
            continue  # of a training that there was none of
        ours = value_at(recipe, key)
        if ours != theirs:
            yield f"{key} {'not set' if ours is None else ours} ({theirs} there)"


def _given_teacher(
    run: Results, recipe: Mapping[str, Any], there: Mapping[str, Any]
) -> Iterator[str]:
    """Say of a teacher that was trained there that its weights were given, and what is known."""
    epochs = there.get(f"{_OF_TEACHER}epochs")
    if epochs is None or not _has_given_teacher(recipe):
        return
    origins = (one.origin for one in run.networks if one.network == "teacher")
    origin = next((one for one in origins if one is not None), None)
    known = ""
    if origin is not None:
        plural = "epoch" if origin.epochs == 1 else "epochs"
        known = f", trained for {origin.epochs} {plural} with seed {origin.seed}"
    yield f"teacher: given weights{known} ({epochs} epochs there)"


def _has_given_teacher(recipe: Mapping[str, Any]) -> bool:
    return value_at(recipe, "teacher.weights") is not None


def _classes(here: int | None, there: PublishedRecipe) -> Iterator[str]:
    if None not in (here, there.classes) and here != there.classes:
        yield f"{here} classes ({there.classes} there)"


def _samples(here: Mapping[str, int], there: PublishedRecipe) -> Iterator[str]:
    for split, theirs in there.samples.items():
        if split in here and here[split] != theirs:
            yield f"{here[split]:,} {split} samples ({theirs:,} there)"


def value_at(recipe: Any, key: str) -> Any:
    """Return the value of a dotted key, None where there is none.

    An element of a list is reached by its name, or by its number.

    >>> recipe = {"methods": [{"name": "kd", "terms": [{"weight": 0.1}]}]}
    >>> value_at(recipe, "methods.kd.terms.0.weight")
    0.1
    """
    place = recipe
    for part in key.split("."):
        if isinstance(place, list):
            named = (item for item in place if isinstance(item, dict) and item.get("name") == part)
            numbered = place[int(part)] if part.isdigit() and int(part) < len(place) else None
            place = next(named, numbered)
        else:
            place = place.get(part) if isinstance(place, dict) else None
    return place
