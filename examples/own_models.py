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


def trained(network: Network, data: gkd.AbstractDataset, teacher=None, terms=(), epochs=20):
    """Return the network, trained alone or with the terms beside its teacher."""
    distiller = gkd.Distiller(
        teacher or {}, network, terms, task=data.task, inputs=("x", "edge_index")
    )
    optimiser = torch.optim.Adam(distiller.parameters(), lr=0.01)
    for epoch in range(epochs):
        distiller.epoch = epoch
        for sample in data.train:
            report = distiller(gkd.collate([sample]))
            optimiser.zero_grad()
            report.total.backward()
            optimiser.step()
    return network


@torch.no_grad()
def validation_loss(network: Network, data: gkd.AbstractDataset) -> float:
    batch = gkd.collate(data.validation)
    logits = network.eval()(batch.x, batch.edge_index)
    return nn.functional.binary_cross_entropy_with_logits(logits, batch.y).item()


def main() -> None:
    data = gkd.create("dataset", "communities", nodes=150, train_graphs=8)
    torch.manual_seed(0)
    teacher = trained(Network(data.num_features, 128, data.num_classes), data)
    terms = [
        gkd.Term("lsp", weight=1.0, student="second", teacher="second", params={"sigma": "median"}),
        gkd.Term("kd", weight=1.0, params={"temperature": 1.0}),
    ]
    print(f"teacher        validation loss {validation_loss(teacher, data):.4f}")
    for name, chosen in (("baseline", []), ("lsp and kd", terms)):
        torch.manual_seed(1)
        student = Network(data.num_features, 8, data.num_classes)
        trained(student, data, teacher, chosen)
        print(f"{name:14s} validation loss {validation_loss(student, data):.4f}")


if __name__ == "__main__":
    main()
