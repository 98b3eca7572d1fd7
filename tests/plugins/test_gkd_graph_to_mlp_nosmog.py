"""NOSMOG against plain loops, and its ascent against that of a linear student."""

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, batch_of, distiller_of
from torch import nn

import gkd
from gkd import Step, View
from gkd.errors import ParameterError
from gkd_graph_to_mlp.nosmog import NOSMOG, gram_differences


def wave(rows, columns, slope, start):
    numbers = torch.arange(rows * columns, dtype=torch.float64)
    return 2 * (numbers * slope + start).sin().reshape(rows, columns)


ROWS = 5
HIDDEN, FEATURES = wave(ROWS, 3, 0.9, 0.1), wave(ROWS, 4, 1.3, 0.7)
X, WEIGHT, SOFT = wave(ROWS, 6, 0.7, 0.3), wave(6, 3, 1.7, 0.2), wave(ROWS, 3, 2.1, 0.5)


def views(hidden=HIDDEN, x=X):
    return View(features=hidden, logits=x @ WEIGHT), View(features=FEATURES, logits=SOFT)


def built(**params):
    loss, (student, teacher) = NOSMOG(**params), views()
    loss.build(student, teacher)
    with torch.no_grad():
        loss.encoder.weight.copy_(wave(4, 3, 0.8, 0.4))
        loss.encoder.bias.copy_(wave(1, 4, 0.6, 0.1)[0])
    return loss


def linear(network="student", /, **changed):
    assert network == "student"
    return changed["x"] @ WEIGHT


def step_of(view, logits=linear, **more):
    return Step.of(view, inputs={"x": X, **more}, logits=logits, seed=4)


def test_similarities_of_plain_loops():
    student, teacher = views()
    loss = built(similarity=1.5, adversarial=0.0)
    weight, bias = loss.encoder.weight.tolist(), loss.encoder.bias.tolist()
    encoded = [
        [
            max(0.0, b + sum(w * h for w, h in zip(row, hidden, strict=True)))
            for row, b in zip(weight, bias, strict=True)
        ]
        for hidden in HIDDEN.tolist()
    ]
    expected = []
    for i in range(ROWS):
        total = 0.0
        for j in range(ROWS):
            ours = sum(a * b for a, b in zip(encoded[i], encoded[j], strict=True))
            theirs = sum(
                a * b for a, b in zip(FEATURES[i].tolist(), FEATURES[j].tolist(), strict=True)
            )
            total += (ours - theirs) ** 2
        expected.append(1.5 * total / ROWS)
    values = loss(student, teacher, step=step_of(student))
    assert values.tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("width", [8, 60])  # fewer than the rows, and more
def test_similarities_keep_their_digits_where_they_nearly_agree(width):
    exact = wave(40, width, 0.3, 0.2)
    gap = 1e-4 * wave(40, width, 1.1, 0.9)
    ours, theirs = (exact + gap).float(), exact.float()
    difference = ours.double() @ ours.double().T - theirs.double() @ theirs.double().T
    expected = difference.square().mean(1)
    torch.testing.assert_close(gram_differences(ours, theirs).double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("width", [3, 9])
def test_similarities_of_wide_and_of_narrow_features(width):
    ours, theirs = wave(5, width, 0.3, 0.2), wave(5, width, 0.7, 0.9)
    expected = (ours @ ours.T - theirs @ theirs.T).square().mean(1)
    torch.testing.assert_close(gram_differences(ours, theirs), expected)


def ascent(epsilon, iterations, draws):
    """Slopes of a linear student by hand: (p_s - p_t) Wᵀ."""
    target = SOFT.softmax(1)
    delta = epsilon * (2 * draws - 1)
    for _ in range(iterations):
        slope = (((X + delta) @ WEIGHT).softmax(1) - target) @ WEIGHT.T
        delta = (delta + epsilon / 4 * slope.sign()).clamp(-epsilon, epsilon)
    return X + delta


def test_changed_inputs_of_plain_loops():
    student, teacher = views()
    loss = built(similarity=0.0, adversarial=0.4, epsilon=0.3, iterations=3)
    step = step_of(student)
    draws = torch.rand((ROWS, 6), generator=step_of(student).generator, dtype=torch.float64)
    worst = ascent(0.3, 3, draws)
    log_p, log_q = (worst @ WEIGHT).log_softmax(1), SOFT.log_softmax(1)
    expected = 0.4 * (log_q.exp() * (log_q - log_p)).sum(1)
    torch.testing.assert_close(loss(student, teacher, step=step), expected)


def test_recorded_value_of_the_authors_ascent():
    # train_and_eval.py at 7f8ef63e955341f19e81107d1fc6e24f7e5763e3, in float64, from equal draws.
    student, teacher = views()
    loss = built(similarity=0.0, adversarial=1.0, epsilon=0.3)
    values = loss(student, teacher, step=step_of(student))
    assert values.mean().item() == pytest.approx(9.709122486421835, rel=1e-6)


def test_changed_inputs_are_worse_than_those_drawn_and_stay_near():
    student, teacher = views()
    loss, seen = built(similarity=0.0, epsilon=0.2, iterations=8), []

    def watched(network, /, x):
        seen.append(x.detach())
        return x @ WEIGHT

    loss(student, teacher, step=step_of(student, watched))
    assert len(seen) == 9
    assert max((x - X).abs().max() for x in seen) <= 0.2 + 1e-12
    first, last = (
        gkd.create("loss", "kd", temperature=1.0)(View(logits=x @ WEIGHT), teacher)
        for x in (seen[0], seen[-1])
    )
    assert last > first


@pytest.mark.parametrize("gradients", [True, False])
def test_without_gradients_it_has_the_same_value(gradients):
    student, teacher = views()
    loss = built()
    with torch.set_grad_enabled(gradients):
        value = loss(student, teacher, step=step_of(student))
    assert value.requires_grad == gradients
    torch.testing.assert_close(value, loss(student, teacher, step=step_of(student)))


def test_the_gradient_is_the_slope():
    loss = built(epsilon=0.01)
    teacher = views()[1]

    def value(hidden, weight):
        view = View(features=hidden, logits=X @ weight)
        return loss(view, teacher, step=step_of(view, lambda network, /, x: x @ weight))

    leaves = HIDDEN.clone().requires_grad_(), WEIGHT.clone().requires_grad_()
    assert torch.autograd.gradcheck(value, leaves)


class TestThroughADistiller:
    def test_the_student_learns_by_both(self):
        torch.manual_seed(0)
        batch = batch_of()
        student = Network().eval()
        distiller = distiller_of(Network(width=7), student, gkd.Term("nosmog", **SAME_TAPS))
        distiller.prepare(batch)
        distiller(batch).terms["nosmog"].backward()
        for layer in student.layers:
            assert layer.weight.grad.abs().sum() > 0
        assert distiller.losses["nosmog"].encoder.weight.grad is not None

    def test_rows_share_out_the_whole(self):
        batch, of = batch_of(), {}
        batch.m = torch.arange(6) < 4
        student, teacher = Network().eval(), Network(width=7)
        for rows in ("m", "~m", "all"):
            torch.manual_seed(0)
            term = gkd.Term("nosmog", rows=rows, **SAME_TAPS)
            distiller = distiller_of(teacher, student, term).prepare(batch)
            of[rows] = distiller(batch).terms["nosmog"].item()
        assert 4 * of["m"] + 2 * of["~m"] == pytest.approx(6 * of["all"], rel=1e-5)


def test_what_is_missing_or_does_not_fit_is_said():
    student, teacher = views()
    with pytest.raises(ParameterError, match="nosmog: the map does not exist yet"):
        NOSMOG()(student, teacher, step=step_of(student))
    loss = built()
    with pytest.raises(ParameterError, match="built for features of widths 3 and 4, got 4"):
        loss(teacher, teacher, step=step_of(teacher))
    with pytest.raises(ParameterError, match=r"added to inputs='x', but .* int|Tensor"):
        loss(student, teacher, step=step_of(student, x=torch.zeros(ROWS, 6, dtype=torch.int64)))
    with pytest.raises(ParameterError, match="predictions do not follow from inputs='x'"):
        loss(
            student,
            teacher,
            step=step_of(student, lambda network, /, x: student.logits.clone().requires_grad_()),
        )
    with pytest.raises(ParameterError, match="'epsilon' must be"):
        NOSMOG(epsilon=0.0)


def test_a_map_that_is_there_stays():
    loss = built()
    before = loss.encoder
    loss.build(*views())
    assert loss.encoder is before
    assert isinstance(before, nn.Linear)
