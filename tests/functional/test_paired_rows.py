"""Standard scores: values, what has no spread, and extremes."""

import statistics

import pytest
import torch

from gkd.functional.paired_rows import standard_scores


def normal(*shape):
    random = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("dim", [0, 1])
def test_scores_are_deviations_by_the_standard_deviation(dim):
    values = normal(5, 4)
    lines = (values if dim else values.T).tolist()
    expected = [
        [(z - statistics.fmean(line)) / statistics.pstdev(line) for z in line] for line in lines
    ]
    got = standard_scores(values, dim)
    torch.testing.assert_close(got if dim else got.T, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_neither_size_nor_place_matters(scale):
    values = normal(3, 6).float()
    expected = standard_scores(values, dim=1)
    torch.testing.assert_close(standard_scores(scale * values, dim=1), expected)
    torch.testing.assert_close(standard_scores(scale * (values + 4), dim=1), expected)


def test_what_differs_by_rounding_alone_is_the_same():
    values = torch.tensor([[0.1 + 0.2, 0.3, 0.3], [0.1, 0.1, 0.1]], dtype=torch.float64)
    values.requires_grad_()
    scores = standard_scores(values, dim=1)
    scores.sum().backward()
    assert (scores == 0).all()
    assert (values.grad == 0).all()


def test_the_gradient_is_the_slope():
    assert torch.autograd.gradcheck(
        lambda z: standard_scores(z, dim=0), normal(4, 3).requires_grad_()
    )
