"""What others published of a table, beside ours; and what was done otherwise here."""

from collections.abc import Iterator, Mapping
from typing import Any

from gkd.files import parse_toml
from gkd.recipe.sections import PublishedRecipe
from gkd.report.results import Results


def deviations(run: Results) -> list[tuple[str, str]]:
    """Return by source, in words, what differs from how its numbers came about."""
    recipe = parse_toml(run.recipe)
    found = []
    for source in run.published:
        differences = [
            *_settings(recipe, source.settings),
            *_samples(run.samples, source),
            *source.remarks,
        ]
        if differences:
            found.append((f"unlike {source.source}", "; ".join(differences)))
    return found


def _settings(recipe: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    for key, theirs in there.items():
        ours = value_at(recipe, key)
        if ours != theirs:
            yield f"{key} {'not set' if ours is None else ours} ({theirs} there)"


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
