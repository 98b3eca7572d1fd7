"""LSP on wider neighbourhoods, with attention as structure, with weights, with a learned scale."""

import math
from types import SimpleNamespace

import lsp_reference
import pytest
import torch
from torch.nn.functional import leaky_relu

import gkd
from gkd import Graph, ParameterError, Step, View
from gkd_gat.gat_layer import GATLayer
from gkd_lsp import neighbourhoods
from gkd_lsp.lsp import LSP
from gkd_lsp.lsp_walks import LSPWalks
from gkd_lsp.lsp_weighted import LSPWeighted
from gkd_lsp.neighbourhoods import met_on_walks, within_hops


def random_graph(seed: int, nodes: int = 9, edges: int = 14) -> Graph:
    random = torch.Generator().manual_seed(seed)
    return Graph(torch.randint(nodes, (2, edges), generator=random), nodes)


def views(graph: Graph, seed: int = 0) -> tuple[View, View]:
    random = torch.Generator().manual_seed(seed)
    student, teacher = (
        torch.randn(graph.num_nodes, width, generator=random).double() for width in (3, 4)
    )
    return View(features=student.requires_grad_(), graph=graph), View(features=teacher, graph=graph)


def reached(graph: Graph, hops: int) -> set[tuple[int, int]]:
    """Pairs (source, target) by search, a node at a time."""
    edges = set(map(tuple, graph.edge_index.T.tolist()))
    found = set(edges)
    for _ in range(hops - 1):
        found |= {(s, u) for s, t in found for v, u in edges if t == v and s != u}
    return found


@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("at_a_time", [2**19, 4])
def test_neighbourhoods_of_more_hops_are_found_by_search(hops, at_a_time, monkeypatch):
    monkeypatch.setattr(neighbourhoods, "_AT_A_TIME", at_a_time)
    for seed in range(4):
        graph = random_graph(seed)
        wider = within_hops(graph, hops)
        assert set(map(tuple, wider.edge_index.T.tolist())) == reached(graph, hops)
        assert within_hops(graph, hops) is wider
    empty = Graph(torch.zeros(2, 0, dtype=torch.int64), 3)
    assert within_hops(empty, hops) == empty


def test_more_hops_are_the_loss_on_wider_neighbourhoods():
    graph = random_graph(1)
    student, teacher = views(graph)
    value = LSP(hops=2)(student, teacher)
    edges = torch.tensor(sorted(reached(graph, 2))).T
    expected = lsp_reference.lsp(
        student.features, teacher.features, edges, lsp_reference.SIMILARITIES["rbf"]
    )
    torch.testing.assert_close(value, expected)
    assert LSP(hops=2).target(teacher) is teacher
    assert not LSP(hops=2).target_per_sample


def test_walks_meet_each_neighbour_as_often():
    # 0 has the neighbours 1, 2, 3; 1 has 4 alone; 4 has none.
    graph = Graph(torch.tensor([[1, 2, 3, 4, 2], [0, 0, 0, 1, 2]]), 5)
    assert met_on_walks(graph, 50, 1, torch.Generator()).edge_index.T.tolist() == [
        [1, 0], [2, 0], [3, 0], [4, 1], [2, 2],
    ]  # fmt: skip
    counts = torch.zeros(5)
    for seed in range(600):
        met = met_on_walks(graph, 1, 1, torch.Generator().manual_seed(seed))
        counts[met.source[met.target == 0]] += 1
    assert (counts[1:4] / 600 - 1 / 3).abs().max() < 0.08
    met = met_on_walks(graph, 50, 3, torch.Generator())
    assert set(met.source[met.target == 0].tolist()) == {1, 2, 3, 4}
    assert set(map(tuple, met.edge_index.T.tolist())) <= reached(graph, 3)


def test_walks_are_the_loss_on_what_they_meet():
    graph = random_graph(2, edges=30)
    student, teacher = views(graph)
    loss = LSPWalks(walks=2, length=2, kernel="linear", reduction="edge-mean")
    values = [loss(student, teacher, step=Step.of(student, seed=seed)) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    met = met_on_walks(graph, 2, 2, torch.Generator().manual_seed(1))
    assert met.num_edges <= 9 * 4 + len(graph.self_loops)
    expected = lsp_reference.lsp(
        student.features, teacher.features, met.edge_index,
        lsp_reference.SIMILARITIES["linear"], over_edges=True,
    )  # fmt: skip
    torch.testing.assert_close(values[0], expected)


def test_attention_of_a_teacher_is_its_structure():
    torch.manual_seed(0)
    graph = random_graph(3)
    layer, scores = GATLayer(4, 5, heads=3).double(), []
    layer.scores.register_forward_hook(lambda module, inputs, output: scores.append(output))
    student, teacher = views(graph)
    layer(teacher.features, graph)
    value = LSP(teacher_structure="attention", direction="teacher-student")(
        student, View(features=scores[0].detach(), graph=graph)
    )
    projected = layer.lin(teacher.features).view(9, 3, 5).detach()
    source, target = ((projected * a).sum(2).detach() for a in (layer.att_src, layer.att_dst))
    total = 0
    for node, sources in enumerate(lsp_reference.neighbours(graph.edge_index, 9)):
        if sources:
            attention = leaky_relu(source[sources] + target[node], 0.2).softmax(0).mean(1)
            own = lsp_reference.log_structure(
                student.features, node, sources, lsp_reference.SIMILARITIES["rbf"]
            )
            total = total + (attention * (attention.log() - own)).sum()
    torch.testing.assert_close(value, total / 9)


def test_attention_is_tapped_by_a_term():
    gat, gcn = (
        gkd.create("model", name, in_channels=3, out_channels=2, hidden_channels=width)
        for name, width in (("gat", (4, 4)), ("gcn", 4))
    )
    term = gkd.Term(
        "lsp",
        student="layers.0",
        teacher="layers.1.scores",
        params={"teacher_structure": "attention", "learn_scale": True},
    )
    batch = SimpleNamespace(
        x=torch.randn(9, 3),
        edge_index=random_graph(6, edges=40).edge_index,
        y=torch.zeros(9, dtype=torch.int64),
    )
    distiller = gkd.Distiller(gat, gcn, [term], task="single-label", inputs=("x", "edge_index"))
    distiller.prepare(batch)
    report = distiller(batch)
    report.total.backward()
    (scale,) = (p for name, p in distiller.named_parameters() if "log_scale" in name)
    assert report.terms["lsp"] > 0
    assert scale.grad.abs() > 0


def test_a_learned_scale_is_a_bandwidth():
    student, teacher = views(random_graph(4, edges=30))
    loss = LSP(learn_scale=True, sigma=1.0).double()
    plain = LSP(sigma=1.0)
    torch.testing.assert_close(loss(student, teacher), plain(student, teacher))
    with torch.no_grad():
        loss.log_scale.fill_(-0.4)
    value = loss(student, teacher)
    scaled = View(features=student.features * torch.tensor(-0.4).exp(), graph=student.graph)
    torch.testing.assert_close(value, plain(scaled, teacher))
    value.backward()
    ends = []
    for step in (-1e-4, 1e-4):
        with torch.no_grad():
            loss.log_scale.fill_(-0.4 + step)
            ends.append(loss(student, teacher).item())
    assert loss.log_scale.grad.item() == pytest.approx((ends[1] - ends[0]) / 2e-4, rel=1e-5)


def weighted(student: View, teacher: View, **inputs) -> torch.Tensor:
    return LSPWeighted()(student, teacher, step=Step.of(student, inputs=inputs))


def test_weights_of_edges_multiply_the_structures():
    # In any order; the first edge twice, the last of weight 0.
    edges = torch.tensor([[3, 1, 2, 3, 0, 4], [0, 0, 0, 0, 1, 0]])
    weights = torch.tensor([0.5, 2.0, 1.0, 0.5, 3.0, 0.0]).double()
    student, teacher = views(Graph(edges, 5))
    value = weighted(student, teacher, edge_index=edges, edge_weight=weights[:, None])
    own = {1: 2.0, 2: 1.0, 3: 1.0}  # of node 0
    logs = []
    for z in (student.features, teacher.features):
        similar = [(-(z[0] - z[j]).square().sum() / 2).exp() + math.log(own[j]) for j in own]
        logs.append(torch.stack(similar).log_softmax(0))
    expected = (logs[0].exp() * (logs[0] - logs[1])).sum()
    torch.testing.assert_close(value, torch.stack([expected, *([0 * expected] * 4)]))
    gradients = [torch.autograd.grad(v, student.features)[0] for v in (value.sum(), expected)]
    torch.testing.assert_close(*gradients)


def test_equal_weights_are_none():
    student, teacher = views(random_graph(7, edges=30))
    edges = student.graph.edge_index
    value = weighted(
        student, teacher, edge_index=edges, edge_weight=torch.full((edges.shape[1],), 7)
    )
    torch.testing.assert_close(value, LSP(per_row=True)(student, teacher))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"edge_index": None}, r"the batch has no edges \[2, E\] in 'edge_index'"),
        ({"edge_weight": None}, "expected a weight for each of 2 edges .*, got None"),
        ({"edge_weight": torch.ones(3)}, r"each of 2 edges .*, got \[3\]"),
        ({"edge_weight": torch.tensor([1.0, -1.0])}, "'edge_weight' has a negative weight"),
        ({"edge_weight": torch.tensor([1.0, math.nan])}, "negative weight, or NaN"),
        ({"edge_index": torch.tensor([[1, 9], [0, 1]])}, "edge from 2 to 1, which has no weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused(inputs, message):
    edges = torch.tensor([[1, 2], [0, 1]])
    student, teacher = views(Graph(edges, 3))
    inputs = {"edge_index": edges, "edge_weight": torch.ones(2)} | inputs
    with pytest.raises(ParameterError, match=f"lsp-weighted: .*{message}"):
        weighted(student, teacher, **inputs)


def test_what_does_not_fit_is_said():
    student, teacher = views(random_graph(5))
    with pytest.raises(ParameterError, match="has 3 columns; tap the scores of a layer"):
        LSP(teacher_structure="attention")(teacher, student)
    with pytest.raises(ParameterError, match="a scale cannot be learned for a kernel that takes"):
        LSP(learn_scale=True, sigma="median")
    with pytest.raises(ParameterError, match="no parameter is called 'hop'; did you mean 'hops'"):
        LSP(hop=2)
    with pytest.raises(ParameterError, match="'walks' must be"):
        LSPWalks(walks=0)
    with pytest.raises(ParameterError, match="lsp-weighted: hops=2, but weights are of edges"):
        LSPWeighted(hops=2)
    with pytest.raises(ParameterError, match="lsp-walks compares edges"):
        LSPWalks()(View(features=student.features), teacher, step=Step.of(student))
