"""One layer of GraphSAGE (Hamilton et al., NeurIPS 2017) with the mean of the neighbours."""

from torch import Tensor, nn
from torch.nn import functional

from gkd import Graph
from gkd_gnn.linear_sum import linear_sum


class SAGELayer(nn.Module):
    r"""Linear maps of every node and of the weighted sum of its neighbours.

    .. math:: y_i = W_l \sum_{j \in N(i)} w_{ij} x_j + b + W_r x_i

    Parameters have the names and shapes of torch_geometric's ``SAGEConv`` (``lin_l.weight``,
    ``lin_l.bias``, ``lin_r.weight``), so that one's state dict loads into the other.

    Args:
        in_channels: width of the input.
        out_channels: width of the output.
        root_weight: learn :math:`W_r`; without it a node sees its neighbours alone.
        normalise: scale every output to length 1.
        bias: add a learned vector.

    >>> import torch
    >>> layer = SAGELayer(3, 4)
    >>> graph = Graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    >>> layer(torch.ones(2, 3), graph, torch.ones(2)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        root_weight: bool = True,
        normalise: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.lin_l = nn.Linear(in_channels, out_channels, bias=bias)
        self.lin_r = nn.Linear(in_channels, out_channels, bias=False) if root_weight else None

    def forward(self, x: Tensor, graph: Graph, weights: Tensor) -> Tensor:
        """Return ``[N, out_channels]`` for ``x [N, in_channels]`` and weights of edges ``[E]``."""
        out = linear_sum(x, self.lin_l.weight, weights, graph)
        if self.lin_l.bias is not None:
            out = out + self.lin_l.bias
        if self.lin_r is not None:
            out = out + self.lin_r(x)
        return functional.normalize(out, dim=1) if self.normalise else out
