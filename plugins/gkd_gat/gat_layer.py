"""One graph attention layer (Veličković et al., Graph Attention Networks, ICLR 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkd import Graph
from gkd.functional.attention import neighbour_attention


class GATLayer(nn.Module):
    r"""Multi-head attention over every node's neighbours.

    .. math::
        y_i^h = \sum_{j \in N(i)} \alpha_{ij}^h\, W^h x_j, \qquad
        \alpha_{ij}^h = \operatorname*{softmax}_{j \in N(i)}\,
        \mathrm{LeakyReLU}(a_s^h \cdot W^h x_j + a_t^h \cdot W^h x_i)

    The heads are concatenated or averaged; with ``residual``, ``R^h x_i`` is added to each head
    first, so that averaging averages the projections too. There is no activation.

    Where the input is narrower than a head, neighbours are summed before they are projected,
    :math:`y_i^h = W^h \sum_j \alpha_{ij}^h x_j`, which is the same.

    The sub-module ``scores`` outputs :math:`a_s \cdot W x` of all heads, then
    :math:`a_t \cdot W x`, ``[N, 2 H]``, where a term may tap it.

    Parameters have the names and shapes of torch_geometric's ``GATConv`` (``lin.weight``,
    ``att_src``, ``att_dst``, ``bias``, ``res.weight``), so that one's state dict loads into the
    other. The one exception is ``res.weight`` where heads are averaged: it has a projection for
    each head here, as in DGL, and one for their mean there.

    Args:
        in_channels: width of the input.
        out_channels: F, width of each head.
        heads: H.
        concat: concatenate the heads to ``H·F`` channels; False averages them to F.
        negative_slope: of LeakyReLU below zero.
        attention_dropout: probability of dropping an attention weight in training.
        residual: add a linear projection of the input, without bias.
        bias: add a learned vector to the output.

    >>> layer = GATLayer(in_channels=3, out_channels=4, heads=2)
    >>> graph = Graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    >>> layer(torch.ones(2, 3), graph).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        *,
        concat: bool = True,
        negative_slope: float = 0.2,
        attention_dropout: float = 0.0,
        residual: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.heads = in_channels, out_channels, heads
        self.concat = concat
        self.negative_slope = negative_slope
        self.attention_dropout = attention_dropout
        width = heads * out_channels
        self.lin = nn.Linear(in_channels, width, bias=False)
        self.att_src = nn.Parameter(torch.empty(1, heads, out_channels))
        self.att_dst = nn.Parameter(torch.empty(1, heads, out_channels))
        self.res = nn.Linear(in_channels, width, bias=False) if residual else None
        self.bias = nn.Parameter(torch.empty(width if concat else out_channels)) if bias else None
        self.scores = nn.Identity()  # to be tapped: what attention is made of
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw Glorot-uniform weights, as ``GATConv`` does; the bias starts at 0."""
        nn.init.xavier_uniform_(self.lin.weight)
        nn.init.xavier_uniform_(self.att_src[0])
        nn.init.xavier_uniform_(self.att_dst[0])
        if self.res is not None:
            nn.init.xavier_uniform_(self.res.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """Return ``[N, H·F]``, or ``[N, F]`` if heads are averaged, for ``x [N, in_channels]``."""
        # Σ α (W x) = W (Σ α x): neighbours are summed where rows are the narrower.
        narrow = self.in_channels < self.out_channels
        out = self._sum_first(x, graph) if narrow else self._project_first(x, graph)
        if self.res is not None:
            weight = self.res.weight
            if not self.concat:
                # The mean of H projections is the projection by their mean, an H-th of the work.
                weight = weight.view(self.heads, self.out_channels, -1).mean(0)
            out = out + functional.linear(x, weight)
        return out if self.bias is None else out + self.bias

    def _project_first(self, x: Tensor, graph: Graph) -> Tensor:
        # The scores are 2H more columns of the product with W.
        columns = functional.linear(x, torch.cat([self.lin.weight, self._score_weights()]))
        widths = [self.heads * self.out_channels, 2 * self.heads]
        features, scores = torch.split_with_sizes(columns, widths, 1)
        features = features.view(x.shape[0], self.heads, self.out_channels)
        heads = self._attend(features, scores, graph)
        return heads.flatten(1) if self.concat else heads.mean(1)

    def _sum_first(self, x: Tensor, graph: Graph) -> Tensor:
        scores = functional.linear(x, self._score_weights())
        summed = self._attend(x[:, None].expand(-1, self.heads, -1), scores, graph)
        weight = self.lin.weight.view(self.heads, self.out_channels, self.in_channels)
        if self.concat:
            return torch.einsum("nhc,hfc->nhf", summed, weight).flatten(1)
        # The mean over heads is one product of all that they summed.
        weight = weight.transpose(0, 1).flatten(1) / self.heads
        return functional.linear(summed.flatten(1), weight)

    def _score_weights(self) -> Tensor:
        # a·(W x) = (Wᵀa)·x, without W x.
        weight = self.lin.weight.view(self.heads, self.out_channels, -1)
        ends = [torch.einsum("hfc,hf->hc", weight, a[0]) for a in (self.att_src, self.att_dst)]
        return torch.cat(ends)

    def _attend(self, features: Tensor, scores: Tensor, graph: Graph) -> Tensor:
        source_scores, target_scores = self.scores(scores).chunk(2, dim=1)
        mask = None
        if self.training and self.attention_dropout:
            # Of ones, as dropout scales what it keeps: attention draws nothing itself, and its
            # backward pass has the same factors.
            ones = features.new_ones(graph.num_edges, self.heads)
            mask = functional.dropout(ones, self.attention_dropout)
        return neighbour_attention(
            features, source_scores, target_scores, graph, self.negative_slope, mask
        )

    def extra_repr(self) -> str:
        """Sizes, as other layers print them."""
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}, concat={self.concat}"
