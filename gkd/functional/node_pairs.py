"""What the pairs of each node with all nodes come to, in memory for a block of pairs at a time."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_NUMBERS = 2**20  # at a time: 8 MB in float64


def over_pairs(
    compute: Callable[[slice], Tensor], num_nodes: int, numbers: int | None = None
) -> Tensor:
    """Return a value for each node that depends on its pairs with all nodes, ``[N]``.

    Blocks of nodes are computed one after another, and again in the backward pass: no number for
    each pair is kept between the two.

    Args:
        compute: the values of consecutive nodes, of which it gets the rows; draws nothing random.
        num_nodes: N.
        numbers: that ``compute`` needs at a time for a node; N where left out.

    >>> features = torch.tensor([[1.0], [2.0], [4.0]])
    >>> over_pairs(lambda rows: (features[rows] @ features.T).sum(dim=1), 3)
    tensor([ 7., 14., 28.])
    """
    size = max(1, _NUMBERS // max(1, num_nodes if numbers is None else numbers))
    # Of no nodes, too, there is one block, so that the result has the gradient of one.
    firsts = range(0, max(num_nodes, 1), size)
    blocks = [slice(first, min(first + size, num_nodes)) for first in firsts]
    return torch.cat(
        [
            checkpoint(compute, block, use_reentrant=False, preserve_rng_state=False)
            for block in blocks
        ]
    )


def squared_distances(features: Tensor, rows: slice) -> Tensor:
    r"""Squared distances of some nodes from all, ``[b, N]``; 0 where rounding hides more.

    .. math:: \|x_i - x_j\|^2 = \|x_i\|^2 + \|x_j\|^2 - 2\, x_i \cdot x_j

    The round-off is proportional to the largest squared norm about the mean: features are best in
    float64.

    Args:
        features: ``x``, ``[N, F]``.
        rows: of the b nodes.

    >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), slice(0, 1))
    tensor([[ 0., 25.]])
    """
    # A common shift changes no distance, but saves its digits.
    x = features - features.detach().mean(dim=0)
    norms = torch.linalg.vecdot(x, x)
    squares: Tensor = norms[rows, None] + norms - 2 * x[rows] @ x.T
    largest = norms.detach().max() if len(norms) else norms.new_zeros(())
    rounding = 4 * x.shape[1] * torch.finfo(x.dtype).eps * largest
    return squares.masked_fill(squares <= rounding, 0)


def distances(features: Tensor, rows: slice) -> Tensor:
    r"""Distances of some nodes from all, :math:`\|x_i - x_j\|`, ``[b, N]``.

    Where the distance is 0 its gradient is taken as 0, not as the root's infinite slope.

    Args:
        features: ``x``, ``[N, F]``, best in float64.
        rows: of the b nodes.

    >>> distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), slice(0, 1))
    tensor([[0., 5.]])
    """
    squares = squared_distances(features, rows)
    zero = squares == 0
    return squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)
