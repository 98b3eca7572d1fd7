"""Batches whose nodes are of several types, as PyTorch Geometric's HeteroData."""

import pytest
import torch
from distiller_problems import Recorder
from torch import Tensor, nn

import gkd
from gkd.data.batch_attributes import attribute_names
from gkd.data.batch_nodes import BatchNodes
from gkd.errors import DataError, GkdError

geometric = pytest.importorskip("torch_geometric.data")


@pytest.fixture
def batch():
    torch.manual_seed(0)
    data = geometric.HeteroData()
    data["paper"].x, data["paper"].y = torch.randn(6, 5), torch.randint(3, (6,))
    data["author"].x = torch.randn(4, 5)
    data["paper", "cites", "paper"].edge_index = torch.tensor([[0, 1, 2], [1, 2, 5]])
    data["author", "writes", "paper"].edge_index = torch.tensor([[0, 3], [2, 4]])
    return data


class Summing(nn.Module):
    """Sums over in-neighbours, then two layers."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(5, width), nn.Linear(width, 3)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.head(self.inner(x.index_add(0, edge_index[1], x[edge_index[0]])).relu())


class Whole(nn.Module):
    """Takes the attributes of all types, and answers for one."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 3)

    def forward(self, x_dict: dict, edge_index_dict: dict) -> dict[str, Tensor]:
        return {kind: self.head(x) for kind, x in x_dict.items()}


CITED = {"x": "paper.x", "edge_index": "paper__cites__paper.edge_index"}


def distiller_of(student: nn.Module, *terms: gkd.Term, **options) -> gkd.Distiller:
    settings = {"task": "single-label", "inputs": CITED, "target": "paper.y", **options}
    return gkd.Distiller(Summing(7), student, list(terms), **settings)


def test_paths_name_what_is_of_one_type(batch) -> None:
    loss, student = Recorder(), Summing()
    term = gkd.Term(loss, student="inner", teacher="inner", graph=CITED["edge_index"])
    report = distiller_of(student, term)(batch)
    edges = batch["paper", "cites", "paper"].edge_index
    logits = student(batch["paper"].x, edges)
    torch.testing.assert_close(report.logits, logits)
    expected = nn.functional.cross_entropy(logits, batch["paper"].y)
    torch.testing.assert_close(report.task, expected)
    assert loss.student.graph == gkd.Graph(edges, 6)


def test_rows_and_whole_dictionaries(batch) -> None:
    batch["paper"].train_mask = torch.arange(6) < 2
    student = Whole()
    distiller = gkd.Distiller(
        {},
        student,
        task="single-label",
        inputs=("x_dict", "edge_index_dict"),
        logits="[paper]",
        target="paper.y",
        mask="paper.train_mask",
    )
    expected = nn.functional.cross_entropy(student.head(batch["paper"].x[:2]), batch["paper"].y[:2])
    torch.testing.assert_close(distiller(batch).task, expected)


def test_a_mask_that_nobody_uses_is_an_error(batch) -> None:
    batch["paper"].train_mask = torch.arange(6) < 2
    with pytest.raises(DataError, match=r"has a paper\.train_mask, .* mask='paper\.train_mask'"):
        distiller_of(Summing())(batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": ("x", "edge_index")}, r"no 'x'; .* name one, 'paper\.x' or 'author\.x'"),
        ({"target": "y"}, r"target: the batch \(HeteroData\) has no 'y'; .* name one, 'paper\.y'$"),
        ({"target": "paper.z"}, r"no 'paper\.z'; did you mean 'paper\.y'"),
        ({"target": "papre.y"}, r"no 'papre\.y'; did you mean 'paper\.y'"),
        ({"mask": "train_mask"}, r"rows: the batch .* has no 'train_mask'"),
    ],
)
def test_the_path_is_named_where_it_is_missing(batch, options: dict, message: str) -> None:
    with pytest.raises(GkdError, match=message):
        distiller_of(Summing(), **options)(batch)


def test_it_names_no_number_of_nodes(batch) -> None:
    assert BatchNodes(batch).number is None
    assert attribute_names(batch) == [
        "paper.x",
        "paper.y",
        "author.x",
        "paper__cites__paper.edge_index",
        "author__writes__paper.edge_index",
    ]
