"""``docs/zoo.md`` is what its generator writes, and every shipped loss says what the page needs."""

import pytest
from programs import program

import gkd
from gkd.commands.listing import loss_declarations
from gkd.hosting.host import current_host

GENERATOR = "docs/generate/zoo.py"

zoo = program(GENERATOR)


def test_the_page_is_up_to_date() -> None:
    assert zoo.page() == zoo.PAGE.read_text(encoding="utf-8"), f"run python {GENERATOR}"


@pytest.mark.parametrize("name", gkd.names("loss"))
def test_every_loss_says_where_it_is_from_and_when_to_take_it(name: str) -> None:
    factory = current_host().component("loss", name).factory
    assert loss_declarations(factory)["paper"]
    documentation = factory.__doc__ or ""
    for section in ("When:", ".. math::", "Source:", ">>> ", "Shapes:"):
        assert section in documentation, section


def test_most_losses_equal_public_code() -> None:
    declared = [
        loss_declarations(current_host().component("loss", n).factory) for n in gkd.names("loss")
    ]
    assert len(declared) >= 40
    assert sum(bool(each["parity"]) for each in declared) >= 25
