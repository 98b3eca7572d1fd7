"""One layer of the graph isomorphism network (Xu et al., ICLR 2019)."""

import torch
from torch import Tensor, nn

from gkd import Graph
from gkd.functional.edge_products import neighbour_sum
from gkd_gnn.layer_stack import ACTIVATIONS, Activation, Norm, normalisation


class GINLayer(nn.Module):
    r"""A perceptron of two layers on the sum of every node and its neighbours.

    .. math::
        y_i = W_2\, \sigma\Big(\mathrm{norm}\Big(
        W_1 \Big((1 + \varepsilon) x_i + \sum_{j \in N(i)} w_{ij} x_j\Big) + b_1\Big)\Big) + b_2

    Args:
        in_channels: width of the input.
        out_channels: width of the output, and between the two linear maps.
        act: the activation σ.
        norm: before it: none, batch or layer.
        eps: ε, or what it begins with.
        train_eps: learn ε.
        bias: add learned vectors.

    >>> layer = GINLayer(3, 4)
    >>> graph = Graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    >>> layer(torch.ones(2, 3), graph, torch.ones(2)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        act: Activation = "relu",
        norm: Norm = "none",
        eps: float = 0.0,
        train_eps: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.act, self.initial_eps = act, eps
        self.lin_1 = nn.Linear(in_channels, out_channels, bias=bias)
        self.norm = normalisation(norm, out_channels)
        self.lin_2 = nn.Linear(out_channels, out_channels, bias=bias)
        self.eps: Tensor
        if train_eps:
            self.eps = nn.Parameter(torch.tensor([eps]))
        else:
            self.register_buffer("eps", torch.tensor([eps]))

    def reset_parameters(self) -> None:
        """Draw all parameters anew; ε begins as it did."""
        self.lin_1.reset_parameters()
        self.lin_2.reset_parameters()
        if isinstance(self.norm, nn.BatchNorm1d | nn.LayerNorm):
            self.norm.reset_parameters()
        nn.init.constant_(self.eps, self.initial_eps)

    def forward(self, x: Tensor, graph: Graph, weights: Tensor) -> Tensor:
        """Return ``[N, out_channels]`` for ``x [N, in_channels]`` and weights of edges ``[E]``."""
        # Map and sum may change places: the sparse product takes the narrower features.
        first = self.lin_1.out_features < self.lin_1.in_features
        x = nn.functional.linear(x, self.lin_1.weight) if first else x
        x = ((1 + self.eps) * x + neighbour_sum(weights, x, graph)).to(x.dtype)
        x = x if first else nn.functional.linear(x, self.lin_1.weight)
        x = x if self.lin_1.bias is None else x + self.lin_1.bias
        out: Tensor = self.lin_2(ACTIVATIONS[self.act](self.norm(x)))
        return out
