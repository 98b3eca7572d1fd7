"""FSP and ReviewKD against plain loops, and against what public code gave on images."""

from dataclasses import replace

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of
from torch import nn

import gkd
from gkd import Graph, View
from gkd.errors import ParameterError
from gkd_layers.fsp import FSP
from gkd_layers.reviewkd import ReviewKD

SAMPLES = torch.tensor([0, 0, 0, 1, 1, 2])
EDGES = torch.tensor([[0, 1, 2, 3, 4, 1], [1, 2, 0, 4, 3, 0]])


def image_layer(channels: int, slope: float, start: float) -> torch.Tensor:
    """Features of three images of 2 × 2 pixels, a row for each pixel."""
    image = (torch.arange(12 * channels, dtype=torch.float64) * slope + start).sin()
    return image.reshape(3, channels, 4).transpose(1, 2).reshape(12, channels)


def image_views(teacher_widths):
    batch = torch.arange(3).repeat_interleave(4)
    student = image_layer(2, 1.3, 0.1), image_layer(4, 0.7, 0.2), image_layer(3, 2.1, 0.3)
    starts = (0.9, 1.1), (1.9, 0.4), (0.37, 2.0)
    teacher = tuple(image_layer(w, *s) for w, s in zip(teacher_widths, starts, strict=True))
    return tuple(View(features=z[-1], layers=z, batch=batch) for z in (student, teacher))


def random_view(*widths, seed=0, requires_grad=False):
    random = torch.Generator().manual_seed(seed)
    layers = tuple(
        torch.randn(6, width, generator=random, dtype=torch.float64).requires_grad_(requires_grad)
        for width in widths
    )
    return View(features=layers[-1], layers=layers, batch=SAMPLES, graph=Graph(EDGES, 6))


def weights(rows: int, columns: int, slope: float) -> torch.Tensor:
    return (
        (torch.arange(rows * columns, dtype=torch.float64) * slope + 0.5)
        .cos()
        .reshape(rows, columns)
    )


class TestFSP:
    def test_recorded_value_of_public_code(self):
        student, teacher = image_views((2, 4, 3))
        value = FSP(reduction="mean")(student, teacher)
        assert value.item() == pytest.approx(0.13751599308722195, rel=1e-6)

    @pytest.mark.parametrize("reduction", ["sum", "mean"])
    def test_is_what_its_formula_says(self, reduction):
        student, teacher = random_view(2, 3, 4), random_view(2, 3, 4, seed=1)
        expected = 0.0
        for sample in range(3):
            rows = [row for row in range(6) if SAMPLES[row] == sample]
            for layer, (width, following) in enumerate([(2, 3), (3, 4)]):
                for i in range(width):
                    for j in range(following):
                        ours, theirs = (
                            sum(z[r, i] * following_z[r, j] for r in rows) / len(rows)
                            for z, following_z in (
                                view.layers[layer : layer + 2] for view in (student, teacher)
                            )
                        )
                        count = width * following if reduction == "mean" else 1
                        expected += float(ours - theirs) ** 2 / (3 * count)
        value = FSP(reduction=reduction)(student, teacher).item()
        assert value == pytest.approx(expected, rel=1e-10)

    def test_the_gradient_is_the_slope(self):
        student, teacher = random_view(2, 3), random_view(2, 3, seed=1)

        def value(*layers):
            return FSP()(replace(student, features=layers[-1], layers=layers), teacher)

        assert torch.autograd.gradcheck(value, [z.requires_grad_() for z in student.layers])

    def test_widths_and_layers_must_agree(self):
        student = random_view(2, 3)
        with pytest.raises(ParameterError, match=r"equal widths, got \[2, 3\] .* and \[2, 4\]"):
            FSP()(student, random_view(2, 4))
        with pytest.raises(ParameterError, match="the student has 2 layers and the teacher 3"):
            FSP()(student, random_view(2, 3, 4))
        with pytest.raises(ParameterError, match="fsp compares several layers"):
            FSP()(replace(student, layers=()), student)
        shorter = replace(student, layers=(student.layers[0][:3], student.layers[1]))
        with pytest.raises(ParameterError, match=r"got rows \[3, 6\]"):
            FSP()(shorter, shorter)


class TestReviewKD:
    def test_recorded_value_of_public_code(self):
        student, teacher = image_views((5, 2, 6))
        loss = ReviewKD(hops=0, width=3)
        loss.build(student, teacher)
        with torch.no_grad():
            for number, stage in enumerate(loss.stages):
                stage.enter.weight.copy_(weights(*stage.enter.weight.shape, 0.3 + number))
                stage.leave.weight.copy_(weights(*stage.leave.weight.shape, 0.6 + number))
                if stage.attention is not None:
                    stage.attention.weight.copy_(weights(2, 6, 0.9 + number))
                    stage.attention.bias.copy_(torch.tensor([0.1, -0.2]))
        value = loss(student, teacher)
        assert value.item() == pytest.approx(3.1883456054893253, rel=1e-6)

    @pytest.mark.parametrize("hops", [0, 1, 2])
    def test_is_what_its_formula_says(self, hops):
        student, teacher = random_view(2, 4), random_view(3, 5, seed=1)
        torch.manual_seed(0)
        loss = ReviewKD(hops=hops)
        loss.build(student, teacher)

        def normal(z):
            z = z - z.mean(0)
            return z / (z.square().mean(0) + 1e-5).sqrt()

        first, last = loss.stages
        fused = normal(student.layers[1] @ last.enter.weight.T)
        results = [None, normal(fused @ last.leave.weight.T)]
        x = normal(student.layers[0] @ first.enter.weight.T)
        both = torch.cat([x, fused], 1) @ first.attention.weight.T + first.attention.bias
        fused = both.sigmoid()[:, :1] * x + both.sigmoid()[:, 1:] * fused
        results[0] = normal(fused @ first.leave.weight.T)

        pool = torch.eye(6, dtype=torch.float64)
        pool[EDGES[1], EDGES[0]] = 1
        pool /= pool.sum(1, keepdim=True)
        expected = 0.0
        for result, target in zip(results, teacher.layers, strict=True):
            gap, scales = result - target, []
            scales.append(gap.square().mean())
            by_sample = torch.stack([gap[sample == SAMPLES].mean(0) for sample in range(3)])
            for _ in range(hops):
                gap = pool @ gap
                scales.append(gap.square().mean())
            scales.append(by_sample.square().mean())
            halves = [0.5**k for k in range(len(scales))]
            total = sum(h * s for h, s in zip(halves, scales, strict=True))
            expected += total.item() / sum(halves)
        assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-9)

    def test_the_gradient_is_the_slope(self):
        student, teacher = random_view(2, 3), random_view(4, 5, seed=1)
        torch.manual_seed(0)
        loss = ReviewKD()
        loss.build(student, teacher)

        def value(*layers):
            return loss(replace(student, features=layers[-1], layers=layers), teacher)

        leaves = [z.detach().requires_grad_() for z in student.layers]
        assert torch.autograd.gradcheck(value, leaves)
        value(*leaves).backward()
        assert all(parameter.grad.isfinite().all() for parameter in loss.parameters())

    def test_building_twice_keeps_what_was_learned(self):
        student, teacher = random_view(2, 3), random_view(4, 5)
        loss = ReviewKD()
        loss.build(student, teacher)
        stages = loss.stages
        loss.build(student, teacher)
        assert loss.stages is stages

    def test_a_single_node_has_no_statistics(self):
        student, teacher = random_view(2, 3, requires_grad=True), random_view(4, 5)
        loss = ReviewKD()
        loss.build(student, teacher)
        value = loss(student.rows(torch.tensor([2])), teacher.rows(torch.tensor([2])))
        value.backward()
        assert value.item() == 0

    def test_what_does_not_fit_is_said(self):
        student, teacher = random_view(2, 3), random_view(4, 5)
        with pytest.raises(ParameterError, match=r"maps do not exist yet; call build"):
            ReviewKD()(student, teacher)
        loss = ReviewKD()
        loss.build(student, teacher)
        with pytest.raises(
            ParameterError, match=r"built for .*\(2, 4\), \(3, 5\).*\(2, 4\), \(3, 6"
        ):
            loss(student, random_view(4, 6))
        with pytest.raises(ParameterError, match="reviewkd compares edges"):
            loss(replace(student, graph=None), teacher)
        with pytest.raises(ParameterError, match="reviewkd compares several layers"):
            loss(replace(student, layers=()), teacher)
        with pytest.raises(ParameterError, match="'hops' must be"):
            ReviewKD(hops=-1)


@pytest.mark.parametrize(("name", "width"), [("fsp", 4), ("reviewkd", 7)])
def test_through_a_distiller(name, width):
    batch, teacher, student = batch_of(), Network(width), Network()
    taps = ["layers.0", "norm"]
    distiller = distiller_of(teacher, student, gkd.Term(name, student=taps, teacher=taps))
    report = distiller.prepare(batch)(batch)
    assert report.terms[name] > 0
    report.total.backward()
    assert student.layers[0].weight.grad.abs().sum() > 0
    learned = [p for n, p in distiller.named_parameters() if n.startswith("losses.")]
    assert len(learned) == (0 if name == "fsp" else 14)
    assert all(parameter.grad is not None for parameter in learned)
    one = distiller_of(Network(width), Network(), gkd.Term(name, student="norm", teacher="norm"))
    with pytest.raises(ParameterError, match=r"term '\w+': \w+ compares several layers"):
        one.prepare(batch)(batch)


def test_a_student_of_single_precision_with_a_teacher_of_double():
    student, teacher = random_view(2, 3), random_view(4, 5)
    loss = ReviewKD()
    half = replace(
        student, features=student.features.half(), layers=tuple(z.half() for z in student.layers)
    )
    loss.build(half, teacher)
    assert isinstance(loss.stages[0].enter, nn.Linear)
    assert loss(half, teacher).isfinite()
