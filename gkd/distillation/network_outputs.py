"""What a network gives for a batch: its logits, and what its taps saw."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from gkd.distillation.in_place import unchanged
from gkd.distillation.inputs import Arguments
from gkd.distillation.layer_by_layer import layer_by_layer
from gkd.distillation.logits import logits_of
from gkd.distillation.taps import Tap, capture, features_of, graph_of
from gkd.errors import ParameterError
from gkd.graph import Graph
from gkd.loss import View

_ROUNDING = 1e-3  # of the mean size of outputs

LOGITS = "logits"
"""Cache key of a network's logits."""


def features_key(tap: Tap) -> str:
    """Return the cache key of tapped features."""
    return f"features:{tap}"


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """What the terms need of one network for one batch.

    Attributes:
        logits: ``[N, classes]``, or ``[B, classes]`` for whole graphs; None if nobody needs them.
        features: by tap, as the sub-module returned them.
        graphs: by tap, a graph or an edge index ``[2, E]``.
        made: by cache key, graphs and targets that were made of all this before.
    """

    logits: Tensor | None
    features: Mapping[Tap, Tensor]
    graphs: Mapping[Tap, Graph | Tensor]
    made: Mapping[str, View] = field(default_factory=dict)

    @classmethod
    def of_entries(cls, entries: Mapping[str, View], taps: Collection[Tap]) -> NetworkOutputs:
        """Return the outputs that cache entries of a batch stand for.

        Args:
            entries: by key: of the logits, of tapped features, and what was made of them.
            taps: of features.
        """
        kept = {
            tap: entries[features_key(tap)].features for tap in taps if features_key(tap) in entries
        }
        return cls(
            logits=entries[LOGITS].logits if LOGITS in entries else None,
            features=cast(Mapping[Tap, Tensor], kept),
            graphs={},
            made=entries,
        )

    def widened(self) -> NetworkOutputs:
        """Return the same outputs, those in half precision in float32."""

        def wide(tensor: Tensor) -> Tensor:
            half = tensor.is_floating_point() and tensor.element_size() < 4
            return tensor.float() if half else tensor

        return replace(
            self,
            logits=None if self.logits is None else wide(self.logits),
            features={tap: wide(features) for tap, features in self.features.items()},
        )

    def pairs(self, other: NetworkOutputs) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield what two runs gave of the same: its name in messages, and both tensors."""
        if self.logits is not None and other.logits is not None:
            yield "logits", self.logits, other.logits
        for tap, features in self.features.items():
            yield f"tap {str(tap)!r}", features, other.features[tap]


def alike(found: Tensor, expected: Tensor) -> bool:
    """Whether two tensors are the same, but for the order of sums and near-ties between neighbours.

    >>> import torch
    >>> near = torch.tensor([1.0, 2.0001])
    >>> alike(torch.tensor([1.0, 2.0]), near), alike(torch.ones(1), near)
    (True, False)
    """
    return found.shape == expected.shape and bool(
        (found - expected).abs().mean() <= _ROUNDING * expected.abs().mean()
    )


@dataclass(frozen=True, slots=True)
class NetworkTaps:
    """What to capture of one network.

    Attributes:
        name: of the network, for messages.
        logits: where they are in what the network returns; see :func:`logits_of`.
        features: taps that yield features.
        graphs: taps that yield a graph, or a tuple that begins with an edge index.
        partial: whether the logits are not needed, so that the pass may end with the last tap.
        terms: names of those that ask for each tap, for messages.
    """

    name: str
    logits: str = ""
    features: Collection[Tap] = ()
    graphs: Collection[Tap] = ()
    partial: bool = False
    terms: Mapping[Tap, Sequence[str]] = field(default_factory=dict)

    @property
    def captured(self) -> frozenset[Tap]:
        """All taps."""
        return frozenset([*self.features, *self.graphs])


def network_outputs(network: nn.Module, arguments: Arguments, taps: NetworkTaps) -> NetworkOutputs:
    """Call ``network`` with ``arguments``, and collect what ``taps`` ask for.

    Where logits are not needed, the first pass shows how often taps fire; later ones end there.

    Raises:
        TapError: the output holds no logits, or a tap yields nothing usable.
        ParameterError: the network changes in place what it is called with, or is of another
            floating type than that.
    """
    enough = _firings.get(network, {}).get(taps.captured) if taps.partial else None
    output: object = None
    with (
        unchanged("the batch", arguments.content, f"the {taps.name}"),
        capture(network, taps.captured, taps.name, enough, taps.terms) as captured,
        layer_by_layer(network, arguments, captured.aside),
    ):
        try:
            output = network(*arguments.positional, **arguments.named)
        except RuntimeError as error:
            if "type" not in str(error) or (words := _other_type(network, arguments)) is None:
                raise
            raise ParameterError(f"the {taps.name} {words}") from error
    outputs = NetworkOutputs(
        logits=None if taps.partial else logits_of(output, taps.logits, taps.name),
        features={
            tap: features_of(captured.value(tap), captured.place(tap)) for tap in taps.features
        },
        graphs={tap: graph_of(captured.value(tap), captured.place(tap)) for tap in taps.graphs},
    )
    if taps.partial:
        _firings.setdefault(network, {})[taps.captured] = captured.num_calls
    return outputs


def _other_type(network: nn.Module, arguments: Arguments) -> str | None:
    """Say that a network is of another floating type than its inputs; None where it is not."""
    own = {p.dtype for p in network.parameters() if p.is_floating_point()}
    given = {
        name: value.dtype
        for name, value in arguments.content.items()
        if isinstance(value, Tensor) and value.is_floating_point() and value.dtype not in own
    }
    if not own or not given:
        return None
    inputs = ", ".join(f"{name} ({dtype})" for name, dtype in given.items())
    return (
        f"has weights of {', '.join(sorted(map(str, own)))}, and is called with {inputs}: give "
        "both one type, such as by network.float()"
    )


_firings: WeakKeyDictionary[nn.Module, dict[frozenset[Tap], int]] = WeakKeyDictionary()
