"""Samples of point-cloud datasets, for tests."""

import torch

from gkd import AbstractDataset, Sample


def everyone(data: AbstractDataset) -> list[Sample]:
    return [*data.train, *data.validation, *data.test]


def same(first: list[Sample], second: list[Sample]) -> bool:
    return [s.id for s in first] == [s.id for s in second] and all(
        torch.equal(a.pos, b.pos) and torch.equal(a.y, b.y)
        for a, b in zip(first, second, strict=True)
    )
