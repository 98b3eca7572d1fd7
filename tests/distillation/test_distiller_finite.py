import pytest
import torch
from distiller_problems import Network, Output, Squared, batch_of, distiller_of

import gkd
from gkd.errors import NonFiniteError


class Broken(gkd.AbstractLoss):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, student: gkd.View, teacher: gkd.View) -> torch.Tensor:
        return student.logits.sum() * 0 + self.value


def with_first(value: float):
    """Function that copies a tensor and puts ``value`` in its first place."""

    def changed(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[0, 0] = value
        return x

    return changed


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_loss_that_is_not_finite_is_named_with_the_epoch(value: str) -> None:
    terms = [gkd.Term(Squared()), gkd.Term(Broken(float(value)), weight=0.1)]
    distiller = distiller_of(Network(), Network(), *terms)
    distiller.epoch = 7
    message = f"^not finite at epoch 7: term 'broken' is {value}; what it compares is finite"
    with pytest.raises(NonFiniteError, match=message):
        distiller(batch_of())


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_the_side_that_is_not_finite_is_named(side: str) -> None:
    networks = {"student": Output(lambda x: x), "teacher": Output(lambda x: x)}
    networks[side] = Output(with_first(float("nan")))
    term = gkd.Term(Squared(), student="inner", teacher="inner")
    message = rf"term 'squared' is nan; the {side}'s features \[6, 5\] hold 1 nan and 0 infinite"
    with pytest.raises(NonFiniteError, match=message):
        distiller_of(networks["teacher"], networks["student"], term)(batch_of())


def test_a_teacher_that_is_not_finite_stops_a_finite_term() -> None:
    class Clamped(gkd.AbstractLoss):
        def forward(self, student: gkd.View, teacher: gkd.View) -> torch.Tensor:
            return (student.features - teacher.features.clamp(-1, 1)).square().mean()

    teacher = Output(with_first(float("inf")))
    term = gkd.Term(Clamped(), student="inner", teacher="inner")
    message = r"term 'clamped' is finite, but the teacher's features \[6, 5\] hold 0 nan and 1 inf"
    with pytest.raises(NonFiniteError, match=message):
        distiller_of(teacher, Output(lambda x: x), term)(batch_of())


def test_every_layer_of_a_teacher_is_looked_at() -> None:
    class Layers(gkd.AbstractLoss):
        uses = ("features", "layers")

        def forward(self, student: gkd.View, teacher: gkd.View) -> torch.Tensor:
            pairs = zip(student.layers, teacher.layers, strict=True)
            return sum((ours - theirs.clamp(-1, 1)).square().mean() for ours, theirs in pairs)

    def network(value: float) -> Output:
        return Output(lambda x: (with_first(value)(x), x))

    taps = ["inner[0]", "inner[1]"]
    term = gkd.Term(Layers(), student=taps, teacher=taps)
    message = r"term 'layers' is finite, but the teacher's layer 0 \[6, 5\] hold 0 nan and 1 inf"
    with pytest.raises(NonFiniteError, match=message):
        distiller_of(network(float("inf")), network(0.0), term)(batch_of())


def test_logits_of_a_teacher_that_are_not_finite() -> None:
    teacher = Network()
    teacher.layers[1].bias.data[2] = float("nan")
    message = r"term 'kd' is nan; the teacher's logits \[6, 3\] hold 6 nan"
    with pytest.raises(NonFiniteError, match=message):
        distiller_of(teacher, Network(), gkd.Term("kd"))(batch_of())


def test_the_task_loss_is_named_with_its_cause() -> None:
    student = Network()
    student.layers[1].bias.data[0] = float("nan")
    message = r"the task loss is nan \(the student's logits \[6, 3\] hold 6 nan and 0 infinite"
    with pytest.raises(NonFiniteError, match=message):
        distiller_of({}, student)(batch_of())


def test_all_faults_are_named() -> None:
    terms = [gkd.Term(Broken(float("nan")), name=name) for name in ("first", "second")]
    with pytest.raises(NonFiniteError, match=r"term 'first' is nan.*; term 'second' is nan"):
        distiller_of(Network(), Network(), *terms)(batch_of())


def test_a_sum_that_overflows_is_named_as_such() -> None:
    term = gkd.Term(Broken(2e38), weight=3.0)
    with pytest.raises(NonFiniteError, match="the total is inf, though every loss in it is finite"):
        distiller_of(Network(), Network(), term)(batch_of())


def test_large_but_finite_features_pass() -> None:
    class First(gkd.AbstractLoss):
        def forward(self, student: gkd.View, teacher: gkd.View) -> torch.Tensor:
            return student.features[0, 0] * 0 + 1

    # Their sum overflows; each of them is finite.
    teacher = Output(lambda x: torch.full_like(x, 3e38))
    term = gkd.Term(First(), student="inner", teacher="inner")
    assert distiller_of(teacher, Output(lambda x: x), term)(batch_of()).terms["first"] == 1


def test_a_term_without_weight_stops_nothing() -> None:
    term = gkd.Term(Broken(float("nan")), weight=0.0)
    assert distiller_of(Network(), Network(), term)(batch_of()).total.isfinite()


def test_an_input_that_is_not_finite_is_named_first() -> None:
    batch = batch_of()
    batch.x = with_first(float("nan"))(batch.x)
    message = r"^not finite at epoch 0: the batch's x \[6, 5\] hold 1 nan and 0 infinite values; "
    with pytest.raises(NonFiniteError, match=message):
        distiller_of(Network(), Network(), gkd.Term(Squared()))(batch)
