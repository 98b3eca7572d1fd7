"""Laws of graphs: order and repetition do not matter, and union is a union."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import edge_indices, graphs
from torch import Tensor

from gkd import Graph
from gkd.graph.edge_index import _coalesced, coalesce, stable_order


def edge_set(edge_index: Tensor) -> set[tuple[int, ...]]:
    return {tuple(edge) for edge in edge_index.t().tolist()}


@st.composite
def two_graphs(draw: st.DrawFn) -> tuple[Graph, Graph]:
    num_nodes = draw(st.integers(0, 8))
    return Graph(draw(edge_indices(num_nodes)), num_nodes), Graph(
        draw(edge_indices(num_nodes)), num_nodes
    )


@given(st.data())
def test_edges_are_those_given_each_once_sorted_by_target_then_source(data):
    num_nodes = data.draw(st.integers(0, 8))
    edge_index = data.draw(edge_indices(num_nodes))
    graph = Graph(edge_index, num_nodes)
    pairs = [(target, source) for source, target in graph.edge_index.t().tolist()]
    assert pairs == sorted({(target, source) for source, target in edge_set(edge_index)})


@given(st.data())
def test_order_of_the_edges_does_not_matter(data):
    num_nodes = data.draw(st.integers(1, 8))
    edge_index = data.draw(edge_indices(num_nodes))
    order = data.draw(st.permutations(range(edge_index.shape[1])))
    assert Graph(edge_index[:, order], num_nodes) == Graph(edge_index, num_nodes)


@given(st.sampled_from([2, 2**16, 2**16 + 1, 2**31, 2**31 + 1, 2**40]), st.data())
def test_edges_are_in_order_however_many_bits_a_node_takes(num_nodes, data):
    node = st.sampled_from([0, 1, num_nodes // 2, num_nodes - 1])
    edges = data.draw(st.lists(st.tuples(node, node)))
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    expected = [list(edge) for edge in sorted(set(edges), key=lambda edge: edge[::-1])]
    assert coalesce(edge_index, num_nodes).t().tolist() == expected
    # What processors without numpy's sort do gives the same.
    if num_nodes <= 2**31:
        assert _coalesced(edge_index, (num_nodes - 1).bit_length()).t().tolist() == expected


@given(st.sampled_from([1, 5, 2**30, 2**40, 2**62]), st.data())
def test_the_order_of_nodes_keeps_ties_however_many_bits_a_node_takes(num_nodes, data):
    node = st.sampled_from([0, num_nodes // 2, num_nodes - 1])
    nodes = torch.tensor(data.draw(st.lists(node)), dtype=torch.int64)
    assert torch.equal(stable_order(nodes, num_nodes), nodes.argsort(stable=True))


@given(graphs())
def test_row_pointer_delimits_the_in_edges_of_each_node(graph):
    pointer = graph.row_pointer.tolist()
    assert pointer[0] == 0
    assert pointer[-1] == graph.num_edges
    for node in range(graph.num_nodes):
        assert (graph.target[pointer[node] : pointer[node + 1]] == node).all()


@given(graphs())
def test_transpose_lists_the_same_edges_by_source(graph):
    pointer, columns, permutation = graph.transpose
    assert torch.equal(permutation.sort().values, torch.arange(graph.num_edges))
    assert torch.equal(graph.target[permutation], columns)
    for node in range(graph.num_nodes):
        assert (graph.source[permutation[pointer[node] : pointer[node + 1]]] == node).all()


@given(graphs())
def test_a_graph_is_symmetric_when_it_equals_its_reverse(graph):
    reverse = Graph(graph.edge_index.flip(0), graph.num_nodes)
    assert graph.is_symmetric == (reverse == graph)
    assert graph.union(reverse).is_symmetric


@given(graphs())
def test_pairs_are_the_edges_without_regard_to_direction(graph):
    both = graph.union(Graph(graph.edge_index.flip(0), graph.num_nodes))
    for some in (graph, both):
        row_pointer, target, source, _ = some.pairs
        found = some.pairs.per_edge(target * source + (target - source).abs())
        assert torch.equal(found, some.target * some.source + (some.target - some.source).abs())
        assert torch.equal(target, target.sort().values)
        assert torch.equal(row_pointer.diff(), target.bincount(minlength=some.num_nodes))
    loops = len(both.self_loops)
    assert len(both.pairs.target) == (both.num_edges - loops) / 2 + loops


@given(graphs())
def test_self_loops_are_found_and_added(graph):
    loops = {(node, node) for node in range(graph.num_nodes)}
    assert edge_set(graph.edge_index[:, graph.self_loops]) == edge_set(graph.edge_index) & loops
    assert edge_set(graph.with_self_loops().edge_index) == edge_set(graph.edge_index) | loops
    assert graph.with_self_loops() is graph.with_self_loops()


@given(two_graphs())
def test_union_holds_the_edges_of_either_and_no_other(pair):
    first, second = pair
    expected = edge_set(first.edge_index) | edge_set(second.edge_index)
    assert edge_set(first.union(second).edge_index) == expected


@given(two_graphs())
def test_union_is_commutative(pair):
    first, second = pair
    assert first.union(second) == second.union(first)


@given(graphs())
def test_union_is_idempotent_and_the_empty_graph_its_neutral_element(graph):
    assert graph.union(graph) is graph
    assert graph.union(Graph(graph.edge_index.clone(), graph.num_nodes)) == graph
    empty = Graph(torch.zeros(2, 0, dtype=torch.int64), graph.num_nodes)
    assert graph.union(empty) == empty.union(graph) == graph


@given(st.data())
def test_union_does_not_depend_on_the_order_of_the_edges(data):
    num_nodes = data.draw(st.integers(1, 8))
    first, second = data.draw(edge_indices(num_nodes)), data.draw(edge_indices(num_nodes))
    order = data.draw(st.permutations(range(first.shape[1])))
    expected = Graph(first, num_nodes).union(Graph(second, num_nodes))
    assert Graph(first[:, order], num_nodes).union(Graph(second, num_nodes)) == expected
