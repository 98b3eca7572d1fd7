"""Divergences of local structures: values, range, precision, gradients, blocks."""

import pytest
import torch
from torch import Tensor

from gkd.functional import row_blocks as blocks
from gkd.functional.divergences import structure_divergence
from gkd.functional.row_blocks import row_blocks

FIRST = pytest.mark.parametrize("first", ["logits", "other"])
POINTER = torch.tensor([0, 4, 4, 7])


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p.log() - q.log())).sum()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_divergence_by_hand():
    p, q = torch.tensor([0.75, 0.25, 1.0]), torch.tensor([0.5, 0.5, 1.0])
    pointer = torch.tensor([0, 2, 2, 3])
    expected = [0.13081203594113694, 0.0, 0.0]
    forwards = structure_divergence(p.log(), q.log(), pointer)
    assert forwards.tolist() == pytest.approx(expected, rel=1e-6)
    backwards = structure_divergence(q.log(), p.log(), pointer, first="other")
    assert backwards.tolist() == pytest.approx(expected, rel=1e-6)


@FIRST
def test_only_differences_of_logits_matter(first):
    logits, other = 3 * normal(7), normal(7).log_softmax(0)
    moved = logits + torch.tensor([5.0] * 4 + [-7.0] * 3)
    torch.testing.assert_close(
        structure_divergence(moved, other, POINTER, first),
        structure_divergence(logits, other, POINTER, first),
    )


@FIRST
def test_structures_that_are_worlds_apart(first):
    logits, other = torch.tensor([0.0, -200.0]), torch.tensor([-200.0, 0.0])
    pointer = torch.tensor([0, 2])
    leaf = logits.requires_grad_()
    value = structure_divergence(leaf, other, pointer, first)
    assert value.item() == pytest.approx(200)
    value.sum().backward()
    assert leaf.grad.isfinite().all()


@FIRST
def test_nearly_equal_structures_keep_a_small_divergence_exact(first):
    p = torch.tensor([0.5, 0.5], dtype=torch.float64)
    q = p + torch.tensor([1e-4, -1e-4], dtype=torch.float64)
    exact = kl(p, q) if first == "logits" else kl(q, p)
    logits, other = p.log().float(), q.log().float()
    result = structure_divergence(logits, other, torch.tensor([0, 2]), first)
    assert result.item() == pytest.approx(exact.item(), rel=2e-3)
    # The same beside a node whose structures differ much.
    logits = torch.cat([logits, torch.tensor([0.01, 0.99]).log()])
    other = torch.cat([other, torch.tensor([0.99, 0.01]).log()])
    beside = structure_divergence(logits, other, torch.tensor([0, 2, 4]), first)
    assert beside[0].item() == pytest.approx(exact.item(), rel=2e-3)


@FIRST
@pytest.mark.parametrize("block", [2, 2**18])
def test_gradients(first, block, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", block)
    logits = (3 * normal(7)).requires_grad_()
    other = torch.cat([part.log_softmax(0) for part in normal(7, seed=1).split([4, 3])])
    assert torch.autograd.gradcheck(
        lambda logits: structure_divergence(logits, other, POINTER, first), (logits,)
    )
    # Of a sum, all entries of the gradient are one number.
    (summed,) = torch.autograd.grad(
        structure_divergence(logits, other, POINTER, first).sum(), logits
    )
    (spelled,) = torch.autograd.grad(
        structure_divergence(logits, other, POINTER, first) @ torch.ones(3).double(), logits
    )
    torch.testing.assert_close(summed, spelled)


def test_the_other_structure_gets_no_gradient_and_precision_is_the_higher_one():
    logits, other = torch.zeros(7, requires_grad=True), normal(7).requires_grad_()
    value = structure_divergence(logits, other, POINTER)
    assert value.dtype == torch.float64
    value.sum().backward()
    assert other.grad is None
    assert logits.grad.dtype == torch.float32


def test_nan_stays_nan():
    logits = torch.tensor([0.0, torch.nan, 0.0, 0.0, 0.0, 0.0, 0.0])
    result = structure_divergence(logits, torch.zeros(7), POINTER)
    assert result.isnan().tolist() == [True, False, False]


@pytest.mark.parametrize("degrees", [[3, 0, 1, 5, 0, 0, 2], [9], [0, 0], [0], [1] * 11, [0, 7, 0]])
@pytest.mark.parametrize("block", [1, 2, 4, 100])
def test_blocks_of_rows_cover_all_rows_and_values_once(degrees, block, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", block)
    pointer = torch.tensor([0, *degrees]).cumsum(0)
    total = sum(degrees)
    rows, values = [], []
    for part in row_blocks(pointer, total):
        rows += range(len(degrees))[part.rows]
        values += range(total)[part.values]
        lengths = part.row_pointer.diff().tolist()
        assert lengths == degrees[part.rows]
        assert part.row_pointer[0] == 0
        longest = max(lengths, default=0)
        assert sum(lengths) < block + max(longest, 1) or len(lengths) == 1
    assert rows == list(range(len(degrees)))
    assert values == list(range(total))
