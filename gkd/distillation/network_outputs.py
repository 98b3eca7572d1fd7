"""One forward pass: the logits and what the taps saw."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from gkd.distillation.tap import Tap, described, features_of, item_of
from gkd.distillation.taps import capturing
from gkd.errors import TapError
from gkd.graph import Graph


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """What the terms need of one network for one batch.

    Attributes:
        logits: ``[N, classes]``, or ``[B, classes]`` for whole graphs; None if nobody needs them.
        features: by tap, ``[N, F]`` or ``[B, N, F]`` as the sub-module returned them.
        graphs: by tap, a graph or an edge index ``[2, E]``.
    """

    logits: Tensor | None
    features: Mapping[Tap, Tensor]
    graphs: Mapping[Tap, Graph | Tensor]


@dataclass(frozen=True, slots=True)
class NetworkTaps:
    """What to capture of one network.

    Attributes:
        name: of the network, for messages.
        logits: items that lead to the logits where the network returns more than a tensor.
        features: taps that yield features.
        graphs: taps that yield a graph, or a tuple that begins with an edge index.
        partial: whether the logits are not needed, so that the pass may end with the last tap.
        terms: names of those that ask for each tap, for messages.
    """

    name: str
    logits: Tap
    features: Collection[Tap] = ()
    graphs: Collection[Tap] = ()
    partial: bool = False
    terms: Mapping[Tap, Sequence[str]] = field(default_factory=dict)

    @property
    def captured(self) -> frozenset[Tap]:
        """All taps."""
        return frozenset([*self.features, *self.graphs])


def network_outputs(
    network: nn.Module, inputs: Mapping[str, object], taps: NetworkTaps
) -> NetworkOutputs:
    """Run ``network`` on the values of ``inputs``, in order, and collect what ``taps`` ask for.

    Where logits are not needed, the first pass shows how often taps fire; later ones end there.

    Raises:
        TapError: the output holds no logits, or a tap yields nothing usable.
    """
    enough = _firings.get(network, {}).get(taps.captured) if taps.partial else None
    output: object = None
    with capturing(network, taps.captured, taps.name, enough, taps.terms) as captured:
        output = network(*inputs.values())
    outputs = NetworkOutputs(
        logits=None if taps.partial else _logits(output, taps),
        features={
            tap: features_of(captured.value(tap), captured.place(tap)) for tap in taps.features
        },
        graphs={tap: _graph(captured.value(tap), captured.place(tap)) for tap in taps.graphs},
    )
    if taps.partial:
        _firings.setdefault(network, {})[taps.captured] = captured.num_calls
    return outputs


_firings: WeakKeyDictionary[nn.Module, dict[frozenset[Tap], int]] = WeakKeyDictionary()


def _logits(output: object, taps: NetworkTaps) -> Tensor:
    if not isinstance(output, Tensor):
        output = item_of(output, taps.logits.items, f"{taps.name}: logits={str(taps.logits)!r}")
    if not isinstance(output, Tensor):
        raise TapError(
            f"{taps.name} returns {described(output)} where logits are expected; say which item "
            "they are, as in Distiller(..., logits='[0]')"
        )
    return output


def _graph(value: object, place: str) -> Graph | Tensor:
    if isinstance(value, tuple | list) and value:
        value = value[0]
    if isinstance(value, Graph | Tensor):
        return value
    raise TapError(f"{place} yields {described(value)}, not a graph or an edge index [2, E]")
