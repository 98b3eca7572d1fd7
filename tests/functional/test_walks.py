"""Random walks: along edges, evenly, and staying where no edge leads on."""

import itertools

import pytest
import torch

from gkd import Graph
from gkd.functional.walks import random_walks


def test_each_step_is_an_edge():
    random = torch.Generator().manual_seed(0)
    graph = Graph(torch.randint(20, (2, 60), generator=random), 20)
    edges = set(map(tuple, graph.edge_index.T.tolist()))
    walks = random_walks(graph, torch.arange(20).repeat(10), 6, random)
    assert walks.shape == (200, 7)
    left = graph.row_pointer.diff() > 0
    for walk in walks.tolist():
        for here, there in itertools.pairwise(walk):
            assert (there, here) in edges if left[here] else there == here


def test_neighbours_are_drawn_evenly():
    graph = Graph(torch.tensor([[1, 2, 3, 0], [0, 0, 0, 0]]), 4)
    starts = torch.zeros(40_000, dtype=torch.int64)
    ends = random_walks(graph, starts, 1, torch.Generator().manual_seed(1))[:, 1]
    shares = torch.bincount(ends, minlength=4) / len(ends)
    assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.01)


def test_no_edges_no_starts_no_steps():
    empty = Graph(torch.zeros(2, 0, dtype=torch.int64), 3)
    generator = torch.Generator()
    assert random_walks(empty, torch.tensor([2]), 2, generator).tolist() == [[2, 2, 2]]
    assert random_walks(empty, torch.tensor([], dtype=torch.int64), 2, generator).shape == (0, 3)
    assert random_walks(empty, torch.tensor([1]), 0, generator).tolist() == [[1]]
