"""MLP, GCN, SAGE and GIN equal torch_geometric's wherever their options coincide."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gkd.graph import Graph
from gkd_gnn.gcn import GCN
from gkd_gnn.gcn_layer import GCNLayer
from gkd_gnn.gin import GIN
from gkd_gnn.mlp import MLP
from gkd_gnn.pooling import pool_graphs
from gkd_gnn.sage import SAGE
from gkd_gnn.sage_layer import SAGELayer

geometric = pytest.importorskip("torch_geometric.nn")

NORMS = {
    "none": {"norm": None},
    "batch": {"norm": "batch_norm"},
    "layer": {"norm": "layer_norm", "norm_kwargs": {"mode": "node"}},
}
WORDS = {"self_loops": "add_self_loops", "normalise": "normalize"}
INNER = {"lin_1.": "nn.lins.0.", "lin_2.": "nn.lins.1.", "norm.": "nn.norms.0."}


def counterpart(ours: nn.Module, hidden: int, norm: str, options: dict) -> nn.Module:
    """The same network made of torch_geometric's parts, with the weights of ours."""
    sizes = {
        "in_channels": ours.in_channels,
        "hidden_channels": hidden,
        "num_layers": len(ours.layers),
        "out_channels": ours.out_channels,
        **NORMS[norm],
    }
    if isinstance(ours, MLP):
        theirs = geometric.MLP(**sizes)
        pairs = [*zip(theirs.lins, ours.layers, strict=True)]
    else:
        kind = {GCN: geometric.GCN, SAGE: geometric.GraphSAGE, GIN: geometric.GIN}[type(ours)]
        jk = None if ours.jumping_knowledge == "none" else ours.jumping_knowledge
        more = {WORDS.get(name, name): value for name, value in options.items()}
        theirs = kind(**sizes, jk=jk, **more)
        pairs = [*zip(theirs.convs, ours.layers, strict=True)]
        pairs += [] if ours.head is None else [(theirs.lin, ours.head)]
    theirs = theirs.double()
    for target, source in [*pairs, *zip(theirs.norms, ours.norms, strict=False)]:
        load(target, source.state_dict())
    return theirs.train(ours.training)


def load(target: nn.Module, tensors: dict[str, Tensor]) -> None:
    wanted, values = target.state_dict(), {}
    for name, tensor in tensors.items():
        for ours, theirs in INNER.items():
            name = name.replace(ours, theirs)
        parts = name.split(".")
        # Their batch normalisation holds torch's.
        inner = ".".join([*parts[:-1], "module", parts[-1]])
        values[name if name in wanted else inner] = tensor
    target.load_state_dict(values)


@st.composite
def problems(draw) -> tuple[Tensor, Tensor]:
    """Edges in any order, no edge twice, self-loops and isolated nodes as they come."""
    nodes = draw(st.integers(2, 8))
    node = st.integers(0, nodes - 1)
    pairs = draw(st.lists(st.tuples(node, node), max_size=25, unique=True))
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t().contiguous()
    random = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    return torch.randn(nodes, 3, dtype=torch.float64, generator=random), edges


KINDS = [
    (MLP, {}),
    (GCN, {}),
    (GCN, {"self_loops": False}),
    (SAGE, {}),
    (SAGE, {"root_weight": False}),
    (SAGE, {"normalise": True}),
    (GIN, {}),
    (GIN, {"eps": 0.5, "train_eps": True}),
]


def assert_equal_networks(ours: nn.Module, theirs: nn.Module, *inputs: Tensor) -> None:
    out, expected = ours(*inputs), theirs(*inputs)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-10)
    cotangent = torch.randn_like(out)
    leaves = [tensor for tensor in inputs if tensor.requires_grad]
    gradients = []
    for network, value in ((ours, out), (theirs, expected)):
        parameters = [p for p in network.parameters() if p.requires_grad]
        found = torch.autograd.grad(value, [*leaves, *parameters], cotangent)
        # Parameters have other names and another order there: compared by what they sum up to.
        sums = sorted((g.numel(), g.sum().item()) for g in found[len(leaves) :])
        gradients.append((found[: len(leaves)], torch.tensor(sums, dtype=torch.float64)))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@given(
    problem=problems(),
    hidden=st.sampled_from([2, 5]),
    norm=st.sampled_from([*NORMS]),
    jumping_knowledge=st.sampled_from(["none", "last", "cat", "max"]),
    training=st.booleans(),
)
def test_stacks(kind, options, problem, hidden, norm, jumping_knowledge, training):
    x, edges = problem
    torch.manual_seed(0)
    ours = kind(
        3,
        2,
        hidden_channels=hidden,
        num_layers=3,
        norm=norm,
        jumping_knowledge="none" if kind is MLP else jumping_knowledge,  # theirs has none
        **options,
    ).double()
    for name, parameter in ours.named_parameters():
        if not name.endswith("eps"):
            nn.init.normal_(parameter)
    ours.train(training)
    theirs = counterpart(ours, hidden, norm, options)
    inputs = (x.requires_grad_(),) if kind is MLP else (x.requires_grad_(), edges)
    assert_equal_networks(ours, theirs, *inputs)


@given(problem=problems(), self_loops=st.booleans())
def test_edge_weights(problem, self_loops):
    x, edges = problem
    torch.manual_seed(0)
    ours = GCN(3, 2, hidden_channels=4, self_loops=self_loops).double()
    theirs = counterpart(ours, 4, "none", {"self_loops": self_loops})
    weights = torch.rand(edges.shape[1], dtype=x.dtype).add(0.1).requires_grad_()
    if not edges.shape[1]:
        weights = weights.detach()
    assert_equal_networks(ours, theirs, x.requires_grad_(), edges, weights)


def test_weights_of_trained_layers_load_as_they_are():
    torch.manual_seed(0)
    edges, x = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 2]]), torch.randn(3, 3)
    graph = Graph(edges, 3)
    gcn, sage = geometric.GCNConv(3, 4), geometric.SAGEConv(3, 4)
    ours = GCNLayer(3, 4)
    ours.load_state_dict(gcn.state_dict())
    looped = graph.with_self_loops()
    degree = looped.row_pointer.diff().float()
    weights = (degree[looped.target] * degree[looped.source]).rsqrt()
    torch.testing.assert_close(ours(x, looped, weights), gcn(x, edges))
    mean = SAGELayer(3, 4)
    mean.load_state_dict(sage.state_dict())
    weights = 1 / graph.row_pointer.diff().float()[graph.target]
    torch.testing.assert_close(mean(x, graph, weights), sage(x, edges))


@pytest.mark.parametrize("pool", ["mean", "sum", "max"])
def test_pooling(pool):
    x, batch = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 2, 2])
    theirs = {
        "mean": geometric.global_mean_pool,
        "sum": geometric.global_add_pool,
        "max": geometric.global_max_pool,
    }
    torch.testing.assert_close(pool_graphs(x, batch, pool), theirs[pool](x, batch))
