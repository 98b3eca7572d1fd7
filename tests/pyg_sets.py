"""Data sets and models in the form of PyTorch Geometric's, as users write their own."""

from copy import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, Dataset, HeteroData
from torch_geometric.transforms import RandomLinkSplit


def graph(seed: int, nodes: int = 12, **more: Any) -> Data:
    generator = torch.Generator().manual_seed(seed)
    return Data(
        x=torch.randn(nodes, 4, generator=generator),
        edge_index=torch.randint(nodes, (2, 3 * nodes), generator=generator),
        **more,
    )


def masked(masks: bool = True) -> Data:
    """One graph with masks of its nodes."""
    (found,) = OneGraph(masks)
    return found


def no_graph() -> int:
    return 3


def featureless() -> Data:
    found = masked()
    del found.x
    found.num_nodes = 12
    return found


def one_feature() -> Data:
    found = masked()
    found.x = found.x[:, 0]
    return found


def partly_known() -> list[Data]:
    """Graphs with labels of their own, some of which nobody knows: in the first graph, too."""
    unknown = float("nan")
    return [graph(i, 5, y=torch.tensor([[0.0, unknown if i % 2 == 0 else 1.0]])) for i in range(12)]


def yes_or_no() -> list[Data]:
    return [graph(i, 5, y=torch.tensor([float(i % 2)])) for i in range(12)]


def whole_numbers() -> list[Data]:
    return [graph(i, 5, y=torch.tensor([[i % 2, 1, 0]] * 5)) for i in range(12)]


def first_is_one() -> list[Data]:
    return [graph(i, 5, y=torch.tensor([1.0 + i])) for i in range(12)]


def first_is_small() -> list[Data]:
    """Graphs with a class each, of which some have one node."""
    return [graph(i, 1 if i % 3 else 5, y=torch.tensor([i % 3])) for i in range(12)]


def classes_as_floats() -> list[Data]:
    return [graph(i, 5, y=torch.tensor([float(i % 3)])) for i in range(12)]


def counts_in_columns() -> list[Data]:
    return [graph(i, 5, y=torch.tensor([[i, 1, 0]] * 5)) for i in range(12)]


class InNumbers(Dataset):
    """A data set of theirs: graphs by their numbers."""

    def __init__(self) -> None:
        super().__init__()

    def len(self) -> int:
        return 12

    def get(self, idx: int) -> Data:
        return graph(idx, 5, y=torch.tensor([idx % 2]))


def a_data_set() -> InNumbers:
    return InNumbers()


def numbers() -> list[Data]:
    return [graph(i, 5, y=float(i) / 7) for i in range(12)]


def classes_as_columns() -> list[Data]:
    return [graph(i, 5, y=torch.eye(3)[torch.arange(i, i + 5) % 3]) for i in range(12)]


def by_split() -> dict[str, list[Data] | Data]:
    one, two, *more = (graph(i, 5, y=torch.tensor([i % 2])) for i in range(6))
    return {"train": more, "valid": one, "test": [two]}


@cache  # RandomLinkSplit draws from all there is to draw from
def links() -> dict[str, Data]:
    """One graph, whose splits are pairs of nodes."""
    graph = Data(x=torch.randn(20, 4), edge_index=torch.randint(20, (2, 60)))
    train, validation, test = RandomLinkSplit(num_val=0.2, num_test=0.2)(graph)
    return {"train": train, "val": validation, "test": test}


def labelled_edges() -> list[Data]:
    return [graph(i, 5, edge_label=torch.arange(15) % 2) for i in range(6)]


def both() -> dict[str, Data]:
    """The same, whose nodes have classes, too."""
    found = {name: copy(one) for name, one in links().items()}
    for one in found.values():
        one.y = torch.arange(20) % 3
    return found


def unlabelled_pairs() -> dict[str, Data]:
    found = both()
    for one in found.values():
        del one.edge_label
    return found


def misnamed() -> dict[str, Data]:
    return dict.fromkeys(("train", "vali", "test"), graph(0, y=torch.arange(12)))


def untested() -> dict[str, Data]:
    return dict.fromkeys(("train", "val"), graph(0, y=torch.arange(12)))


def one_at_a_time(split: str = "train") -> list[Data]:
    numbers = {"train": range(4), "val": range(4, 5), "test": range(5, 7)}[split]
    return [graph(i, 5, y=torch.tensor([i % 2])) for i in numbers]


def numbered_rows() -> Data:
    found = masked()
    found.train_mask = torch.tensor([0, 3, 6])
    return found


class Named(list):
    """Data whose class has a parameter that a recipe calls something else."""

    def __init__(self, name: str) -> None:
        super().__init__(graph(i, y=torch.tensor([i % 2])) for i in range(len(name)))


class OneGraph(list):
    """One graph with two official splits of its nodes."""

    def __init__(self, masks: bool = True) -> None:
        masked = {}
        if masks:
            place = torch.arange(12)
            rows = {"train_mask": 0, "val_mask": 1, "test_mask": 2}
            masked = {
                name: torch.stack([place % 3 == row, (place + 1) % 3 == row], 1)
                for name, row in rows.items()
            }
        super().__init__([graph(0, y=torch.arange(12) % 3, **masked)])


class NamedMasks(OneGraph):
    """One graph, of whose masks a parameter called ``split`` chooses, as Planetoid's does."""

    def __init__(self, split: str = "public") -> None:
        assert split in ("public", "random")
        super().__init__()


class ManyGraphs(list):
    """Graphs with a class each; their labels have another name."""

    def __init__(self, count: int = 20) -> None:
        super().__init__(graph(i, 5 + i % 3, label=torch.tensor([i % 2])) for i in range(count))


class Splits(list):
    """Graphs whose nodes have labels of their own, in three parts."""

    def __init__(self, split: str) -> None:
        if split not in ("train", "val", "test"):
            raise ValueError(split)
        start = {"train": 0, "val": 4, "test": 6}[split]
        labels = torch.arange(24).reshape(12, 2).remainder(3).eq(0).float()
        super().__init__(graph(start + i, y=labels) for i in range(2))


class Regression(list):
    """Graphs with a number each, their edges as a sparse matrix."""

    def __init__(self) -> None:
        from torch_geometric.transforms import ToSparseTensor

        graphs = (graph(i, y=torch.tensor([[i / 7]])) for i in range(10))
        super().__init__(ToSparseTensor(layout=None)(one) for one in graphs)


class Mixed(list):
    """Papers that cite and follow one another, and their authors."""

    def __init__(self, follows: bool = True) -> None:
        data, papers = HeteroData(), graph(0)
        data["author"].x = torch.ones(2, 3)
        place = torch.arange(12)
        data["paper"].x, data["paper"].y = papers.x, place % 3
        for row, mask in enumerate(("train_mask", "val_mask", "test_mask")):
            data["paper"][mask] = place % 3 == row
        data["author", "writes", "paper"].edge_index = torch.tensor([[0, 1], [3, 4]])
        data["paper", "cites", "paper"].edge_index = papers.edge_index
        data["paper", "cites", "paper"].edge_attr = torch.ones(36, 2)
        if follows:
            data["paper", "follows", "paper"].edge_index = torch.tensor([[0, 1], [1, 2]])
            data["paper", "follows", "paper"].edge_attr = torch.zeros(2, 2)
        super().__init__([data])


class Mine(nn.Module):
    """A model of someone's own."""

    def __init__(self, in_channels: int, out_channels: int, width: int = 3) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(in_channels, width), nn.Linear(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).relu())


GRAPHS = [graph(i, 5 + i % 3, y=torch.tensor([i % 2])) for i in range(12)]
MASKED = masked()


def of_every_split(**attributes: Any) -> dict[str, list[Data]]:
    return {
        part: [graph(i, 5, **attributes) for i in range(6)] for part in ("train", "val", "test")
    }


def lists_in_a_split() -> dict[str, Any]:
    return of_every_split() | {"val": [(torch.ones(1), 0)]}


def nothing_in_a_split() -> dict[str, Any]:
    return of_every_split() | {"val": []}


def short_edge_attr() -> dict[str, Any]:
    return of_every_split(y=torch.tensor([1]), edge_attr=torch.ones(3, 2))


def flat_labels() -> dict[str, Any]:
    return of_every_split(y=torch.ones(3))


def numpy_labels() -> dict[str, Any]:
    return of_every_split(y=torch.ones(5).numpy())


class NoDataSet:
    """A class of anything."""


def signs() -> dict[str, Any]:
    return of_every_split(y=torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0]))


def columns_of_signs() -> dict[str, Any]:
    return of_every_split(y=torch.tensor([[1.0, -1.0, torch.nan]]))
