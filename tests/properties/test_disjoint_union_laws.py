"""Laws of graphs side by side: they are the graph of all edges, whatever is known of the parts."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import edge_indices, graphs

import gkd
from gkd import Graph
from gkd.graph.disjoint_union import DisjointUnion
from gkd.graph.graph import recall_graph

parts = st.lists(graphs(), min_size=1, max_size=4)


def made_anew(graph: Graph) -> Graph:
    return Graph(graph.edge_index.clone(), graph.num_nodes)


def assert_same_structure(joined: Graph, anew: Graph) -> None:
    assert joined == anew
    assert torch.equal(joined.row_pointer, anew.row_pointer)
    assert torch.equal(joined.self_loops, anew.self_loops)
    assert joined.is_symmetric == anew.is_symmetric
    for name in ("transpose", "pairs"):
        for ours, theirs in zip(getattr(joined, name), getattr(anew, name), strict=True):
            assert ours is theirs is None or torch.equal(ours, theirs)


@given(parts, st.booleans())
def test_the_structure_is_that_of_the_whole(graphs: list[Graph], symmetric: bool) -> None:
    if symmetric:
        graphs = [g.union(Graph(g.edge_index.flip(0), g.num_nodes)) for g in graphs]
    joined = DisjointUnion(graphs)
    shifted, start = [], 0
    for graph in graphs:
        shifted.append(graph.edge_index + start)
        start += graph.num_nodes
    anew = Graph(torch.cat(shifted, dim=1), start)
    assert_same_structure(joined, anew)
    assert_same_structure(joined.with_self_loops(), anew.with_self_loops())
    assert joined.union(anew) is joined


@given(st.data())
def test_a_batch_has_the_graph_of_its_edges(data: st.DataObject) -> None:
    samples = []
    for name in "abc"[: data.draw(st.integers(1, 3))]:
        nodes = data.draw(st.integers(1, 40))
        few = data.draw(edge_indices(nodes))
        # Enough edges to be worth keeping, in order or not, some of them repeated.
        many = torch.randint(nodes, (2, 600), generator=torch.Generator().manual_seed(nodes))
        edges = torch.cat([few, many], dim=1)
        edges = Graph(edges, nodes).edge_index if data.draw(st.booleans()) else edges
        samples.append(gkd.Sample(id=name, num_nodes=nodes, edge_index=edges))
    for _ in range(2):
        batch = gkd.collate(samples)
        graph = Graph.of(batch.edge_index, batch.num_nodes)
        assert_same_structure(graph, made_anew(batch_graph(batch)))
        assert graph is Graph.of(batch.edge_index, batch.num_nodes)
        data.draw(st.sampled_from([samples.reverse, lambda: None]))()


def batch_graph(batch: gkd.Batch) -> Graph:
    return Graph(batch.edge_index.clone(), batch.num_nodes)


@given(st.integers(0, 3))
def test_edges_changed_after_collating_give_their_own_graph(row: int) -> None:
    edges = torch.randint(9, (2, 600), generator=torch.Generator().manual_seed(row))
    samples = [gkd.Sample(id=name, num_nodes=9, edge_index=edges.clone()) for name in "ab"]
    batch = gkd.collate(samples)
    assert recall_graph(batch.edge_index, 18) is not None
    batch.edge_index[:, row] = 17
    assert Graph.of(batch.edge_index, 18) == batch_graph(batch)
    samples[0].edge_index[:, row] = 8
    batch = gkd.collate(samples)
    assert Graph.of(batch.edge_index, 18) == batch_graph(batch)
