"""Distil a network of one's own into a smaller one, in one's own loop.

Run it with ``python examples/own_models.py``; it takes a few seconds.
"""

import torch
from torch import Tensor, nn

import gkd


class MeanAggregation(nn.Module):
    """Two linear maps: of every node, and of the mean of its neighbours."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own = nn.Linear(inputs, outputs)
        self.neighbours = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        source, target = edge_index
        total = torch.zeros_like(x).index_add(0, target, x[source])
        degree = torch.bincount(target, minlength=len(x)).clamp(min=1)
        return self.own(x) + self.neighbours(total / degree[:, None])


class Network(nn.Module):
    """A network that knows nothing of gkd."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.first = MeanAggregation(inputs, width)
        self.second = MeanAggregation(width, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden = self.first(x, edge_index).relu()
        return self.head(self.second(hidden, edge_index).relu())


def train(student: Network, data: gkd.AbstractDataset, teacher=None, terms=(), epochs=20) -> None:
    """Train on the labels, and on what the terms ask of the student beside the teacher."""
    distiller = gkd.Distiller(teacher or {}, student, terms, task=data.task, inputs=data.inputs)
    optimiser = torch.optim.Adam(distiller.parameters(), lr=0.01)
    for epoch in range(epochs):
        distiller.epoch = epoch  # weights may follow a schedule
        for sample in data.train:
            report = distiller(gkd.collate([sample]))
            optimiser.zero_grad()
            report.total.backward()
            optimiser.step()


@torch.no_grad()
def test_loss(network: Network, data: gkd.AbstractDataset) -> float:
    batch = gkd.collate(data.test)
    logits = network.eval()(batch.x, batch.edge_index)
    return nn.functional.binary_cross_entropy_with_logits(logits, batch.y).item()


def main() -> None:
    data = gkd.create("dataset", "communities", nodes=150, train_graphs=8)
    torch.manual_seed(0)
    teacher = Network(data.num_features, 128, data.num_classes)
    train(teacher, data)
    print(f"teacher     test loss {test_loss(teacher, data):.4f}")
    terms = [
        gkd.Term("lsp", weight=1.0, student="second", teacher="second", params={"sigma": "median"}),
        gkd.Term("kd", weight=0.1, params={"temperature": 1.0}),
    ]
    for name, chosen in (("baseline", []), ("lsp and kd", terms)):
        torch.manual_seed(1)  # the same initial weights for both
        student = Network(data.num_features, 16, data.num_classes)
        train(student, data, teacher, chosen)
        print(f"{name:11s} test loss {test_loss(student, data):.4f}")


if __name__ == "__main__":
    main()
