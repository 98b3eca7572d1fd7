"""Distil a network of one's own into a smaller one, in one's own loop.

Run it with ``python examples/own_models.py``; it takes a few seconds. It chooses a weight, trains
ten students with it and ten without, and says whether that is a gain. After ten epochs it is
one of some three points. After forty less than one is left of it; in this folder:
``python -c 'import own_models; own_models.main(40)'``.
"""

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor, nn

import gkd
from gkd.report.comparison import compare


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
def micro_f1(network: Network, samples: Sequence[gkd.Sample]) -> float:
    batch = gkd.collate(samples)
    chosen, right = network.eval()(batch.x, batch.edge_index) > 0, batch.y > 0.5
    return (2 * (chosen & right).sum() / (chosen.sum() + right.sum())).item()


def main(epochs: int = 10) -> None:
    torch.set_num_threads(1)  # the graphs are small
    data = gkd.create("dataset", "communities", nodes=150, train_graphs=8)
    torch.manual_seed(0)
    teacher = Network(data.num_features, 128, data.num_classes)
    train(teacher, data, epochs=20)
    print(f"teacher: test micro F1 {100 * micro_f1(teacher, data.test):.1f} %")

    def student(seed: int, weight: float) -> Network:
        torch.manual_seed(seed)  # with and without terms from the same initial weights
        network = Network(data.num_features, 16, data.num_classes)
        params = {"sigma": "median"}
        lsp = gkd.Term("lsp", weight=weight, student="second", teacher="second", params=params)
        train(network, data, teacher, [lsp] if weight else [], epochs)
        return network

    # The weight is chosen on validation data, with seeds that have no part in the verdict.
    means = {
        weight: fmean(micro_f1(student(seed, weight), data.validation) for seed in range(100, 103))
        for weight in (0.0, 0.3, 1.0, 3.0)
    }
    for weight, mean in means.items():
        print(f"weight {weight}: validation micro F1 {100 * mean:.1f} %")
    best = max((weight for weight in means if weight), key=lambda weight: means[weight])
    with_lsp, baseline = (
        {seed: micro_f1(student(seed, weight), data.test) for seed in range(10)}
        for weight in (best, 0.0)
    )
    print(compare(f"lsp (weight {best})", with_lsp, baseline).verdict)


if __name__ == "__main__":
    main()
