"""Pooling of clouds against a loop over them."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gkd_dgcnn.dgcnn import cloud_pool


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 1000))
def test_values_and_gradients_equal_a_loop(sizes, seed):
    torch.manual_seed(seed)
    bounds = torch.tensor([0, *sizes]).cumsum(0).tolist()
    x = torch.randn(sum(sizes), 4, dtype=torch.float64, requires_grad=True)
    result = cloud_pool(x, bounds)
    expected = torch.stack(
        [torch.cat([x[a:b].max(0).values, x[a:b].mean(0)]) for a, b in pairwise(bounds)]
    )
    torch.testing.assert_close(result, expected)
    assert torch.equal(cloud_pool(x.detach(), bounds), result)
    cotangent = torch.randn_like(result)
    torch.testing.assert_close(
        torch.autograd.grad(result, x, cotangent), torch.autograd.grad(expected, x, cotangent)
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_dtype_is_kept(dtype):
    x = torch.randn(6, 4, dtype=dtype, requires_grad=True)
    result = cloud_pool(x, [0, 2, 6])
    assert result.dtype == dtype
    result.sum().backward()
    assert x.grad.dtype == dtype
