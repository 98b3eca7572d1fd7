"""``docs/recipe.md`` is what its generator writes, and every key of a recipe has a meaning.

The page of components is written while the site is built.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

import gkd
from gkd.hosting.kinds import KINDS

GENERATOR = Path(__file__).parents[1] / "docs" / "generate" / "recipe_keys.py"


def generator(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"generate_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


keys = generator(GENERATOR)
components = generator(GENERATOR.with_name("components.py"))


def test_the_page_of_components_has_all_but_losses_with_their_parameters() -> None:
    page = components.page()
    assert components.KINDS.keys() == KINDS.keys() - {"loss"}
    for kind in components.KINDS:
        for name in gkd.names(kind):
            assert f"\n### {name}\n" in page
    assert "| `heads` | tuple[int &gt; 0, ...] |" in page


def test_the_page_is_up_to_date() -> None:
    assert keys.page() == keys.PAGE.read_text(encoding="utf-8"), f"run python {GENERATOR}"


@pytest.mark.parametrize("model", keys.sections(), ids=lambda model: model.__name__)
def test_every_key_has_a_meaning_and_a_type(model: type[BaseModel]) -> None:
    known = keys.meanings(model)
    assert known.keys() == model.model_fields.keys()
    for name, field in model.model_fields.items():
        assert len(known[name]) > 5
        assert "Any" not in keys._type(field), f"{model.__name__}.{name}: say in words what it is"
