"""Where nodes are in their graph, as numbers: what random walks say of it."""

import torch
from torch import Tensor

from gkd import Graph
from gkd.functional.edge_products import neighbour_sum

_ROUNDS = 60
_SPARE = 8  # columns more than asked for: the last ones converge slowly


def walk_positions(graph: Graph, width: int, length: int = 10) -> Tensor:
    r"""Numbers of each node whose inner products say how often walks meet both, ``[N, width]``.

    With P the transition matrix of a random walk, D the degrees and T the length of walks, the best
    approximation by vectors of this width of

    .. math:: q_i \cdot q_j \approx
        \frac{\sum_k d_k}{T} \sum_{r=1}^T (P^r D^{-1})_{ij} - 1,

    how many times as often as by chance j is met within T steps from i, beyond once. DeepWalk's
    vectors approximate the logarithm of that ratio. Found by subspace iteration from fixed random
    numbers; a node without edges has zeros.

    Args:
        graph: every edge in both directions.
        width: how many numbers; zeros fill up what a small graph does not have.
        length: T.

    Source:
        Qiu et al., Network Embedding as Matrix Factorization, WSDM 2018, theorem 2.2 without its
        logarithm; as inputs of a student, NOSMOG, Tian et al., ICLR 2023.

    >>> graph = Graph(torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]), num_nodes=4)
    >>> walk_positions(graph, width=1).abs()
    tensor([[1.0000],
            [1.0000],
            [1.0000],
            [1.0000]], dtype=torch.float64)
    """
    degree = graph.row_pointer.diff().double()
    scale = torch.where(degree > 0, degree.clamp(min=1).rsqrt(), 0)
    weights = scale[graph.target] * scale[graph.source]
    # The walk's stationary distribution is an eigenvector that tells no nodes apart.
    constant = degree.sqrt() / degree.sum().clamp(min=1).sqrt()
    random = torch.Generator().manual_seed(0)
    columns = max(0, min(width + _SPARE, graph.num_nodes - 1))
    block = torch.randn(graph.num_nodes, columns, generator=random, dtype=torch.float64)

    def stepped(block: Tensor) -> Tensor:
        return neighbour_sum(weights, block, graph) - constant[:, None] * (constant @ block)

    for _ in range(_ROUNDS):
        # One more on each eigenvalue: the largest are then the largest in magnitude, too.
        block = torch.linalg.qr(block + stepped(block)).Q
    values, vectors = torch.linalg.eigh(block.T @ stepped(block))
    values, vectors = values.flip(0)[:width], vectors.flip(1)[:, :width]
    shares = torch.stack([values**r for r in range(1, length + 1)]).mean(dim=0).clamp(min=0)
    found = scale[:, None] * (block @ vectors) * (degree.sum() * shares).sqrt()
    # An eigenvector is one with the other sign, too: its largest number is positive here.
    if len(found):
        largest = found.gather(0, found.abs().argmax(dim=0, keepdim=True))
        found = torch.where(largest < 0, -found, found)
    return torch.nn.functional.pad(found, (0, width - found.shape[1]))


def neighbour_means(values: Tensor, known: Tensor, graph: Graph) -> Tensor:
    """Values of the nodes that have some, and elsewhere the mean over neighbours that do.

    Args:
        values: ``[N, width]``, whatever where none is known.
        known: bool ``[N]``.
        graph: over the N nodes.

    >>> graph = Graph(torch.tensor([[0, 1], [2, 2]]), num_nodes=3)
    >>> values, known = torch.tensor([[1.0], [3.0], [0.0]]), torch.tensor([True, True, False])
    >>> neighbour_means(values, known, graph)
    tensor([[1.],
            [3.],
            [2.]])
    """
    weights = known[graph.source].to(values.dtype)
    values = torch.where(known[:, None], values, 0)
    count = neighbour_sum(weights, torch.ones_like(values[:, :1]), graph)
    means = neighbour_sum(weights, values, graph) / count.clamp(min=1)
    return torch.where(known[:, None], values, means)
