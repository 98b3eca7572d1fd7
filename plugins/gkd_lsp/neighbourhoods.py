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
def within_hops(graph: Graph, hops: int, rows: Tensor | None = None) -> Graph:
    """Return the graph with an edge to each node from all that reach it in so many steps at most.

    A node is its own neighbour where it was before. The result is kept with the graph.

    Args:
        graph: over N nodes.
        hops: at least 1.
        rows: nodes that count, int64 ``[M]``, ascending: edges to others may be missing; None for
            all.

    >>> path = Graph(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
    >>> within_hops(path, 2).edge_index.tolist()
    [[0, 0, 1, 1, 2], [1, 2, 2, 3, 3]]
    """
    if hops == 1:
        return graph
    made = _made.setdefault(graph, {})
    if hops in made:
        known, reached = made[hops]
        if known is None or (rows is not None and torch.equal(known, rows)):
            return reached
    with torch.inference_mode(mode=False):
        positions = graph.in_edges(rows).positions
        start = graph
        if positions is not None:
            start = Graph(graph.edge_index[:, positions], graph.num_nodes)
        reached = start
        for _ in range(hops - 1):
            reached = reached.union(_without_new_loops(_one_step_back(reached, graph), start))
        made[hops] = (None if rows is None else rows.clone(), reached)
    return reached


@torch.no_grad()
def met_on_walks(
    graph: Graph,
    walks: int,
    length: int,
    generator: torch.Generator,
    rows: Tensor | None = None,
) -> Graph:
    """Return the graph with an edge to each node from those that random walks from it meet.

    A walk goes from a node to one of those that its edges come from, each as likely as the others,
    and ends where there is none. A node is its own neighbour where it was before.

    Args:
        graph: over N nodes.
        walks: from each node.
        length: of a walk, in steps.
        generator: that draws.
        rows: nodes that count, int64 ``[M]``, ascending: edges to others may be missing; None for
            all. What is drawn does not depend on them.
    """
    nodes = torch.arange(graph.num_nodes, device=graph.device) if rows is None else rows
    start, met = nodes.repeat_interleave(walks), []
    place = start
    degrees, firsts = graph.row_pointer.diff(), graph.row_pointer[:-1]
    for _ in range(length):
        draws = torch.rand(graph.num_nodes, walks, generator=generator, device=generator.device)
        draws = draws.to(graph.device)[nodes].flatten()
        count = degrees[place]
        # The product may round up to the count.
        chosen = torch.minimum((draws * count).long(), count - 1)
        alive = count > 0
        edges = (firsts[place] + chosen)[alive]
        place = place.masked_scatter(alive, graph.source[edges])
        met.append(torch.stack([place[alive], start[alive]]))
    return _without_new_loops(torch.cat(met, dim=1), graph)


def _one_step_back(reached: Graph, graph: Graph) -> Tensor:
    """Edges to the ends of others, from the nodes a step before where these begin, ``[2, E']``."""
    pointer = graph.row_pointer
    counts = pointer.diff()[reached.source]
    ends = counts.cumsum(0)
    # Of a dense graph there are many more pairs than different ones: some at a time.
    multiples = torch.tensor([*range(_AT_A_TIME, int(counts.sum()), _AT_A_TIME)])
    borders = sorted(set(torch.searchsorted(ends.cpu(), multiples).tolist()))
    found = [reached.edge_index[:, :0]]
    for part in torch.tensor_split(torch.arange(len(counts), device=graph.device), borders):
        count = counts[part]
        target = reached.target[part].repeat_interleave(count)
        offset = torch.arange(len(target), device=graph.device)
        offset -= (count.cumsum(0) - count).repeat_interleave(count)
        source = graph.source[pointer[reached.source[part]].repeat_interleave(count) + offset]
        found.append(Graph(torch.stack([source, target]), graph.num_nodes).edge_index)
    return torch.cat(found, dim=1)


def _without_new_loops(edges: Tensor, graph: Graph) -> Graph:
    loops = graph.edge_index[:, graph.self_loops]
    return Graph(torch.cat([edges[:, edges[0] != edges[1]], loops], dim=1), graph.num_nodes)


_made: MutableMapping[Graph, dict[int, tuple[Tensor | None, Graph]]] = WeakIdKeyDictionary()
