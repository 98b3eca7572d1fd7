"""What components declare by attributes, and what is nearly one of these."""

from collections.abc import Iterator
from difflib import get_close_matches
from inspect import getmro
from typing import Any

from torch import nn

from gkd.hosting.kinds import kind_named
from gkd.hosting.parameters import signature_of, unusable_parameters
from gkd.testing.laws.requirements import require
from gkd.testing.subject import GRANTED, Subject

# As different as "sigmas" and "sigma": attributes of a component's own are further off.
_NEAR = 0.85


def declarations_are_known(subject: Subject) -> None:
    """A mistyped name declares nothing, and an annotation that says nothing checks nothing."""
    mistake = next(unusable_parameters(subject.factory), "")
    require(not mistake, mistake)
    known = set(GRANTED.get(subject.kind, ())) | {"example_parameters"}
    product = kind_named(subject.kind).product
    known |= {name for base in getmro(product) for name in getattr(base, "__annotations__", ())}
    # What a constructor takes may be kept under its name.
    own = set(signature_of(subject.factory).parameters)
    for name in _attributes(subject.specimen, product):
        if name in known | own:
            continue
        near = get_close_matches(name, known, n=1, cutoff=_NEAR)
        require(
            not near,
            f"it has an attribute {name!r}, which declares nothing; is it {''.join(near)!r}? "
            "An attribute that is meant otherwise needs another name",
        )


def _attributes(component: Any, product: type) -> Iterator[str]:
    """Yield the names of what is set on a component, or on its classes, and is no method."""
    bases = {*getmro(product), *getmro(nn.Module)}
    for holder in (component, *(cls for cls in getmro(type(component)) if cls not in bases)):
        for name, value in getattr(holder, "__dict__", {}).items():
            if not name.startswith("_") and not callable(value) and not hasattr(value, "__get__"):
                yield name
