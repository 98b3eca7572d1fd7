"""Random walks along the edges of a graph."""

import torch
from torch import Tensor

from gkd.functional.draws import drawn_below
from gkd.graph import Graph


def random_walks(graph: Graph, starts: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Walk from node to node, each step to a neighbour drawn evenly: int64 ``[M, length + 1]``.

    The neighbours of a node are those that an edge leads from to it. A node without any is left no
    more.

    Args:
        graph: over N nodes.
        starts: int64 ``[M]``.
        length: steps of each walk.
        generator: of the draws, on the device of the graph.

    >>> graph = Graph(torch.tensor([[1, 2], [0, 1]]), num_nodes=3)
    >>> random_walks(graph, torch.tensor([0, 2]), 3, torch.Generator())
    tensor([[0, 1, 2, 2],
            [2, 2, 2, 2]])
    """
    degree, first = graph.row_pointer.diff(), graph.row_pointer[:-1]
    source = torch.cat([graph.source, graph.source.new_zeros(1)])  # so that there is something
    path = [starts]
    for _ in range(length):
        here = path[-1]
        place = first[here] + drawn_below(degree[here], generator)
        nearby = source[place.clamp(max=len(source) - 1)]
        path.append(torch.where(degree[here] > 0, nearby, here))
    return torch.stack(path, dim=1)
