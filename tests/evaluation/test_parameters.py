import pytest
import torch
from torch import nn

from gkd.errors import ParameterError
from gkd.evaluation.parameters import parameter_count


def test_buffers_do_not_count() -> None:
    assert parameter_count(nn.BatchNorm1d(5)) == 10


def test_frozen_parameters_count() -> None:
    assert parameter_count(nn.Linear(3, 2).requires_grad_(False)) == 8


def test_shared_parameters_count_once() -> None:
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert parameter_count(nn.Sequential(first, second)) == 16


def test_a_lazy_parameter_is_named() -> None:
    model = nn.Sequential(nn.Identity(), nn.LazyLinear(3))
    with pytest.raises(ParameterError, match=r"'1\.weight' has no shape"):
        parameter_count(model)
    model(torch.zeros(1, 7))
    assert parameter_count(model) == 24
