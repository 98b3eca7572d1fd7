"""What a network is called with: which attribute of a batch goes to which parameter."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from torch import nn
from torch.utils._pytree import tree_unflatten

from gkd.data.batch_attributes import attribute, tensors, value_of
from gkd.errors import NAMED, ParameterError, suggestion

Inputs: TypeAlias = str | Sequence[str] | Mapping[str, str]
"""How a user says what one network is called with; see :class:`NetworkInputs`."""

WHOLE = "batch"
IN_ORDER = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
"""Parameters that a caller may give by position."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What one network is called with for one batch.

    Attributes:
        positional: values in order.
        named: values by parameter.
        content: what they hold of the batch, by attribute; None where it has nothing.
    """

    positional: tuple[object, ...]
    named: Mapping[str, object]
    content: Mapping[str, object]


class NetworkInputs:
    """Takes from a batch what one network's ``forward`` is called with.

    Args:
        inputs: names of attributes, each of which goes to the parameter that has its name. Where
            the network has other names, they go in order, but never to a parameter with a default,
            nor to one that the batch has an attribute for: that would be a guess. Or a mapping from
            parameters to attributes; or ``"batch"``, for the batch itself. A parameter with a
            default is left out where the batch's attribute is missing or None.
        network: that is called.
        label: what messages call it.

    Raises:
        ParameterError: no parameter takes an attribute, or one without a default gets none.

    >>> from types import SimpleNamespace
    >>> class Network(nn.Module):
    ...     def forward(self, edge_index, x, edge_weight=None): ...
    >>> inputs = NetworkInputs(("x", "edge_index", "edge_weight"), Network(), "student")
    >>> inputs.arguments(SimpleNamespace(x=1, edge_index=2)).named
    {'x': 1, 'edge_index': 2}
    >>> NetworkInputs(("x", "edge_index", "edge_attr"), Network(), "student")
    Traceback (most recent call last):
    gkd.errors.ParameterError: student: inputs: no parameter of forward(edge_index, x, \
edge_weight=None) takes 'edge_attr'; did you mean 'edge_weight'? ...
    """

    def __init__(self, inputs: Inputs, network: nn.Module, label: str) -> None:
        self._whole = inputs == WHOLE
        self._places: list[tuple[str | None, str]] = []  # parameter (None: in order), attribute
        self._optional: set[str | None] = set()
        self._renamed: dict[str, str] = {}  # attribute -> parameter of another name, in order
        self._label = label
        self._exported: list[str] = []
        if self._whole:
            required = [
                p.name
                for p in forward_parameters(network)
                if p.default is p.empty and p.kind in IN_ORDER
            ]
            if len(required) > 1:
                raise ParameterError(
                    f"{label}: inputs = 'batch' hands over the whole batch, and its forward takes "
                    f"{', '.join(required)}: name attributes of the batch, ('x', 'edge_index')"
                )
            return
        if not _is_inputs(inputs):
            raise ParameterError(
                f"{label}: inputs: expected names of attributes such as ('x', 'edge_index'), a "
                f"mapping from parameters to attributes, or 'batch', got {inputs!r}"
            )
        parameters = forward_parameters(network)
        if not isinstance(inputs, Mapping) and _go_in_order(inputs, parameters):
            self._places = [(None, name) for name in inputs]
            places = [p.name for p in parameters if p.kind in IN_ORDER]
            self._renamed = {n: p for p, n in zip(places, inputs, strict=False) if p != n}
            return
        named = inputs if isinstance(inputs, Mapping) else {name: name for name in inputs}
        _require_places(named, parameters, label)
        self._places = list(named.items())
        self._optional = {p.name for p in parameters if p.default is not p.empty}
        self._exported = _exported_in_order(network, parameters)

    def __str__(self) -> str:
        """Return which attribute goes where, such as ``x=x, adj=adj_t``; ``batch`` for all."""
        places = [name if place is None else f"{place}={name}" for place, name in self._places]
        return WHOLE if self._whole else ", ".join(places)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes of a batch that the network is called with; empty for the batch itself."""
        return tuple(name for _, name in self._places)

    @property
    def required(self) -> tuple[str, ...]:
        """Those of :attr:`attributes` that no parameter's default stands in for."""
        return tuple(name for place, name in self._places if place not in self._optional)

    def arguments(self, batch: object) -> Arguments:
        """Return what the network is called with for ``batch``.

        Raises:
            DataError: the batch lacks an attribute.
            ParameterError: a parameter would get another attribute than that of its name.
        """
        if self._whole:
            return Arguments((batch,), {}, tensors(batch))
        positional: list[object] = []
        named: dict[str, object] = {}
        content: dict[str, object] = {}
        for parameter, name in self._places:
            if parameter in self._optional and value_of(batch, name) is None:
                content[name] = None
                continue
            value = content[name] = attribute(batch, name, "inputs")
            if parameter is None:
                place = self._renamed.get(name)
                if place is not None and value_of(batch, place) is not None:
                    raise ParameterError(
                        f"{self._label}: inputs: {name!r} would go to the parameter {place!r}, for "
                        "which the batch has an attribute; name that, or say "
                        f"{{{place!r}: {name!r}}}"
                    )
                positional.append(value)
            else:
                named[parameter] = value
        positional += [named.pop(parameter) for parameter in self._exported if parameter in named]
        return Arguments(tuple(positional), named, content)


def inputs_by_network(
    inputs: Inputs | Mapping[str, Inputs] | None, networks: Mapping[str, nn.Module]
) -> dict[str, Inputs]:
    """Return what is said of each network: the same of all, each its own, or what it declares.

    Args:
        inputs: of every network, or by the network's name; None for what networks declare in an
            attribute ``inputs`` of theirs.
        networks: by name.

    Raises:
        ParameterError: nothing is said of a network, or a name is none of theirs.
    """
    if isinstance(inputs, Mapping) and (inputs.keys() & networks.keys()):
        if unknown := [str(name) for name in inputs if name not in networks]:
            raise ParameterError(
                f"inputs: no network {unknown[0]!r}; {suggestion(unknown[0], networks)}"
            )
        said: dict[str, Inputs] = dict(inputs)
    else:
        said = {} if inputs is None else dict.fromkeys(networks, cast(Inputs, inputs))
    for name, network in networks.items():
        if name not in said and (declared := declared_inputs(network)) is not None:
            said[name] = declared
        if name not in said:
            raise ParameterError(
                f"inputs: say what the {name} is called with, such as ('x', 'edge_index')"
            )
    return said


def inputs_or(network: nn.Module, default: Inputs) -> Inputs:
    """Return what a network declares that it is called with, ``default`` where it does not."""
    declared = declared_inputs(network)
    return default if declared is None else declared


def declared_inputs(network: nn.Module) -> Inputs | None:
    """Return what a network says of itself that it is called with, None where it says nothing."""
    declared = getattr(network, "inputs", None)
    return declared if declared == WHOLE or _is_inputs(declared) else None


def _is_inputs(inputs: object) -> bool:
    if isinstance(inputs, Mapping):
        return bool(inputs) and all(isinstance(v, str) for pair in inputs.items() for v in pair)
    names = list(inputs) if isinstance(inputs, Sequence) and not isinstance(inputs, str) else []
    return bool(names) and all(isinstance(n, str) for n in names) and len(set(names)) == len(names)


def forward_parameters(network: nn.Module) -> list[inspect.Parameter]:
    """Return the parameters of a network's ``forward``; one that takes anything if nobody knows."""
    # A compiled module's own forward takes anything, and hands it on.
    inner = getattr(network, "_orig_mod", network)
    try:
        return list(inspect.signature(inner.forward).parameters.values())
    except (TypeError, ValueError):  # of compiled code, nobody knows
        return [inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)]


def _exported_in_order(network: nn.Module, parameters: Sequence[inspect.Parameter]) -> list[str]:
    """Return the parameters of a module of torch.export that it takes by position alone."""
    form = getattr(network, "_in_spec", None)
    if form is None:
        return []
    in_order, _ = tree_unflatten(range(form.num_leaves), form)
    return [parameter.name for parameter in parameters[: len(in_order)]]


def _go_in_order(inputs: Sequence[str], parameters: Sequence[inspect.Parameter]) -> bool:
    """Whether attributes go to parameters in order, as names do not tell."""
    if {p.name for p in parameters if p.kind in NAMED}.issuperset(inputs):
        return False
    required = [p.name for p in parameters if p.kind in IN_ORDER and p.default is p.empty]
    more = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    # Each place gets its own attribute, or one that no other place is called by.
    return (len(inputs) == len(required) or (more and len(inputs) > len(required))) and all(
        place == name or place not in inputs for place, name in zip(required, inputs, strict=False)
    )


def _require_places(
    places: Mapping[str, str], parameters: Sequence[inspect.Parameter], label: str
) -> None:
    names = [p.name for p in parameters if p.kind in NAMED]
    shown = f"forward({', '.join(str(p.replace(annotation=p.empty)) for p in parameters)})"
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for place, name in places.items():
            if place not in names:
                free = [n for n in names if n not in places]
                whole = (
                    f"; where {free[0]!r} is the whole batch, say inputs = 'batch'"
                    if len(names) == len(free) == 1
                    else ""
                )
                raise ParameterError(
                    f"{label}: inputs: no parameter of {shown} takes {name!r}; "
                    f"{suggestion(place, free)}{whole}. A mapping from parameters to attributes "
                    "says what goes where, and {'student': ..., 'teacher': ...} what each network "
                    "gets"
                )
    for p in parameters:
        if p.kind in NAMED and p.default is p.empty and p.name not in places:
            raise ParameterError(f"{label}: inputs: {shown} needs {p.name!r}, which none gives")
