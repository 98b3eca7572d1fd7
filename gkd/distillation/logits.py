"""Where the logits are in what a network returns."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from gkd.distillation.taps import describe, item_of, items_in
from gkd.errors import ParameterError, TapError, suggestion

OBVIOUS = "logits"
"""Name of an item that holds them, where nothing is said."""

_ITEMS = re.compile(r"(\[[^\[\]]+\])*")


def logits_of(output: object, place: str, label: str) -> Tensor:
    """Return the logits in the output of a network.

    Args:
        output: a tensor, which they are; or anything with items.
        place: where they are, ``"[0]"``, ``"[key]"``, ``"[field]"``; empty for the output itself,
            or its item called ``logits``.
        label: what messages call the network.

    Raises:
        TapError: they are not there, or nothing is said and nothing is obvious.

    >>> logits_of({"logits": "no tensor"}, "", "student")
    Traceback (most recent call last):
    gkd.errors.TapError: student: logits='[logits]': a str where logits are expected
    """
    if isinstance(output, Tensor):
        return output
    items = items_in(output)
    if not place and OBVIOUS not in items:
        choices = " or ".join(repr(f"[{item}]") for item in list(items)[:4])
        raise TapError(
            f"{label} returns {describe(output)} where logits are expected"
            + (f"; say which item they are: logits={choices}, " if items else "; say it by logits=")
            + "{'student': ...} for one network, or logits of [student] and [teacher] in a recipe"
        )
    place = place or f"[{OBVIOUS}]"
    where = f"{label}: logits={place!r}"
    found = item_of(output, tuple(place[1:-1].split("][")), where)
    if not isinstance(found, Tensor):
        raise TapError(f"{where}: {describe(found)} where logits are expected")
    return found


def require_place(place: object) -> str:
    """Return where logits are, if it is of the form ``"[0]"``, ``"[key][0]"`` or empty.

    Raises:
        ParameterError: it is not.
    """
    if isinstance(place, str) and _ITEMS.fullmatch(place):
        return place
    hint = f"; did you mean '[{place}]'?" if isinstance(place, str | int) else ""
    raise ParameterError(
        "logits: expected an item of what a network returns, such as '[0]' or '[key]', got "
        f"{place!r}{hint}"
    )


def declared_logits(network: nn.Module) -> str:
    """Return what a network says in an attribute ``logits`` of its own; empty for nothing."""
    declared = getattr(network, "logits", None)  # a sub-module may have this name
    return require_place(declared) if isinstance(declared, str) else ""


def logits_by_network(
    logits: str | Mapping[str, str] | None, networks: Mapping[str, nn.Module]
) -> dict[str, str]:
    """Return where the logits of each network are, as :func:`logits_of` takes it.

    Args:
        logits: of all networks, or by the network's name; None, and what a mapping leaves out, is
            what networks declare.
        networks: by name.

    Raises:
        ParameterError: it is of another form, or a name is no network's.
    """
    if isinstance(logits, Mapping):
        for name in logits:
            if name not in networks:
                hint = suggestion(str(name), networks)
                raise ParameterError(f"logits: no network {name!r}; {hint}")
        said = {name: require_place(place) for name, place in logits.items()}
    else:
        said = {} if logits in (None, "") else dict.fromkeys(networks, require_place(logits))
    return {
        name: said[name] if name in said else declared_logits(network)
        for name, network in networks.items()
    }
