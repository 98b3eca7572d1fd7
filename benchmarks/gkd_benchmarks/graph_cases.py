"""Edges as they come, made a graph."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gkd import Graph
from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd_benchmarks.packages import geometric
from gkd_benchmarks.problems import generator


class Sorting(Benchmark):
    """Random edges in no order, some of them repeated, sorted by target and each once."""

    alternative = "torch_geometric coalesce"
    goal = Goal(speed=1)

    def __init__(self, edges: int, nodes: int, *, long: bool = False) -> None:
        self.nodes, self.long, self.repeats = nodes, long, 3 if long else 9
        self.edges = torch.randint(nodes, (2, edges), generator=generator())

    def ours(self, setting: Setting) -> Work:
        """Make a graph."""
        edges = setting.indices(self.edges)
        return lambda: [Graph(edges, self.nodes).edge_index]

    def theirs(self, setting: Setting) -> Work:
        """Sort by target."""
        edges, coalesce = setting.indices(self.edges), geometric().utils.coalesce
        return lambda: [coalesce(edges, num_nodes=self.nodes, sort_by_row=False)]

    def error(self, results: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
        """Return 0 where the edges are equal, else 1."""
        return float(not torch.equal(results[0].cpu(), exact[0].cpu()))
