"""Wider neighbourhoods than the edges of a graph: nodes within some steps, or met on walks."""

from collections.abc import MutableMapping

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from gkd import Graph
from gkd.eager import eagerly

_AT_A_TIME = 2**19  # pairs of nodes, before repetitions are left out


@eagerly
@torch.no_grad()
def within_hops(graph: Graph, hops: int) -> Graph:
    """Return the graph with an edge to each node from all that reach it in so many steps at most.

    A node is its own neighbour where it was before. The result is kept with the graph.

    Args:
        graph: over N nodes.
        hops: at least 1.

    >>> path = Graph(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
    >>> within_hops(path, 2).edge_index.tolist()
    [[0, 0, 1, 1, 2], [1, 2, 2, 3, 3]]
    """
    if hops == 1:
        return graph
    made = _made.setdefault(graph, {})
    if hops not in made:
        with torch.inference_mode(mode=False):
            reached = graph
            for _ in range(hops - 1):
                reached = reached.union(_without_new_loops(_one_step_on(reached, graph), graph))
            made[hops] = reached
    return made[hops]


@torch.no_grad()
def met_on_walks(graph: Graph, walks: int, length: int, generator: torch.Generator) -> Graph:
    """Return the graph with an edge to each node from those that random walks from it meet.

    A walk goes from a node to one of those that its edges come from, each as likely as the others,
    and ends where there is none. A node is its own neighbour where it was before.

    Args:
        graph: over N nodes.
        walks: from each node.
        length: of a walk, in steps.
        generator: that draws.
    """
    start = torch.arange(graph.num_nodes, device=graph.device).repeat_interleave(walks)
    place, met = start, []
    degrees, firsts = graph.row_pointer.diff(), graph.row_pointer[:-1]
    for _ in range(length):
        draws = torch.rand(len(place), generator=generator, device=generator.device)
        count = degrees[place]
        # The product may round up to the count.
        chosen = torch.minimum((draws.to(graph.device) * count).long(), count - 1)
        alive = count > 0
        edges = (firsts[place] + chosen)[alive]
        place = place.masked_scatter(alive, graph.source[edges])
        met.append(torch.stack([place[alive], start[alive]]))
    return _without_new_loops(torch.cat(met, dim=1), graph)


def _one_step_on(reached: Graph, graph: Graph) -> Tensor:
    """Edges that lead on from the ends of others by an edge of the graph, ``[2, E']``."""
    pointer, targets, _ = graph.transpose
    counts = pointer.diff()[reached.target]
    ends = counts.cumsum(0)
    # Of a dense graph there are many more pairs than different ones: some at a time.
    multiples = torch.tensor([*range(_AT_A_TIME, int(counts.sum()), _AT_A_TIME)])
    borders = sorted(set(torch.searchsorted(ends.cpu(), multiples).tolist()))
    found = [reached.edge_index[:, :0]]
    for part in torch.tensor_split(torch.arange(len(counts), device=graph.device), borders):
        count = counts[part]
        source = reached.source[part].repeat_interleave(count)
        offset = torch.arange(len(source), device=graph.device)
        offset -= (count.cumsum(0) - count).repeat_interleave(count)
        target = targets[pointer[reached.target[part]].repeat_interleave(count) + offset]
        found.append(Graph(torch.stack([source, target]), graph.num_nodes).edge_index)
    return torch.cat(found, dim=1)


def _without_new_loops(edges: Tensor, graph: Graph) -> Graph:
    loops = graph.edge_index[:, graph.self_loops]
    return Graph(torch.cat([edges[:, edges[0] != edges[1]], loops], dim=1), graph.num_nodes)


_made: MutableMapping[Graph, dict[int, Graph]] = WeakIdKeyDictionary()
