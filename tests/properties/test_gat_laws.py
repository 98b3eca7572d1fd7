"""Laws of graph attention networks: relabelling, batching, locality."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gkd_gat.gat import GAT


@st.composite
def inputs(draw) -> tuple[Tensor, Tensor]:
    nodes = draw(st.integers(1, 9))
    node = st.integers(0, nodes - 1)
    pairs = draw(st.lists(st.tuples(node, node), max_size=30))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(nodes, 3, generator=generator, dtype=torch.float64)
    return x, torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()


@st.composite
def networks(draw) -> GAT:
    torch.manual_seed(draw(st.integers(0, 2**31)))
    self_loops, residual = draw(st.booleans()), draw(st.booleans())
    return GAT(3, 2, (4, 5), (2, 3, 2), self_loops=self_loops, residual=residual).double()


@given(networks(), inputs(), st.randoms(use_true_random=False))
def test_relabelling_the_nodes_relabels_the_output(network, problem, random):
    x, edges = problem
    order = list(range(len(x)))
    random.shuffle(order)
    old_of_new = torch.tensor(order)
    new_of_old = old_of_new.argsort()
    torch.testing.assert_close(
        network(x[old_of_new], new_of_old[edges]), network(x, edges)[old_of_new]
    )


@given(networks(), inputs(), st.randoms(use_true_random=False))
def test_the_order_and_repetition_of_edges_do_not_matter(network, problem, random):
    x, edges = problem
    columns = list(range(edges.shape[1])) * 2
    random.shuffle(columns)
    shuffled = edges[:, torch.tensor(columns, dtype=torch.int64)]
    assert torch.equal(network(x, shuffled), network(x, edges))


@given(networks(), st.lists(inputs(), min_size=2, max_size=4))
def test_a_batch_of_graphs_gives_what_the_graphs_give_alone(network, problems):
    alone = torch.cat([network(x, edges) for x, edges in problems])
    offsets = torch.tensor([0] + [len(x) for x, _ in problems]).cumsum(0)
    edges = torch.cat(
        [edges + offset for (_, edges), offset in zip(problems, offsets, strict=False)], 1
    )
    together = network(torch.cat([x for x, _ in problems]), edges)
    torch.testing.assert_close(together, alone)


@given(networks(), inputs(), st.data())
def test_a_node_hears_of_nodes_at_most_three_edges_upstream(network, problem, data):
    x, edges = problem
    node = data.draw(st.integers(0, len(x) - 1))
    heard = {node}
    for _ in network.layers:
        heard |= {s for s, t in edges.t().tolist() if t in heard}
    changed = x.clone()
    unheard = [other for other in range(len(x)) if other not in heard]
    changed[unheard] += 10
    torch.testing.assert_close(network(changed, edges)[node], network(x, edges)[node])
