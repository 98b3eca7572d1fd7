"""One graph convolution (Kipf and Welling, ICLR 2017)."""

import torch
from torch import Tensor, nn

from gkd import Graph
from gkd_gnn.linear_sum import linear_sum


class GCNLayer(nn.Module):
    r"""Weighted sum of every node's neighbours under a linear map.

    .. math:: y_i = \sum_{j \in N(i)} w_{ij} W x_j + b

    Parameters have the names and shapes of torch_geometric's ``GCNConv`` (``lin.weight``,
    ``bias``), so that one's state dict loads into the other.

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
        bias: add a learned vector.

    >>> layer = GCNLayer(3, 4)
    >>> graph = Graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    >>> layer(torch.ones(2, 3), graph, torch.ones(2)).shape
    torch.Size([2, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.lin = nn.Linear(in_channels, out_channels, bias=False)
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw Glorot-uniform weights, as ``GCNConv`` does; the bias starts at 0."""
        nn.init.xavier_uniform_(self.lin.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, graph: Graph, weights: Tensor) -> Tensor:
        """Return ``[N, out_channels]`` for ``x [N, in_channels]`` and weights of edges ``[E]``."""
        out = linear_sum(x, self.lin.weight, weights, graph)
        return out if self.bias is None else out + self.bias
