"""What all classic losses have in common, and what they refuse."""

import math
import re

import pytest
import torch

import gkd_classic
from gkd import View
from gkd.errors import ParameterError
from gkd_classic.attention_transfer import AttentionTransfer
from gkd_classic.fitnet import FitNet
from gkd_classic.kd import KD
from gkd_classic.nst import NST

LOSSES = {
    "kd": KD,
    "kd multi-label": lambda: KD(temperature=2.0, task="multi-label"),
    "fitnet": FitNet,
    "fitnet normalised": lambda: FitNet(normalise=True, reduction="mean", bias=False),
    "at": AttentionTransfer,
    "at p=1": lambda: AttentionTransfer(power=1),
    "at max": lambda: AttentionTransfer(pooling="max", power=3),
    "at distance": lambda: AttentionTransfer(squared=False),
    "nst linear": lambda: NST("linear"),
    "nst poly": NST,
    "nst poly offset": lambda: NST("poly", degree=3, offset=0.5),
    "nst gaussian": lambda: NST("gaussian", sigma=0.7),
    "nst gaussian mean": lambda: NST("gaussian"),
}
FEATURE_LOSSES = {name: loss for name, loss in LOSSES.items() if not name.startswith("kd")}
SAMPLE_LOSSES = {name: loss for name, loss in LOSSES.items() if name.startswith(("at", "nst"))}


def over(losses):
    return pytest.mark.parametrize("make", losses.values(), ids=losses.keys())


def views(student, teacher, batch=None):
    """Views whose logits are the features: every loss finds what it compares."""
    return View(student, student, batch=batch), View(teacher, teacher, batch=batch)


def problem(make, num_nodes=6, *, dtype=torch.float32, batch=None):
    """A built loss, the student's tensor and both views; widths differ where they may."""
    loss = make()
    torch.manual_seed(0)
    width = 4 if isinstance(loss, KD) else 5
    student = torch.randn(num_nodes, 4, dtype=dtype, requires_grad=True)
    teacher = torch.randn(num_nodes, width, dtype=dtype)
    student_view, teacher_view = views(student, teacher, batch)
    loss.build(student_view, teacher_view)
    return loss, student, student_view, teacher_view


def test_the_plugin_offers_its_losses():
    assert sorted(gkd_classic.gkd_losses()) == ["at", "fitnet", "kd", "nst"]


# σ² from the data is a constant to the gradient, but not to a finite difference.
@over({name: loss for name, loss in LOSSES.items() if name != "nst gaussian mean"})
def test_gradients_agree_with_finite_differences(make):
    loss, student, _, teacher = problem(
        make, dtype=torch.float64, batch=torch.tensor([0, 0, 1, 1, 1, 4])
    )

    def value(features):
        return loss(View(features, features, batch=teacher.batch), teacher)

    assert torch.autograd.gradcheck(value, student)


@over(LOSSES)
def test_no_gradient_reaches_the_teacher(make):
    loss, student, student_view, teacher_view = problem(make)
    teacher = teacher_view.features.requires_grad_()
    loss(student_view, teacher_view).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@over(LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_kept(make, dtype):
    loss, student, *pair = problem(make, dtype=dtype)
    value = loss(*pair)
    value.backward()
    assert value.shape == ()
    assert value.dtype == student.grad.dtype == dtype


@over(LOSSES)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [True, False])
def test_half_precision_features_give_the_single_precision_value(make, half, autocast):
    loss, _, *pair = problem(make)
    student = (1000 * pair[0].features.detach()).to(half).requires_grad_()
    teacher = (1000 * pair[1].features).to(half)
    exact = loss(*views(student.detach().float(), teacher.float()))
    with torch.autocast("cpu", half, enabled=autocast):
        value = loss(*views(student, teacher))
    value.backward()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, exact)
    assert student.grad.isfinite().all()


@over(LOSSES)
def test_no_nodes_give_zero_and_still_a_gradient(make):
    loss, *_ = problem(make)
    student = torch.zeros(0, 4, requires_grad=True)
    teacher = torch.zeros(0, 4 if isinstance(loss, KD) else 5)
    for batch in (None, torch.zeros(0, dtype=torch.int64)):
        value = loss(*views(student, teacher, batch))
        value.backward()
        assert value.item() == 0
    assert student.grad.shape == (0, 4)


@over(LOSSES)
@pytest.mark.parametrize("num_nodes", [1, 3])
@pytest.mark.parametrize("zero", ["student", "teacher", "both"])
def test_zero_features_have_finite_gradients(make, num_nodes, zero):
    loss, student, *pair = problem(make, num_nodes)
    with torch.no_grad():
        if zero != "teacher":
            student.zero_()
        if zero != "student":
            pair[1].features.zero_()
    value = loss(*pair)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


@over(LOSSES)
@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1e4])
def test_tiny_and_large_features_stay_finite(make, scale):
    loss, student, *pair = problem(make)
    with torch.no_grad():
        student.mul_(scale)
        pair[1].features.mul_(scale)
    value = loss(*pair)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


@over(SAMPLE_LOSSES)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scaling_all_features_changes_nothing(make, scale):
    loss, _, *pair = problem(make, dtype=torch.float32)
    scaled = views(pair[0].features * scale, pair[1].features / scale)
    torch.testing.assert_close(loss(*scaled), loss(*pair))


@over(SAMPLE_LOSSES)
def test_a_batch_vector_on_either_view_is_enough(make):
    batch = torch.tensor([0, 0, 1, 1, 1, 4])
    loss, _, student, teacher = problem(make, batch=batch)
    expected = loss(student, teacher)
    assert loss(View(features=student.features), teacher) == expected
    assert loss(student, View(features=teacher.features)) == expected
    assert loss(student, View(features=teacher.features, batch=batch.clone())) == expected
    assert loss(View(features=student.features), View(features=teacher.features)) != expected


@over(SAMPLE_LOSSES)
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.tensor([0, 1]), r"shape \[6\].*shape \[2\]"),
        (torch.zeros(6), "int64.*float32"),
        (torch.tensor([0, 0, 1, 1, 0, 0]), "ascending"),
    ],
)
def test_an_unusable_batch_vector_is_refused(make, batch, message):
    loss, _, student, teacher = problem(make)
    with pytest.raises(ParameterError, match=message):
        loss(View(features=student.features, batch=batch), teacher)


@over(SAMPLE_LOSSES)
def test_views_of_different_samples_are_refused(make):
    loss, _, student, teacher = problem(make)
    one, other = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]])
    with pytest.raises(ParameterError, match="student and teacher differ"):
        loss(
            View(features=student.features, batch=one), View(features=teacher.features, batch=other)
        )


@over(LOSSES)
def test_views_without_tensors_are_refused(make):
    loss, _, student, teacher = problem(make)
    for pair in ((View(), teacher), (student, View())):
        with pytest.raises(ParameterError, match=r"^(kd|fitnet|at|nst) compares (logits|features)"):
            loss(*pair)


@over(FEATURE_LOSSES)
def test_different_nodes_are_refused(make):
    loss, _, student, _ = problem(make)
    with pytest.raises(ParameterError, match=r"got 6 rows from the student and 7 from the teacher"):
        loss(student, View(features=torch.zeros(7, 5)))


@over(LOSSES)
@pytest.mark.parametrize(
    "tensor", [torch.zeros(6, 0), torch.zeros(6, 4).long(), torch.zeros(1, 6, 4)]
)
def test_anything_but_a_floating_point_matrix_is_refused(make, tensor):
    loss, _, student, teacher = problem(make)
    for pair in (views(tensor, teacher.features), views(student.features, tensor)):
        with pytest.raises(ParameterError, match=re.escape(str(list(tensor.shape)))):
            loss(*pair)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: KD(temperature=0.0),
            "KD: parameter 'temperature' must be finite float > 0, got 0.0",
        ),
        (lambda: KD(temperature=-1), "'temperature' must be finite float > 0, got -1"),
        (lambda: KD(temperature=math.nan), "'temperature' must be finite float > 0, got nan"),
        (lambda: KD(temperature=True), "'temperature' must be finite float > 0, got True"),
        (lambda: KD(temperature="4"), "'temperature' must be finite float > 0, got '4'"),
        (lambda: KD(task=None), "'task' must be str | Task, got None"),
        (
            lambda: FitNet(reduction="man"),
            "'reduction' must be 'sum' | 'mean', got 'man'; did you mean 'mean'",
        ),
        (lambda: FitNet(normalise=1), "'normalise' must be bool, got 1"),
        (lambda: FitNet(bias="no"), "'bias' must be bool, got 'no'"),
        (lambda: AttentionTransfer(power=0.5), "'power' must be finite float >= 1, got 0.5"),
        (lambda: AttentionTransfer(power=math.inf), "'power' must be finite float >= 1, got inf"),
        (lambda: AttentionTransfer(power=None), "'power' must be finite float >= 1, got None"),
        (
            lambda: AttentionTransfer(pooling="mean"),
            "'pooling' must be 'sum' | 'max', got 'mean'; available: max, sum",
        ),
        (lambda: AttentionTransfer(squared=0), "'squared' must be bool, got 0"),
        (lambda: NST("rbf"), "'kernel' must be 'linear' | 'poly' | 'gaussian', got 'rbf'"),
        (lambda: NST(["poly"]), "'kernel' must be 'linear' | 'poly' | 'gaussian', got ['poly']"),
        (lambda: NST("poly", degree=0), "'degree' must be int > 0 | None, got 0"),
        (lambda: NST("poly", degree=2.0), "'degree' must be int > 0 | None, got 2.0"),
        (lambda: NST("poly", offset=-0.1), "'offset' must be finite float >= 0 | None, got -0.1"),
        (
            lambda: NST("gaussian", sigma=0),
            "'sigma' must be finite float >= 0.01 | 'mean' | None, got 0",
        ),
        (
            lambda: NST("gaussian", sigma="median"),
            "'sigma' must be finite float >= 0.01 | 'mean' | None, got 'median'",
        ),
        (
            lambda: NST("poly", sigma=1.0),
            "sigma: the poly kernel has no such parameter, got 1.0; it takes degree, offset",
        ),
        (
            lambda: NST("linear", degree=2),
            "degree: the linear kernel has no such parameter, got 2; it takes none",
        ),
    ],
)
def test_a_wrong_hyper_parameter_is_named(make, message):
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in str(caught.value)


@over(LOSSES)
def test_a_loss_prints_its_hyper_parameters(make):
    assert re.search(r"\((\n  )?\w+=", repr(make()))
