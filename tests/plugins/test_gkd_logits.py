"""DKD and WSLD against plain loops, and against what their authors' code gave."""

import math

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of
from hypothesis import given
from hypothesis import strategies as st

import gkd
from gkd import Step, View
from gkd.errors import ParameterError
from gkd_logits.dkd import DKD
from gkd_logits.wsld import WSLD

LOSSES = {"dkd": DKD, "wsld": WSLD}
both = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def softmax(row):
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


def divergence(teacher, student):
    return sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True) if t > 0)


def dkd_by_hand(student, teacher, label, alpha, beta, temperature):
    student, teacher = ([z / temperature for z in row] for row in (student, teacher))
    ours, theirs = softmax(student), softmax(teacher)
    about = divergence(*([p[label], 1 - p[label]] for p in (theirs, ours)))
    others = [[z for c, z in enumerate(row) if c != label] for row in (teacher, student)]
    return temperature**2 * (alpha * about + beta * divergence(*map(softmax, others)))


def wsld_by_hand(student, teacher, label, temperature):
    errors = [-math.log(softmax(row)[label]) for row in (student, teacher)]
    weight = 1 - math.exp(-errors[0] / (errors[1] + 1e-7))
    soft, ours = (softmax([z / temperature for z in row]) for row in (teacher, student))
    entropy = -sum(p * math.log(q) for p, q in zip(soft, ours, strict=True))
    return temperature**2 * weight * entropy


def recorded():
    places = torch.arange(20, dtype=torch.float64).reshape(5, 4)
    # Of float32, as where the code of the authors ran, the inputs; the rest in float64.
    student = (places * 1.7).float().sin().double() * 3
    teacher = (places * 0.9 + 1).float().cos().double() * 4
    return student, teacher, torch.tensor([0, 3, 1, 1, 2])


def value(loss, student, teacher, labels, **step):
    view = View(logits=student)
    return loss(view, View(logits=teacher), step=Step.of(view, labels=labels, **step))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (DKD(), 26.191295528841938),
        (DKD(alpha=0.5, beta=2.0, temperature=1.5), 4.561244338370397),
        (WSLD(), 5.6920367028248275),
        (WSLD(temperature=1.0), 2.207805907768193),
    ],
)
def test_recorded_values_of_the_authors_code(loss, expected):
    assert value(loss, *recorded()).item() == pytest.approx(expected, rel=1e-6)


@st.composite
def problems(draw):
    rows, classes = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0]))
    student, teacher = (
        scale * torch.randn(rows, classes, generator=random, dtype=torch.float64) for _ in range(2)
    )
    return student, teacher, torch.randint(classes, (rows,), generator=random)


@given(problem=problems(), alpha=st.floats(0, 3), beta=st.floats(0, 9), heat=st.floats(0.5, 9))
def test_dkd_is_what_its_formula_says(problem, alpha, beta, heat):
    rows = zip(*(tensor.tolist() for tensor in problem), strict=True)
    expected = [dkd_by_hand(*row, alpha, beta, heat) for row in rows]
    per_row = value(DKD(alpha, beta, heat, per_row=True), *problem)
    assert per_row.tolist() == pytest.approx(expected, rel=1e-8, abs=1e-10)
    mean = value(DKD(alpha, beta, heat), *problem).item()
    assert mean == pytest.approx(sum(expected) / len(expected), rel=1e-8, abs=1e-10)


@given(problem=problems(), heat=st.floats(0.5, 9))
def test_wsld_is_what_its_formula_says(problem, heat):
    rows = zip(*(tensor.tolist() for tensor in problem), strict=True)
    expected = [wsld_by_hand(*row, heat) for row in rows]
    per_row = value(WSLD(heat, per_row=True), *problem)
    assert per_row.tolist() == pytest.approx(expected, rel=1e-8)
    mean = value(WSLD(heat), *problem).item()
    assert mean == pytest.approx(sum(expected) / len(expected), rel=1e-8)


@given(problem=problems())
def test_kd_is_dkd_with_the_teachers_doubt_as_beta(problem):
    student, teacher, labels = (tensor[:1] for tensor in problem)
    doubt = 1 - teacher.softmax(1)[0, labels[0]].item()
    kd = gkd.create("loss", "kd", temperature=1.0)(View(logits=student), View(logits=teacher))
    dkd = value(DKD(1.0, doubt, 1.0), student, teacher, labels)
    assert dkd.item() == pytest.approx(kd.item(), rel=1e-6, abs=1e-9)


def test_near_the_teacher_dkd_keeps_the_digits_of_its_gradient():
    student, teacher, labels = recorded()
    teacher = teacher.float()
    student = (teacher + 1e-3 * student.float() / student.abs().max()).requires_grad_()
    double = student.detach().double().requires_grad_()
    for ours, theirs in ((student, teacher), (double, teacher.double())):
        value(DKD(), ours, theirs, labels).backward()
    assert (student.grad - double.grad).norm() / double.grad.norm() < 1e-4


@both
def test_the_gradient_is_the_slope(loss):
    student, teacher, labels = recorded()
    student = student[:3].requires_grad_()
    weights = None
    if loss is WSLD:  # no gradient flows through the weights
        errors = [
            torch.nn.functional.cross_entropy(z[:3].detach(), labels[:3], reduction="none")
            for z in (student, teacher)
        ]
        weights = 1 - (-errors[0] / (errors[1] + 1e-7)).exp()

    def by_hand(z):
        if weights is None:
            return value(loss(), z, teacher[:3], labels[:3])
        soft = (teacher[:3] / 2).softmax(1)
        return 4 * (-(soft * (z / 2).log_softmax(1)).sum(1) * weights).mean()

    assert torch.autograd.gradcheck(by_hand, student)
    (expected,) = torch.autograd.grad(by_hand(student), student)
    (got,) = torch.autograd.grad(value(loss(), student, teacher[:3], labels[:3]), student)
    torch.testing.assert_close(got, expected)


@both
def test_labels_that_may_not_be_used_change_nothing(loss):
    student, teacher, labels = recorded()
    labelled = torch.tensor([True, False, True, False, False])
    others = torch.where(labelled, labels, (labels + 1) % 4)
    for unlabelled in ("teacher", "skip"):
        one, two = (
            value(loss(unlabelled=unlabelled), student, teacher, y, labelled=labelled).item()
            for y in (labels, others)
        )
        assert one == two
    guess = torch.where(labelled, labels, teacher.argmax(1))
    assert value(loss(), student, teacher, labels, labelled=labelled) == value(
        loss(), student, teacher, guess
    )
    kept = value(loss(), student[labelled], teacher[labelled], labels[labelled])
    skipped = value(loss(unlabelled="skip"), student, teacher, labels, labelled=labelled)
    torch.testing.assert_close(skipped, kept * 2 / 5)


@both
@pytest.mark.parametrize("left_out", [-1, -100, 9])
def test_a_label_that_no_class_has_is_none(loss, left_out):
    student, teacher, labels = recorded()
    labelled = torch.arange(5) > 0
    without = value(loss(), student, teacher, labels, labelled=labelled)
    changed = torch.where(labelled, labels, left_out)
    assert value(loss(), student, teacher, changed) == without
    as_column = torch.where(labelled, labels.double(), math.nan)[:, None]
    assert value(loss(), student, teacher, as_column) == without


@both
def test_one_logit_stands_for_two_classes(loss):
    student, teacher, _ = recorded()
    labels = torch.tensor([0, 1, 1, 0, 1])
    of_one = value(loss(), student[:, :1], teacher[:, 0], labels)
    two = [torch.stack([torch.zeros(5), z[:, 0]], 1) for z in (student, teacher)]
    torch.testing.assert_close(of_one, value(loss(), *two, labels))


@both
def test_confident_logits_stay_finite(loss):
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    for label in range(3):
        result = value(loss(), student, -student.detach(), torch.tensor([label]))
        (gradient,) = torch.autograd.grad(result, student)
        assert result.isfinite()
        assert gradient.isfinite().all()


@both
def test_through_a_distiller_each_row_has_its_own_label(loss):
    batch, teacher, student = batch_of(), Network(), Network().eval()
    batch.train_mask = torch.arange(6) < 4
    torch.manual_seed(0)
    logits = student(batch.x), teacher.eval()(batch.x)
    for rows, kept in (("train_mask", batch.train_mask), ("~train_mask", ~batch.train_mask)):
        term = gkd.Term(next(n for n in LOSSES if LOSSES[n] is loss), rows=rows, name="t")
        distiller = distiller_of(teacher, student, term, mask="train_mask")
        report = distiller(batch)
        expected = value(
            loss(), *(z[kept] for z in logits), batch.y[kept], labelled=batch.train_mask[kept]
        )
        torch.testing.assert_close(report.terms["t"], expected)
        report.total.backward()


@both
def test_what_is_missing_or_does_not_fit_is_said(loss):
    student, teacher, labels = recorded()
    name = loss.__name__.lower()
    with pytest.raises(ParameterError, match=f"{name} needs labels, but the batch has none"):
        value(loss(), student, teacher, None)
    with pytest.raises(ParameterError, match=rf"{name}: expected a class number for each of 5 row"):
        value(loss(), student, teacher, labels[:4])
    with pytest.raises(ParameterError, match=r"equal shapes \[N, C\], got \[5, 4\] .* \[5, 3\]"):
        value(loss(), student, teacher[:, :3], labels)
    with pytest.raises(ParameterError, match=f"{name} compares logits"):
        loss()(View(), View(logits=teacher), step=Step.of(View(), labels=labels))
    with pytest.raises(ParameterError, match=r"no true class, as its outputs are sigmoid"):
        loss(task="multi-label")
    with pytest.raises(ParameterError, match="'temperature' must be"):
        loss(temperature=0.0)


@both
def test_no_rows_are_zero(loss):
    student = torch.zeros(0, 3, requires_grad=True)
    result = value(loss(), student, torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    result.backward()
    assert result.item() == 0
