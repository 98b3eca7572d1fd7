"""GSP against a float64 reference written as the formula reads, and its mistakes."""

import pytest
import torch
from gkd_global import GSP

from gkd import ParameterError, View


def reference(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Evaluate the formula over the whole matrix of pairs."""
    cosine = torch.nn.functional.cosine_similarity
    ours = cosine(student[:, None], student[None], dim=-1, eps=1e-12)
    theirs = cosine(teacher[:, None], teacher[None], dim=-1, eps=1e-12)
    return (ours - theirs).square().mean()


@pytest.mark.parametrize(("nodes", "widths"), [(1, (2, 3)), (9, (3, 5)), (40, (6, 2))])
def test_value_and_gradient_are_those_of_all_pairs(nodes, widths):
    generator = torch.Generator().manual_seed(nodes)
    ours, theirs = (
        torch.randn(nodes, width, generator=generator, dtype=torch.float64) for width in widths
    )
    ours.requires_grad_()
    value = GSP()(View(features=ours), View(features=theirs))
    expected = reference(ours, theirs)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v, ours)[0] for v in (value, expected)))


def test_it_is_zero_for_directions_alone():
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    scales = torch.rand(20, 1, generator=torch.Generator().manual_seed(1)) + 0.1
    value = GSP()(View(features=features * scales), View(features=features))
    assert 0 <= value.item() < 1e-12


def test_a_node_without_a_direction_has_no_cosine():
    student = View(features=torch.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True))
    value = GSP()(student, View(features=torch.ones(2, 1)))
    value.backward()
    assert value.item() == pytest.approx((1 + 1 + 1) / 4)
    assert student.features.grad.isfinite().all()


def test_no_nodes_are_no_difference():
    nothing = View(features=torch.zeros(0, 3))
    assert GSP()(nothing, nothing).item() == 0


def test_different_nodes_are_refused():
    with pytest.raises(ParameterError, match="2 rows from the student and 3"):
        GSP()(View(features=torch.ones(2, 1)), View(features=torch.ones(3, 1)))
