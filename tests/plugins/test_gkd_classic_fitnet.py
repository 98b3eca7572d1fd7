"""FitNet against plain formulas, and its learned regressor."""

import pytest
import torch

from gkd import View
from gkd.errors import ParameterError
from gkd_classic.fitnet import FitNet

NUM_NODES, NARROW, WIDE = 4, 2, 3


@pytest.fixture
def views():
    torch.manual_seed(0)
    student = torch.randn(NUM_NODES, NARROW, dtype=torch.float64)
    teacher = torch.randn(NUM_NODES, WIDE, dtype=torch.float64)
    return View(features=student), View(features=teacher)


def built(views, **parameters):
    loss = FitNet(**parameters)
    loss.build(*views)
    return loss


def unit(vector):
    length = sum(value**2 for value in vector) ** 0.5
    return [value / length for value in vector]


def squared_distances(loss, views, direction_only):
    weight = loss.regressor.weight.tolist()
    bias = loss.regressor.bias.tolist() if loss.regressor.bias is not None else [0.0] * WIDE
    for ours, theirs in zip(*(view.features.tolist() for view in views), strict=True):
        mapped = [
            sum(w * z for w, z in zip(row, ours, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]
        if direction_only:
            mapped, theirs = unit(mapped), unit(theirs)
        yield sum((m - t) ** 2 for m, t in zip(mapped, theirs, strict=True))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 2), ("mean", WIDE)])
def test_the_value_is_the_mean_distance_to_the_mapped_features(
    views, bias, normalise, reduction, divisor
):
    loss = built(views, reduction=reduction, normalise=normalise, bias=bias)
    expected = sum(squared_distances(loss, views, normalise)) / (divisor * NUM_NODES)
    assert loss(*views).item() == pytest.approx(expected, rel=1e-10)


def test_the_mean_reduction_is_the_mean_squared_error(views):
    loss = built(views, reduction="mean")
    mapped = loss.regressor(views[0].features)
    expected = torch.nn.functional.mse_loss(mapped, views[1].features)
    torch.testing.assert_close(loss(*views), expected)


def test_the_regressor_exists_only_after_build(views):
    loss = FitNet()
    assert list(loss.parameters()) == []
    with pytest.raises(ParameterError, match="regressor does not exist yet; call build"):
        loss(*views)
    loss.build(*views)
    assert [tuple(parameter.shape) for parameter in loss.parameters()] == [(3, 2), (3,)]
    assert [tuple(parameter.shape) for parameter in built(views, bias=False).parameters()] == [
        (3, 2)
    ]


def test_building_again_keeps_what_was_learned(views):
    loss = built(views)
    before = loss.regressor
    loss.build(*views)
    assert loss.regressor is before


def test_equal_widths_have_a_regressor_too(views):
    loss = built((views[0], views[0]))
    assert loss(views[0], views[0]) > 0


def test_student_and_regressor_learn_together(views):
    student = views[0].features.clone().requires_grad_()
    loss = built(views)
    optimiser = torch.optim.Adam([student, *loss.parameters()], lr=0.05)
    before = loss(View(features=student), views[1]).item()
    for _ in range(200):
        optimiser.zero_grad()
        loss(View(features=student), views[1]).backward()
        optimiser.step()
    assert loss(View(features=student), views[1]).item() < before / 100


def test_features_of_another_width_are_refused(views):
    loss = built(views)
    with pytest.raises(ParameterError, match=r"maps width 2 to 3, got .* 3 from .* 2 from"):
        loss(views[1], views[0])


def test_a_regressor_in_half_precision_works(views):
    loss = built(views).to(torch.bfloat16)
    student = views[0].features.to(torch.bfloat16).requires_grad_()
    loss(View(features=student), View(features=views[1].features.to(torch.bfloat16))).backward()
    assert loss.regressor.weight.grad.isfinite().all()
    assert student.grad.isfinite().all()


def test_a_checkpoint_restores_a_built_regressor(views):
    trained, fresh = built(views), built(views)
    fresh.load_state_dict(trained.state_dict())
    assert fresh(*views) == trained(*views)


def test_a_row_that_is_mapped_to_zero_gets_no_exploding_gradient(views):
    student = View(features=torch.zeros(NUM_NODES, NARROW, dtype=torch.float64, requires_grad=True))
    loss = built((student, views[1]), normalise=True, bias=False)
    loss(student, views[1]).backward()
    assert student.features.grad.abs().max() < 10
    assert loss.regressor.weight.grad.abs().max() < 10
