import math

from gkd.recipe.domain import Range
from gkd.sweep.sweep_figures import _place


def test_what_the_recipe_has_in_place_of_a_number_has_no_place() -> None:
    assert _place(Range(0.1, 10.0), 2.0, 0.0) == 2.0
    assert math.isnan(_place(Range(0.1, 10.0), {"gradient_share": 0.3}, 0.0))
