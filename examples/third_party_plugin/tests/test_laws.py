"""The laws that gkd asks of every loss, the examples of the docstrings, and the entry point."""

import doctest

import gkd_global
import pytest
from gkd_global import GCRD, GSP, gcrd, gsp, nodes

import gkd
from gkd.testing import parametrize_with_checks


@parametrize_with_checks(
    [
        *(("loss", GCRD, choice) for choice in GCRD.example_parameters),
        ("loss", GCRD, {"width": 8, "samples": 3}),  # nodes are drawn
        GSP,
    ],
    examples=10,
)
def test_laws(check):
    check()


@pytest.mark.parametrize("module", [gcrd, gsp, nodes])
def test_the_examples_of_the_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


def test_both_are_found_once_installed():
    for name, loss in gkd_global.gkd_losses().items():
        assert isinstance(gkd.create("loss", f"gkd-global:{name}"), loss)
