"""Positions of nodes: what walks say, against matrices written out."""

import numpy as np
import torch
from node_archives import platonov, write

from gkd import Graph
from gkd_data.nodes import Nodes
from gkd_data.positions import neighbour_means, walk_positions


def connected_graph(nodes=12, seed=0):
    random = np.random.default_rng(seed)
    links = np.concatenate(
        [
            np.stack([np.arange(nodes), (np.arange(nodes) + 1) % nodes]),
            random.integers(nodes, size=(2, 14)),
        ],
        axis=1,
    )
    links = links[:, links[0] != links[1]]
    return Graph(torch.from_numpy(np.concatenate([links, links[::-1]], axis=1)), nodes)


def test_inner_products_say_how_often_walks_meet():
    graph = connected_graph()
    adjacency = np.zeros((12, 12))
    adjacency[graph.target.numpy(), graph.source.numpy()] = 1
    degree = adjacency.sum(1)
    step, total = adjacency / degree[:, None], np.zeros((12, 12))
    for power in range(1, 4):
        total += np.linalg.matrix_power(step, power) / 3
    ratio = degree.sum() * total / degree - 1
    # The best approximation of a positive part, in the metric of the degrees.
    values, vectors = np.linalg.eigh(ratio * np.sqrt(np.outer(degree, degree)))
    order = np.argsort(-values)[:2]
    best = (vectors[:, order] * values[order]) @ vectors[:, order].T
    best /= np.sqrt(np.outer(degree, degree))
    found = walk_positions(graph, width=2, length=3).numpy()
    np.testing.assert_allclose(found @ found.T, best, atol=1e-6)


def test_two_cliques_are_told_apart():
    clique = torch.combinations(torch.arange(5)).T
    links = torch.cat([clique, clique + 5, torch.tensor([[4], [5]])], dim=1)
    graph = Graph(torch.cat([links, links.flip(0)], dim=1), 10)
    signs = walk_positions(graph, width=1)[:, 0].sign()
    assert (signs[:5] == signs[0]).all()
    assert (signs[5:] == -signs[0]).all()


def test_small_graphs_and_nodes_without_edges():
    lone = Graph(torch.tensor([[0, 1], [1, 0]]), 3)
    found = walk_positions(lone, width=8)
    assert found.shape == (3, 8)
    assert found.isfinite().all()
    assert not found[2].any()
    for nodes in (0, 1):
        none = Graph(torch.zeros(2, 0, dtype=torch.int64), nodes)
        assert walk_positions(none, width=3).tolist() == [[0.0] * 3] * nodes


def test_a_node_without_neighbours_that_are_known_has_zeros():
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), 3)
    values = torch.ones(3, 2, dtype=torch.float64)
    means = neighbour_means(values, torch.tensor([True, False, False]), graph)
    assert means.tolist() == [[1, 1], [1, 1], [0, 0]]


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=1).float()


class TestOfADataSet:
    def data(self, folder, **options):
        file = write(folder / "official.npz", platonov())
        return Nodes(file, positions=3, **options), Nodes(file, **options)

    def test_they_stand_behind_the_features(self, tmp_path):
        data, plain = self.data(tmp_path)
        assert data.num_features == plain.num_features + 3
        (sample,), (bare,) = data.train, plain.train
        assert torch.equal(sample.x[:, :-3], bare.x)
        graph = Graph(bare.edge_index, len(bare.x))
        torch.testing.assert_close(sample.x[:, -3:], unit(walk_positions(graph, 3)))

    def test_they_know_nothing_of_nodes_that_training_lacks(self, tmp_path):
        data, plain = self.data(tmp_path, setting="production", held_out_share=0.5)
        observed, complete = data.test
        graph = Graph(plain.train[0].edge_index, len(plain.train[0].x))
        expected = unit(walk_positions(graph, 3))
        torch.testing.assert_close(observed.x[:, -3:], expected)
        kept = torch.isin(complete.n_id, observed.n_id)
        torch.testing.assert_close(complete.x[kept, -3:], expected)
        source, target = complete.edge_index
        for node in (~kept).nonzero()[:, 0]:
            near = source[(target == node) & kept[source]]
            mean = complete.x[near, -3:].mean(0) if len(near) else torch.zeros(3)
            torch.testing.assert_close(complete.x[node, -3:], mean.to(complete.x.dtype))
