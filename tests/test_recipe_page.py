"""``docs/recipe.md`` is what its generator writes, and every key of a recipe has a meaning.

The page of components is written while the site is built.
"""

import pytest
from programs import program
from pydantic import BaseModel

import gkd
from gkd.hosting.kinds import KINDS

GENERATOR = "docs/generate/recipe_keys.py"

keys = program(GENERATOR)
components = program("docs/generate/components.py")


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
