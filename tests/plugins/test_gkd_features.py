"""Losses that map features by learned modules, against plain loops."""

import math

import pytest
import torch

from gkd import View
from gkd.errors import ParameterError
from gkd_features.ab import AB
from gkd_features.ft import FT
from gkd_features.vid import VID

NODES, NARROW, WIDE = 5, 3, 4
LOSSES = {"ab": AB, "ft": FT, "vid": VID}
all_of_them = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@pytest.fixture
def views():
    torch.manual_seed(0)
    sides = [torch.randn(NODES, width, dtype=torch.float64) for width in (NARROW, WIDE)]
    return tuple(View(features=side) for side in sides)


def built(loss, views):
    loss.build(*views)
    return loss


def linear(module, row):
    rows = module.weight.tolist()
    bias = [0.0] * len(rows) if module.bias is None else module.bias.tolist()
    return [
        sum(w * z for w, z in zip(weights, row, strict=True)) + b
        for weights, b in zip(rows, bias, strict=True)
    ]


def through(layers, row, slope):
    """Row behind linear layers, each but perhaps the last followed by a (leaky) ReLU."""
    for layer in layers:
        if isinstance(layer, torch.nn.Linear):
            row = linear(layer, row)
        else:
            row = [z if z > 0 else slope * z for z in row]
    return row


def rows_of(views):
    return list(zip(*(view.features.tolist() for view in views), strict=True))


def test_vid_is_the_likelihood_of_a_normal_distribution(views):
    loss = built(VID(variance=2.0), views)
    loss.maps["variance"].raw.data = torch.linspace(-2, 3, WIDE, dtype=torch.float64)
    variances = [math.log1p(math.exp(raw)) + 1e-5 for raw in torch.linspace(-2, 3, WIDE).tolist()]
    expected = []
    for ours, theirs in rows_of(views):
        mean = through(loss.maps["mean"], ours, 0.0)
        expected.append(
            sum(
                ((t - m) ** 2 / v + math.log(v)) / 2
                for t, m, v in zip(theirs, mean, variances, strict=True)
            )
            / WIDE
        )
    assert loss(*views).item() == pytest.approx(sum(expected) / NODES, rel=1e-7)
    loss.per_row = True
    assert loss(*views).tolist() == pytest.approx(expected, rel=1e-7)


def test_variances_of_vid_begin_as_asked(views):
    loss = built(VID(variance=0.3), views)
    assert loss.maps["variance"]().tolist() == pytest.approx([0.3] * WIDE)
    with pytest.raises(ParameterError, match="'variance' must be"):
        VID(variance=0.0)


def unit(row):
    length = math.sqrt(sum(z * z for z in row))
    return [z / length for z in row]


@pytest.mark.parametrize(("variant", "power"), [("paper", 2), ("official-code", 1)])
@pytest.mark.parametrize(("rate", "factors"), [(0.5, 2), (0.1, 1), (1.5, 6)])
def test_ft_is_the_distance_of_unit_factors_and_of_what_is_rebuilt(
    views, rate, factors, variant, power
):
    loss = built(FT(rate=rate, variant=variant), views)
    expected = 0.0
    for ours, theirs in rows_of(views):
        given = through(loss.maps["translator"], ours, 0.1)
        aim = through(loss.maps["paraphraser"], theirs, 0.1)
        assert len(given) == len(aim) == factors
        rebuilt = through(loss.maps["decoder"], aim, 0.1)
        pairs = zip(unit(given), unit(aim), strict=True)
        expected += sum(abs(a - b) for a, b in pairs) / factors
        expected += sum(abs(a - b) ** power for a, b in zip(rebuilt, theirs, strict=True)) / WIDE
    assert loss(*views).item() == pytest.approx(expected / NODES, rel=1e-10)


def test_the_paraphraser_of_ft_learns_from_the_teacher_alone(views):
    loss = built(FT(), views)
    gradients = []
    for scale in (1.0, -3.0):  # other students
        loss.zero_grad()
        loss(View(features=scale * views[0].features), views[1]).backward()
        gradients.append([p.grad.clone() for p in loss.maps["paraphraser"].parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)
        assert one.any()


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_ab_is_a_hinge_about_the_sign_of_the_teacher(views, margin):
    views[1].features[0, 0] = 0  # is not active
    loss = built(AB(margin=margin), views)
    mapped = [linear(loss.maps["connector"][0], row) for row in views[0].features.tolist()]
    columns = []
    for column in zip(*mapped, strict=True):
        mean = sum(column) / NODES
        variance = sum((z - mean) ** 2 for z in column) / NODES
        columns.append([(z - mean) / math.sqrt(variance + 1e-5) for z in column])
    expected = 0.0
    for channel, column in enumerate(columns):
        for node, z in enumerate(column):
            active = views[1].features[node, channel].item() > 0
            expected += max(0.0, margin - z if active else margin + z) ** 2
    assert loss(*views).item() == pytest.approx(expected / NODES, rel=1e-8)
    loss.per_row = True
    assert loss(*views).mean().item() == pytest.approx(expected / NODES, rel=1e-8)


def test_ab_of_one_node_has_nothing_to_normalise():
    one = (View(features=torch.ones(1, NARROW)), View(features=torch.ones(1, WIDE)))
    loss = built(AB(), one)
    assert loss(*one) == 0
    loss.per_row = True
    assert loss(*one).tolist() == [0.0]


@all_of_them
def test_the_maps_exist_only_after_build_and_stay(loss, views):
    name, loss = loss.name, loss()
    with pytest.raises(ParameterError, match=f"{name}: the maps do not exist yet; call build"):
        loss(*views)
    loss.build(*views)
    maps = loss.maps
    loss.build(*views)
    assert loss.maps is maps


@all_of_them
def test_features_of_other_widths_are_refused(loss, views):
    loss = built(loss(), views)
    message = rf"{loss.name}: built for features of widths 3 and 4, got 4 from .* 3 from the teach"
    with pytest.raises(ParameterError, match=message):
        loss(views[1], views[0])
    with pytest.raises(ParameterError, match=rf"{loss.name}: expected features of the same nodes"):
        loss(views[0], View(features=views[1].features[1:]))
    with pytest.raises(ParameterError, match=f"{loss.name} compares features, but a view without"):
        loss(View(), views[1])


@all_of_them
def test_student_and_maps_learn_together(loss, views):
    student = views[0].features.clone().requires_grad_()
    loss = built(loss(), views)
    optimiser = torch.optim.Adam([student, *loss.parameters()], lr=0.03)
    before = loss(View(features=student), views[1]).item()
    for _ in range(100):
        optimiser.zero_grad()
        loss(View(features=student), views[1]).backward()
        optimiser.step()
    assert loss(View(features=student), views[1]).item() < 0.9 * before


@all_of_them
def test_no_nodes_are_zero(loss, views):
    loss = built(loss(), views)
    student = torch.zeros(0, NARROW, dtype=torch.float64, requires_grad=True)
    value = loss(View(features=student), View(features=torch.zeros(0, WIDE).double()))
    value.backward()
    assert value == 0
