"""What the networks have in common: layers, and what happens between and after them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from gkd import Graph, ParameterError
from gkd.functional.memory import require_memory_for_layers
from gkd.functional.network_input import graph_over, require_features
from gkd_gnn.pooling import Pool, pool_graphs

Depth = Annotated[int, Field(ge=1, le=1000)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Activation: TypeAlias = Literal["relu", "elu", "leaky_relu", "gelu", "silu", "tanh"]
Norm: TypeAlias = Literal["none", "batch", "layer"]
JumpingKnowledge: TypeAlias = Literal["none", "cat", "max", "last"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "elu": functional.elu,
    "leaky_relu": functional.leaky_relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


class Residual(nn.Module):
    """A layer that adds its input, by a linear map without bias where the widths differ.

    Args:
        layer: called with the features and whatever else the residual is called with.
        in_channels: width of its input.
        out_channels: width of its output.

    >>> layer = Residual(nn.Linear(3, 3), 3, 3)
    >>> x = torch.ones(2, 3)
    >>> torch.equal(layer(x), layer.layer(x) + x)
    True
    """

    def __init__(self, layer: nn.Module, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layer = layer
        same = in_channels == out_channels
        self.res = nn.Identity() if same else nn.Linear(in_channels, out_channels, bias=False)

    def forward(self, x: Tensor, *structure: object) -> Tensor:
        """Return ``[N, out_channels]`` for ``x [N, in_channels]``."""
        out: Tensor = self.layer(x, *structure) + self.res(x)
        return out


class LayerStack(nn.Module):
    r"""Layers with normalisation, activation and dropout behind every one but the last.

    .. math:: h^{l+1} = \mathrm{layer}_l(\mathrm{dropout}(\sigma(\mathrm{norm}_{l-1}(h^l))))

    Where the outputs of layers are joined (``jumping_knowledge``) or those of nodes (``pool``), the
    last layer is hidden like the others, and a linear ``head`` follows.

    Args:
        make_layer: input and output width → a layer, called with the features and whatever
            :meth:`run` is called with.
        in_channels: width of the input.
        out_channels: number of outputs.
        hidden_channels: width of every hidden layer.
        num_layers: L, the number of layers.
        dropout: probability of dropping a hidden feature in training.
        act: the activation σ.
        norm: behind every hidden layer: ``batch`` over the nodes, ``layer`` over the features of
            each node.
        residual: every layer adds its input.
        jumping_knowledge: what the head sees: ``last``, the last layer; ``cat``, all of them side
            by side; ``max``, the largest of each feature.
        pool: over the nodes of each graph, before the head.
        bias: learn an additive vector for every layer, the head included.
    """

    inputs: tuple[str, ...] = ("x",)

    def __init__(
        self,
        make_layer: Callable[[int, int], nn.Module],
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int,
        num_layers: int,
        dropout: float,
        act: Activation,
        norm: Norm,
        residual: bool,
        jumping_knowledge: JumpingKnowledge,
        pool: Pool,
        bias: bool,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.dropout, self.act = dropout, act
        self.jumping_knowledge, self.pool = jumping_knowledge, pool
        has_head = jumping_knowledge != "none" or pool != "none"
        hidden = num_layers if has_head else num_layers - 1
        widths = [in_channels, *[hidden_channels] * hidden]
        widths += [] if has_head else [out_channels]
        joined = hidden_channels * (num_layers if jumping_knowledge == "cat" else 1)
        ends = [(joined, out_channels)] if has_head else []
        require_memory_for_layers(type(self).__name__, [*pairwise(widths), *ends])
        self.layers = nn.ModuleList(
            Residual(make_layer(*pair), *pair) if residual else make_layer(*pair)
            for pair in pairwise(widths)
        )
        self.norms = nn.ModuleList(normalisation(norm, hidden_channels) for _ in range(hidden))
        self.head = nn.Linear(joined, out_channels, bias=bias) if has_head else None
        if pool != "none":
            self.inputs = (*self.inputs, "batch")

    def reset_parameters(self) -> None:
        """Draw all parameters anew and forget running statistics."""
        pending = list(self.children())
        for module in pending:
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()  # of what is inside, it knows better
            else:
                pending.extend(module.children())

    def run(self, x: Tensor, structure: Sequence[object], batch: Tensor | None) -> Tensor:
        """Return the logits of every node, or of every graph where nodes are pooled.

        Args:
            x: ``[N, in_channels]``.
            structure: what every layer is called with besides the features.
            batch: int64 ``[N]``, ascending: the graph of each node; None where all are of one.
        """
        if batch is not None and self.pool == "none":
            raise ParameterError(
                f"{type(self).__name__} got a batch vector, but returns logits of nodes: leave it "
                "out, or choose a pool"
            )
        if (
            self.training
            and len(x) == 1
            and any(isinstance(module, nn.BatchNorm1d) for module in self.modules())
        ):
            # torch would complain of one value per channel, somewhere inside.
            raise ParameterError(
                f"{type(self).__name__} needs at least two nodes in a batch in training: its batch "
                "normalisation has one value for each node"
            )
        outputs = []
        for index, layer in enumerate(self.layers):
            x = layer(x, *structure)
            if index < len(self.norms):
                x = ACTIVATIONS[self.act](self.norms[index](x))
                x = functional.dropout(x, self.dropout, self.training)
                outputs.append(x)
        if self.jumping_knowledge == "cat":
            x = torch.cat(outputs, dim=1)
        elif self.jumping_knowledge == "max":
            x = torch.stack(outputs).amax(0)
        if self.pool != "none":
            x = pool_graphs(x, batch, self.pool)
        return x if self.head is None else self.head(x)

    def check_features(self, x: Tensor) -> None:
        """Raise :class:`ParameterError` unless ``x`` is ``[N, in_channels]`` in a fitting dtype."""
        require_features(self, x, self.in_channels)

    def graph_of(self, edge_index: Tensor, x: Tensor) -> Graph:
        """Return the graph of the nodes of ``x``, having checked both.

        Raises:
            ParameterError: features or edges that do not fit, or that lie on two devices.
        """
        self.check_features(x)
        return graph_over(x, edge_index)


def normalisation(name: Norm, channels: int) -> nn.Module:
    """Return the module that normalises ``[N, channels]``."""
    match name:
        case "batch":
            return nn.BatchNorm1d(channels)
        case "layer":
            return nn.LayerNorm(channels)
    return nn.Identity()
