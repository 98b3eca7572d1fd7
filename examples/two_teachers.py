"""Amalgamate two networks that know different labels into one student that knows both.

Run it with ``python examples/two_teachers.py``; it takes a few seconds.
"""

from types import SimpleNamespace

import torch
from torch import nn

import gkd


def batches_of(samples: list[gkd.Sample], columns: slice) -> list[SimpleNamespace]:
    """Return the samples with some of their labels alone."""
    return [SimpleNamespace(x=s.x, edge_index=s.edge_index, y=s.y[:, columns]) for s in samples]


def train(student: nn.Module, batches: list, teachers=None, terms=(), **options) -> nn.Module:
    distiller = gkd.Distiller(teachers or {}, student, terms, task="multi-label", **options)
    optimiser = torch.optim.Adam(distiller.parameters(), lr=0.01)
    for _ in range(15):
        for batch in batches:
            optimiser.zero_grad()
            distiller(batch).total.backward()
            optimiser.step()
    return student.eval()


@torch.no_grad()
def test_loss(network: nn.Module, batches: list, columns: slice) -> float:
    losses = [
        nn.functional.binary_cross_entropy_with_logits(
            network(batch.x, batch.edge_index)[:, columns], batch.y
        )
        for batch in batches
    ]
    return float(torch.stack(losses).mean())


def main() -> None:
    data = gkd.create("dataset", "communities", nodes=100, train_graphs=4)
    # Each teacher knows some of the labels; no data has all of them.
    known = {"first": slice(0, 16), "second": slice(16, data.num_classes)}

    def network(width: int, classes: int) -> nn.Module:
        options = {"hidden_channels": width, "in_channels": data.num_features}
        return gkd.create("model", "sage", out_channels=classes, **options)

    torch.manual_seed(0)
    teachers = {}
    for name, columns in known.items():
        batches = batches_of(data.train, columns)
        teachers[name] = train(network(128, batches[0].y.shape[1]), batches)
    # The student learns from their outputs alone: the labels' loss has no weight.
    term = gkd.Term("amalgamation", teacher=["first:", "second:"], params={"temperature": 1.0})
    everything = batches_of(data.train, slice(None))
    student = train(network(32, data.num_classes), everything, teachers, [term], task_weight=0.0)
    for name, columns in known.items():
        test = batches_of(data.test, columns)
        print(f"{name:7s} teacher  test loss {test_loss(teachers[name], test, slice(None)):.4f}")
        print(f"{name:7s} student  test loss {test_loss(student, test, columns):.4f}")


if __name__ == "__main__":
    main()
