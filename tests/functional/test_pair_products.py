"""Inner products of any pairs of rows."""

import pytest
import torch

from gkd.functional.pair_products import pair_dots


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_and_gradients_of_gathered_rows(dtype):
    random = torch.Generator().manual_seed(0)
    features = torch.randn(7, 3, generator=random, dtype=dtype).requires_grad_()
    rows = torch.tensor([3, 3, 0, 6])
    others = torch.randint(7, (4, 9), generator=random)
    result = pair_dots(features, rows, others)
    expected = (features[rows][:, None] * features[others]).sum(2)
    torch.testing.assert_close(result, expected)
    weights = torch.randn(4, 9, generator=random, dtype=dtype)
    ours, theirs = (
        torch.autograd.grad((weights * value).sum(), features)[0] for value in (result, expected)
    )
    torch.testing.assert_close(ours, theirs)


def test_no_pairs():
    none = torch.zeros(0, dtype=torch.int64)
    assert pair_dots(torch.ones(2, 3), none, none.view(0, 4)).shape == (0, 4)
