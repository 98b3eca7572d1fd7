"""A sparse adjacency matrix stands for an edge index."""

from types import SimpleNamespace

import pytest
import torch
from distiller_problems import Recorder, distiller_of
from lsp_reference import SIMILARITIES, lsp
from torch import Tensor, nn

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.data.batch_nodes import BatchNodes
from gkd.errors import DataError

pytestmark = pytest.mark.filterwarnings(
    "ignore:Sparse CS[RC] tensor support:UserWarning",  # torch says that they are young
    "ignore:Sparse invariant checks:UserWarning",
)

FORMS = {
    "coo": lambda dense: dense.to_sparse_coo(),
    "csr": lambda dense: dense.to_sparse_csr(),
    "csc": lambda dense: dense.to_sparse_csc(),
    "torch_sparse": lambda dense: Coordinates(dense),
}


class Coordinates:
    """What torch_sparse's matrices offer."""

    def __init__(self, dense: Tensor) -> None:
        self.dense = dense

    def coo(self) -> tuple[Tensor, Tensor, Tensor]:
        row, column = self.dense.nonzero().T
        return row, column, self.dense[row, column]

    def to_dense(self) -> Tensor:
        return self.dense


class Neighbours(nn.Module):
    """Sums over in-neighbours by the matrix, then maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(5, width), nn.Linear(width, 3)

    def forward(self, x: Tensor, adj_t: object) -> Tensor:
        return self.head(self.inner(adj_t.to_dense() @ x + x).relu())


def edges_of(samples: int, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [(torch.rand(5, 5, generator=random) < 0.4).nonzero().T for _ in range(samples)]


def batch_of(numbers: list[int], form: str) -> SimpleNamespace:
    """Some of four graphs of five nodes, as a batch with ``adj_t`` alone."""
    features = torch.randn(4, 5, 5, generator=torch.Generator().manual_seed(1))
    edges = edges_of(4)
    whole = torch.cat([edges[i] + 5 * place for place, i in enumerate(numbers)], dim=1)
    nodes = 5 * len(numbers)
    dense = torch.zeros(nodes, nodes)
    dense[whole[1], whole[0]] = 1.0
    return SimpleNamespace(
        x=features[numbers].flatten(0, 1),
        y=torch.zeros(nodes, dtype=torch.int64),
        adj_t=FORMS[form](dense),
        edges=whole,
        ids=tuple(map(str, numbers)),
        ptr=torch.arange(0, nodes + 1, 5),
        batch=torch.arange(len(numbers)).repeat_interleave(5),
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("graph", [None, "adj_t"])
@pytest.mark.parametrize("cached", [False, True])
def test_a_term_compares_on_its_edges(form: str, graph: str | None, cached: bool) -> None:
    torch.manual_seed(0)
    teacher, student = Neighbours(7), Neighbours(4)
    term = gkd.Term("lsp", student="inner", teacher="inner", graph=graph)
    distiller = distiller_of(
        teacher,
        student,
        term,
        inputs=("x", "adj_t"),
        teacher_cache=TeacherCache() if cached else None,
    )
    for numbers in ([0, 1], [2, 3], [3, 0, 2], [1]):
        batch = batch_of(numbers, form)
        found = distiller(batch).terms["lsp"].item()
        ours, theirs = (
            network.inner(batch.adj_t.to_dense() @ batch.x + batch.x).double()
            for network in (student, teacher)
        )
        expected = lsp(ours, theirs, batch.edges, SIMILARITIES["rbf"])
        assert found == pytest.approx(expected.item(), rel=1e-4)
    assert not cached or distiller.teacher_cache.hits == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("change", ["edge", "value"])
def test_a_cache_sees_its_changes(form: str, change: str) -> None:
    term = gkd.Term(Recorder(), student="inner", teacher="inner")
    distiller = distiller_of(
        Neighbours(7), Neighbours(4), term, inputs=("x", "adj_t"), teacher_cache=TeacherCache()
    )
    batch = batch_of([0, 1], form)
    distiller(batch)
    dense = batch.adj_t.to_dense().clone()
    row, column = dense.nonzero()[0]
    dense[row, column] = 2.0 if change == "value" else 0.0
    batch.adj_t = FORMS[form](dense)
    with pytest.raises(DataError, match="has changed since its teacher outputs were cached"):
        distiller(batch)


def test_all_share_one_graph() -> None:
    loss = Recorder()
    term = gkd.Term(loss, student="inner", teacher="inner")
    distiller_of(Neighbours(7), Neighbours(4), term, inputs=("x", "adj_t"))(batch_of([0], "csr"))
    assert loss.student.graph is loss.teacher.graph


def test_an_edge_index_comes_first() -> None:
    loss = Recorder()
    batch = batch_of([0], "coo")
    batch.edge_index = torch.tensor([[0], [1]])
    term = gkd.Term(loss, student="inner", teacher="inner")
    distiller_of(Neighbours(7), Neighbours(4), term, inputs=("x", "adj_t"))(batch)
    assert loss.student.graph == gkd.Graph(batch.edge_index, 5)


def test_a_matrix_that_may_lie_either_way_is_refused() -> None:
    batch = batch_of([0], "coo")
    batch.adjacency = batch.adj_t
    with pytest.raises(DataError, match="nothing tells whether its rows are the edges' sources"):
        BatchNodes(batch).edges("adjacency")


def test_samples_hold_no_sparse_tensors() -> None:
    with pytest.raises(DataError, match="adj_t is a sparse tensor; give its edges as edge_index"):
        gkd.Sample(id="a", x=torch.zeros(5, 1), adj_t=torch.eye(5).to_sparse_coo())


def test_what_pytorch_geometric_makes_of_edges() -> None:
    geometric = pytest.importorskip("torch_geometric")
    (edges,) = edges_of(1)
    data = geometric.data.Data(x=torch.randn(5, 5), edge_index=edges)
    sparse = geometric.transforms.ToSparseTensor()(data)
    found = BatchNodes(sparse).edges("adj_t")
    assert gkd.Graph(found, 5) == gkd.Graph(edges, 5)
