"""Names of new plugins: what they become, and which are refused."""

import keyword
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkd import ParameterError
from gkd.scaffold import PluginName


@pytest.mark.parametrize(
    ("name", "module", "component", "class_name"),
    [
        ("gkd-edge-cosine", "gkd_edge_cosine", "edge-cosine", "EdgeCosine"),
        ("my-loss", "my_loss", "my-loss", "MyLoss"),
        ("gkd-2d-points", "gkd_2d_points", "2d-points", "My2dPoints"),
        ("gkd-none", "gkd_none", "none", "MyNone"),
    ],
)
def test_one_name_in_all_its_forms(name, module, component, class_name):
    forms = PluginName(name)
    assert (forms.module, forms.component, forms.class_name) == (module, component, class_name)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("My Loss!", "my-loss"),
        ("my_loss", "my-loss"),
        ("MyGCRDLoss", "my-gcrd-loss"),
        ("-loss-", "loss"),
        ("3d", "gkd-3d"),
        ("../evil", "evil"),
        ("", "my-plugin"),
        ("été", "t"),
    ],
)
def test_a_name_of_another_form_is_refused_with_the_nearest(wrong, nearest):
    with pytest.raises(ParameterError) as caught:
        PluginName(wrong)
    assert str(caught.value).startswith(f"{wrong!r} is not a valid plugin name: use lower-case")
    assert str(caught.value).endswith(f"try {nearest!r}")


@pytest.mark.parametrize(
    ("taken", "nearest"),
    [
        ("torch", "gkd-torch"),
        ("json", "gkd-json"),
        ("lambda", "gkd-lambda"),
        ("gkd-lsp", "gkd-lsp-2"),
    ],
)
def test_a_module_that_exists_is_not_shadowed(taken, nearest):
    with pytest.raises(ParameterError, match=f"exists already; try '{nearest}'"):
        PluginName(taken)


@given(st.text(max_size=12))
def test_whatever_is_refused_the_suggestion_is_accepted(name):
    try:
        forms = PluginName(name)
    except ParameterError as error:
        (nearest,) = re.findall(r"try '([^']+)'$", str(error))
        forms = PluginName(nearest)
    assert forms.module.isidentifier()
    assert forms.class_name.isidentifier()
    assert not keyword.iskeyword(forms.class_name)
