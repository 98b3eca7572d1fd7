"""Segment reductions against loops over the segments."""

import itertools

import pytest
import torch
from torch import Tensor

from gkd.functional.segments import (
    segment_log_softmax,
    segment_max,
    segment_softmax,
    segment_sum,
    spread,
)

POINTERS = [[0, 3, 3, 4, 9], [0, 0], [0], [0, 5], [0, 0, 0, 2, 2]]
SHAPES = [(), (3,)]
REFERENCES = {
    segment_sum: lambda v: v.sum(0),
    segment_max: lambda v: v.amax(0) if len(v) else v.new_full(v.shape[1:], -torch.inf),
}


def values_of(pointer: list[int], shape: tuple[int, ...], dtype=torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(len(pointer))
    return torch.randn(pointer[-1], *shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("pointer", POINTERS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("function", REFERENCES, ids=lambda f: f.__name__)
def test_reductions_equal_a_loop(pointer, shape, function):
    values = values_of(pointer, shape)
    segments = [values[a:b] for a, b in itertools.pairwise(pointer)]
    expected = [REFERENCES[function](segment) for segment in segments]
    result = function(values, torch.tensor(pointer))
    assert result.shape == (len(pointer) - 1, *shape)
    if expected:
        torch.testing.assert_close(result, torch.stack(expected))


@pytest.mark.parametrize("pointer", POINTERS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_log_softmax_equals_torch_on_each_segment(pointer, shape):
    values = 100 * values_of(pointer, shape)
    result = segment_log_softmax(values, torch.tensor(pointer))
    for a, b in itertools.pairwise(pointer):
        torch.testing.assert_close(result[a:b], values[a:b].log_softmax(0))
        torch.testing.assert_close(
            segment_softmax(values, torch.tensor(pointer))[a:b], values[a:b].softmax(0)
        )


def test_log_softmax_keeps_what_the_softmax_underflows():
    result = segment_log_softmax(torch.tensor([0.0, -1e4]), torch.tensor([0, 2]))
    assert result.tolist() == [0.0, -1e4]


@pytest.mark.parametrize(
    "function", [segment_sum, segment_max, segment_softmax, segment_log_softmax]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients(function, shape):
    pointer = torch.tensor([0, 3, 4, 9])
    values = values_of(pointer.tolist(), shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: function(v, pointer), (values,))


def test_gradients_flow_past_empty_segments():
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    segment_log_softmax(values, torch.tensor([0, 0, 2, 2]))[0].backward()
    torch.testing.assert_close(values.grad, torch.tensor([0.7311, -0.7311]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_spread_repeats_each_segments_value(shape):
    per_segment = values_of([0, 4], shape).requires_grad_()
    pointer = torch.tensor([0, 3, 3, 4, 9])
    result = spread(per_segment, pointer, 9)
    assert torch.equal(result, per_segment[[0, 0, 0, 2, 3, 3, 3, 3, 3]])
    assert torch.autograd.gradcheck(lambda v: spread(v, pointer, 9), (per_segment,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtype_is_kept(dtype):
    values = values_of([0, 9], (), dtype)
    for function in (segment_sum, segment_max, segment_softmax, segment_log_softmax):
        assert function(values, torch.tensor([0, 4, 9])).dtype == dtype
