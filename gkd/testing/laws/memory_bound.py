"""The graph on which memory is counted, and how much is too much."""

from functools import cache

import torch

from gkd.graph import Graph
from gkd.testing.law import require
from gkd.testing.memory import MemoryWatch

NODES, WIDTH, EDGES = 2048, 128, 32768
# Work in blocks is fine, however large the graph: this many numbers at a time.
BLOCK = 2**21


@cache
def random_graph(nodes: int = NODES, edges: int = EDGES) -> Graph:
    """Return a graph with many more edges than nodes."""
    random = torch.Generator().manual_seed(0)
    return Graph(torch.randint(nodes, (2, edges), generator=random), nodes)


def require_bounded(watch: MemoryWatch, setting: str, needed: int = 0) -> None:
    """Require that no tensor exceeded a block, or what is ``needed`` in this ``setting``."""
    limit = max(BLOCK, needed)
    require(
        watch.elements <= limit,
        f"{setting}, {watch.description}: {watch.elements} numbers at a time, where {limit} do; "
        "a component that cannot do with less declares bounded_memory = False",
    )
