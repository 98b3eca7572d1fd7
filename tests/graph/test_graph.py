"""Graph: validation, fast path, memory of identical tensors."""

import gc
import pickle
import weakref

import pytest
import torch

from gkd import Graph, ParameterError
from gkd.functional.edge_distances import edge_squared_distance
from gkd.functional.segments import segment_log_softmax

EDGES = torch.tensor([[2, 0, 1, 0], [0, 1, 0, 1]])


@pytest.mark.parametrize(
    ("edge_index", "num_nodes", "message"),
    [
        (EDGES.int(), 3, "int64 tensor of shape \\[2, E\\], got torch.int32"),
        ([[0], [1]], 2, "got list"),
        (EDGES.t(), 3, "got \\[4, 2\\]: it is transposed, give edge_index.T"),
        (EDGES[0], 3, "got \\[4\\]"),
        (EDGES, 2, "edge_index\\[0, 0\\] is 2, but a graph of 2 nodes has the nodes 0 to 1"),
        (torch.tensor([[0, 0], [1, -1]]), 2, "edge_index\\[1, 1\\] is -1"),
        (EDGES, -1, "num_nodes must be a non-negative integer, got -1"),
        (EDGES, 3.0, "num_nodes must be"),
        (EDGES, True, "num_nodes must be"),
        (EDGES, 0, "a graph of 0 nodes has none"),
    ],
)
def test_wrong_edges_are_explained(edge_index, num_nodes, message):
    for make in (Graph, Graph.of):
        with pytest.raises(ParameterError, match=message):
            make(edge_index, num_nodes)


def test_edges_already_in_order_are_not_copied():
    edges = Graph(EDGES, 3).edge_index
    assert Graph(edges, 3).edge_index.data_ptr() == edges.data_ptr()


def test_a_node_count_beyond_int32_is_fine():
    far = 2**31
    graph = Graph(torch.tensor([[far, 0, far], [0, far, 0]]), far + 1)
    assert graph.edge_index.tolist() == [[far, 0], [0, far]]


def test_graphs_of_the_same_tensor_are_one_object():
    edges = EDGES.clone()
    assert Graph.of(edges, 3) is Graph.of(edges, 3)
    assert Graph.of(edges, 4) is not Graph.of(edges, 3)
    assert Graph.of(edges.clone(), 3) is not Graph.of(edges, 3)


@pytest.mark.parametrize("inference", [False, True])
def test_a_tensor_modified_in_place_gives_a_new_graph(inference):
    with torch.inference_mode(inference):
        edges = EDGES.clone()
        before = Graph.of(edges, 3)
        assert Graph.of(edges, 3) is before
        edges[:, 0] = 1
        assert Graph.of(edges, 3) == Graph(edges, 3) != before


def test_a_buffer_refilled_behind_the_tensor_gives_a_new_graph():
    def through_numpy(edges, others):
        edges.numpy()[...] = others.numpy()

    def through_data(edges, others):
        edges.data.copy_(others)

    for refill in (through_numpy, through_data):
        for edges in (EDGES.clone(), Graph(EDGES, 3).edge_index.clone().share_memory_()):
            others = edges.flip(0)
            assert Graph.of(edges, 3) is Graph.of(edges, 3)
            refill(edges, others)
            assert Graph.of(edges, 3) == Graph(others, 3)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_graph_dies_with_the_tensor_it_was_made_of(ordered):
    edges = Graph(EDGES, 3).edge_index.clone() if ordered else EDGES.clone()
    graph = weakref.ref(Graph.of(edges, 3))
    assert graph() is not None
    del edges
    gc.collect()
    assert graph() is None


def test_a_graph_made_under_inference_mode_serves_training():
    with torch.inference_mode():
        graph = Graph.of(Graph(EDGES, 3).union(Graph(EDGES.flip(0), 3)).edge_index, 3)
        fresh = Graph.of(graph.edge_index.clone(), 3)
        for prepared in (graph, fresh):
            _ = prepared.pairs, prepared.transpose, prepared.self_loops
    for prepared in (graph, fresh, fresh.with_self_loops()):
        features = torch.randn(3, 300, requires_grad=True)
        distances = edge_squared_distance(features, prepared)
        segment_log_softmax(distances, prepared.row_pointer).sum().backward()
        assert features.grad is not None


def test_union_refuses_other_nodes_and_devices():
    graph = Graph(EDGES, 3)
    with pytest.raises(ParameterError, match="3 and 4 nodes"):
        graph.union(Graph(EDGES, 4))
    with pytest.raises(ParameterError, match="one device"):
        graph.union(graph.to("meta"))


def test_moving_to_the_same_device_moves_nothing():
    graph = Graph(EDGES, 3)
    assert graph.to("cpu") is graph


def test_equality_is_by_content():
    assert Graph(EDGES, 3) == Graph(EDGES.flip(1), 3)
    assert Graph(EDGES, 3) != Graph(EDGES, 4)
    assert Graph(EDGES, 3) != "Graph(num_nodes=3, num_edges=3)"
    assert pickle.loads(pickle.dumps(Graph(EDGES, 3))) == Graph(EDGES, 3)
