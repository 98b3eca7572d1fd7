"""``docs/recipe.md`` is what its generator writes, and every key of a recipe has a meaning."""

import importlib.util
from pathlib import Path

import pytest
from pydantic import BaseModel

GENERATOR = Path(__file__).parents[1] / "docs" / "generate" / "recipe_keys.py"

spec = importlib.util.spec_from_file_location("generate_recipe_keys", GENERATOR)
assert spec is not None
assert spec.loader is not None
keys = importlib.util.module_from_spec(spec)
spec.loader.exec_module(keys)


def test_the_page_is_up_to_date() -> None:
    assert keys.page() == keys.PAGE.read_text(encoding="utf-8"), f"run python {GENERATOR}"


@pytest.mark.parametrize("model", keys.sections(), ids=lambda model: model.__name__)
def test_every_key_has_a_meaning_and_a_type(model: type[BaseModel]) -> None:
    known = keys.meanings(model)
    assert known.keys() == model.model_fields.keys()
    for name, field in model.model_fields.items():
        assert len(known[name]) > 5
        assert "Any" not in keys._type(field), f"{model.__name__}.{name}: say in words what it is"
