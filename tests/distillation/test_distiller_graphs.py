import pytest
import torch
from distiller_problems import Network, Output, Recorder, batch_of, distiller_of
from torch import nn

import gkd
from gkd.errors import DataError, ParameterError, TapError, UnknownNameError

EDGES = torch.tensor([[3, 0, 1], [1, 2, 0]])
TAPS = {"student": "inner", "teacher": "inner"}


def identity(x: torch.Tensor) -> torch.Tensor:
    return x


class Dynamic(nn.Module):
    """A network with a sub-module ``edges`` that returns what ``function`` makes of ``x``."""

    def __init__(self, function) -> None:
        super().__init__()
        self.inner, self.edges = Output(identity).inner, Output(function).inner
        self.head = nn.Linear(5, 3)
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.edges(x)
        return self.head(self.inner(x * self.one))


def pooled() -> Output:
    return Output(lambda x: x[:2])


class Whole(nn.Module):
    """A network that answers for two samples, not for nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x[:2])


def graphs(batch=None, ours=None, theirs=None, **term) -> list[gkd.Graph | None]:
    """Graphs of the views that a loss sees of the networks ``ours`` and ``theirs``."""
    loss = Recorder()
    networks = theirs or Output(identity), ours or Output(identity)
    distiller_of(*networks, gkd.Term(loss, **{**TAPS, **term}))(batch or batch_of())
    return [loss.student.graph, loss.teacher.graph]


def test_the_batch_gives_one_graph_to_both_by_default() -> None:
    ours, theirs = graphs()
    assert ours == gkd.Graph(batch_of().edge_index, 6)
    assert ours is theirs


def test_a_term_on_logits_has_no_graph_unless_it_asks() -> None:
    logits = {"student": None, "teacher": None}
    assert graphs(**logits) == [None, None]
    assert graphs(graph="edge_index", **logits)[0] == gkd.Graph(batch_of().edge_index, 6)


def test_a_batch_without_edges_has_no_graph() -> None:
    batch = batch_of()
    del batch.edge_index
    assert graphs(batch) == [None, None]


def test_pooled_features_have_no_graph_by_default() -> None:
    assert graphs(None, pooled(), pooled()) == [None, None]


def test_a_loss_of_edges_says_how_many_rows_have_no_graph() -> None:
    term = gkd.Term("lsp", **TAPS)
    with pytest.raises(ParameterError, match=r"of 2 rows; .* edge_index, whose nodes these rows"):
        distiller_of(pooled(), pooled(), term)(batch_of())


def test_an_attribute_of_the_batch() -> None:
    batch = batch_of()
    batch.mesh = EDGES
    expected = gkd.Graph(EDGES, 6)
    assert graphs(batch, graph="mesh") == [expected, expected]
    assert graphs(batch, teacher_graph="mesh") == [gkd.Graph(batch.edge_index, 6), expected]
    assert graphs(batch, graph="mesh", student_graph="edge_index")[1] == expected


def test_a_missing_attribute_names_what_there_is() -> None:
    with pytest.raises(DataError, match=r"term 'recorder': graph: .* no 'mesh'; available: edge_"):
        graphs(graph="mesh")


def test_an_explicit_graph_must_fit_the_rows() -> None:
    message = r"edge_index gave a graph of 6 nodes for \[2, 5\]: every row must be a node$"
    with pytest.raises(ParameterError, match=message):
        graphs(None, pooled(), pooled(), graph="edge_index")
    logits = {"student": None, "teacher": None, "graph": "edge_index"}
    with pytest.raises(ParameterError, match="every row must be a node; name taps, whose features"):
        graphs(None, Whole(), Whole(), **logits)


@pytest.mark.parametrize(
    "output",
    [
        lambda x: gkd.Graph(EDGES, 6),
        lambda x: EDGES,
        lambda x: (EDGES, torch.ones(3)),
        lambda x: [gkd.Graph(EDGES, 6)],
    ],
)
def test_a_tap_that_outputs_a_graph(output) -> None:
    expected = gkd.Graph(EDGES, 6)
    assert graphs(ours=Dynamic(output), student_graph="tap:edges")[0] == expected


def test_each_network_has_its_own_tapped_graph() -> None:
    student, teacher = Dynamic(lambda x: EDGES), Dynamic(lambda x: EDGES.flip(0))
    expected = [gkd.Graph(EDGES, 6), gkd.Graph(EDGES.flip(0), 6)]
    assert graphs(ours=student, theirs=teacher, graph="tap:edges") == expected


def test_a_tapped_graph_that_is_none() -> None:
    with pytest.raises(TapError, match="student: tap 'edges' yields a str, not a graph"):
        graphs(ours=Dynamic(lambda x: "text"), student_graph="tap:edges")


def test_a_tap_for_a_graph_must_exist() -> None:
    with pytest.raises(TapError, match="teacher: no sub-module 'inne'; did you mean 'inner'"):
        graphs(teacher_graph="tap:inne")


def test_a_tapped_graph_must_fit_the_rows() -> None:
    network = Dynamic(lambda x: gkd.Graph(EDGES, 9))
    with pytest.raises(ParameterError, match=r"tap:edges gave a graph of 9 nodes for \[6, 5\]"):
        graphs(ours=network, student_graph="tap:edges")


def test_a_builder_sees_features_and_samples() -> None:
    seen = []

    def builder(features, batch):
        seen.append((features, batch))
        return gkd.Graph(EDGES, len(features))

    batch = batch_of()
    batch.batch = torch.tensor([0, 0, 0, 1, 1, 1])
    assert graphs(batch, graph=builder) == [gkd.Graph(EDGES, 6)] * 2
    for features, samples in seen:
        assert torch.equal(features, batch.x)
        assert not features.requires_grad
        assert torch.equal(samples, batch.batch)


def test_a_builder_sees_the_samples_of_dense_features() -> None:
    seen = []

    def builder(features, batch):
        seen.append(batch.tolist())
        return gkd.Graph(EDGES, len(features))

    ours, theirs = (Output(lambda x: x.reshape(3, 2, 5)) for _ in range(2))
    graphs(None, ours, theirs, graph=builder)
    assert seen == [[0, 0, 1, 1, 2, 2]] * 2


def test_a_builder_needs_features() -> None:
    with pytest.raises(ParameterError, match="a graph builder needs features"):
        graphs(student=None, student_graph=lambda features, batch: None)


def test_a_builder_must_give_a_graph() -> None:
    with pytest.raises(ParameterError, match=r"the graph builder gave a Tensor, not a gkd\.Graph"):
        graphs(graph=lambda features, batch: EDGES)


def test_a_builder_by_name() -> None:
    with pytest.raises(UnknownNameError, match=r"term 'recorder': .*nearest-of-all"):
        graphs(graph={"name": "nearest-of-all", "k": 2})
    with pytest.raises(ParameterError, match="a mapping needs the builder's 'name'"):
        graphs(graph={"k": 2})


def test_a_plugin_may_provide_the_builder() -> None:
    class Plugin:
        @gkd.hookimpl
        def gkd_graph_builders(self):
            return {"star": star}

    def star(centre: int):
        return lambda features, batch: gkd.Graph(
            torch.stack([torch.full((6,), centre), torch.arange(6)]), 6
        )

    host = gkd.create_host()
    host.register(Plugin())
    with host.activated():
        ours, _ = graphs(graph={"name": "star", "centre": 2})
    assert ours.source.tolist() == [2] * 6


def test_something_else_is_no_graph_source() -> None:
    with pytest.raises(ParameterError, match="expected an attribute of the batch, 'tap:PATH'"):
        graphs(graph=3)


def test_lsp_compares_networks_of_different_graphs() -> None:
    batch = batch_of()
    batch.mesh = EDGES
    student, teacher = Network(), Network(7)
    term = gkd.Term("lsp", student="layers.0", teacher="layers.0", teacher_graph="mesh")
    report = distiller_of(teacher, student, term)(batch)
    union = gkd.Graph(batch.edge_index, 6).union(gkd.Graph(EDGES, 6))
    views = [gkd.View(features=n.layers[0](batch.x), graph=union) for n in (student, teacher)]
    torch.testing.assert_close(report.terms["lsp"], gkd.create("loss", "lsp")(*views))
