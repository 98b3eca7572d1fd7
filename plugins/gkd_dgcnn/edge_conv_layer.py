"""One edge convolution (Wang et al., Dynamic Graph CNN for Learning on Point Clouds, TOG 2019)."""

import torch
from torch import Tensor, nn

from gkd import Graph, ParameterError
from gkd.functional.edge_conv import Moments, edge_conv


class EdgeConv(nn.Module):
    r"""Maximum over neighbours of a linear map of edges, batch normalisation and LeakyReLU.

    .. math::
        y_i = \max_{j \in N(i)} \mathrm{LeakyReLU}(\mathrm{BatchNorm}(W\, [x_j - x_i,\; x_i]))

    Batch normalisation takes its statistics over all edges of the batch. The parameters are those
    of the formula written down with ``nn.Linear`` and ``nn.BatchNorm1d``, under the names
    ``linear`` and ``norm``, and so are the results; the work is done at nodes, see
    :func:`gkd.functional.edge_conv.edge_conv`.

    Args:
        in_channels: C, width of the input.
        out_channels: F, width of the output.
        negative_slope: of LeakyReLU below zero.

    >>> layer = EdgeConv(in_channels=3, out_channels=4)
    >>> graph = Graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    >>> layer(torch.ones(2, 3), graph).shape
    torch.Size([2, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * in_channels, out_channels, bias=False)
        self.norm = nn.BatchNorm1d(out_channels)
        self.negative_slope = negative_slope

    def reset_parameters(self) -> None:
        """Draw the weights anew and forget the running statistics."""
        self.linear.reset_parameters()
        self.norm.reset_parameters()

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """Return ``[N, F]`` for ``x [N, C]`` on a graph with an edge into every node.

        Raises:
            ParameterError: a node without in-edges, or in training a single edge.
        """
        norm, known = self.norm, None
        # Lightning's sync_batchnorm replaces the module, but not what is computed here.
        if isinstance(norm, nn.SyncBatchNorm):
            raise ParameterError(
                "EdgeConv cannot share its batch statistics between processes: train without "
                "synchronised batch normalisation"
            )
        # The norm's own mode decides, so that it can be frozen as others are, by norm.eval().
        if not norm.training and norm.running_mean is not None and norm.running_var is not None:
            known = Moments(norm.running_mean, norm.running_var)
        elif graph.num_edges == 1:
            raise ParameterError(
                "batch normalisation in training needs more than one edge, and this graph has one"
            )
        result, moments = edge_conv(
            x,
            self.linear.weight,
            norm.weight,
            norm.bias,
            graph,
            known,
            epsilon=norm.eps,
            negative_slope=self.negative_slope,
        )
        if known is None:
            self._update_running_moments(moments, graph.num_edges)
        return result

    @torch.no_grad()
    def _update_running_moments(self, moments: Moments, num_edges: int) -> None:
        norm = self.norm
        if not norm.training or norm.running_mean is None or norm.running_var is None:
            return
        assert norm.num_batches_tracked is not None
        # As BatchNorm1d does it: a momentum of None means the mean over all batches, and the
        # running variance is the unbiased one, though the batch is normalised by the biased.
        norm.num_batches_tracked += 1
        share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        unbiased = moments.variance * (num_edges / (num_edges - 1))
        for running, latest in ((norm.running_mean, moments.mean), (norm.running_var, unbiased)):
            running.mul_(1 - share).add_(latest, alpha=share)

    def extra_repr(self) -> str:
        """Only what the sub-modules do not print."""
        return f"negative_slope={self.negative_slope}"
