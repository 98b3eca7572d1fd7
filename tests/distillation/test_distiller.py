"""The total, its weights, teachers, and training in a plain loop."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from distiller_problems import (
    SAME_TAPS,
    Mapped,
    Network,
    Output,
    Recorder,
    Squared,
    batch_of,
    distiller_of,
)
from torch import nn
from torch.nn import functional

import gkd
from gkd.errors import ParameterError


def test_the_total_is_the_weighted_sum() -> None:
    teacher, student = Network(), Network().eval()
    terms = [gkd.Term(Squared(), weight=3.0, **SAME_TAPS), gkd.Term(Squared(), weight=0.5)]
    batch = batch_of()
    report = distiller_of(teacher, student, *terms)(batch)
    ours, theirs = student(batch.x), teacher(batch.x)
    task = functional.cross_entropy(ours, batch.y)
    hidden = functional.mse_loss(student.layers[0](batch.x), teacher.layers[0](batch.x))
    logits = functional.mse_loss(ours, theirs)
    torch.testing.assert_close(report.task, task)
    torch.testing.assert_close(report.terms["squared"], hidden)
    torch.testing.assert_close(report.terms["squared-2"], logits)
    torch.testing.assert_close(report.total, task + 3 * hidden + 0.5 * logits)
    assert report.weights == {"squared": 3.0, "squared-2": 0.5}
    assert torch.equal(report.logits, ours)


def test_a_student_without_teacher() -> None:
    report = distiller_of({}, Network())(batch_of())
    assert report.total is report.task
    assert report.terms == report.weights == {}


def test_a_report_says_where_its_tensor_is() -> None:
    report = distiller_of({}, Network())(batch_of())
    with pytest.raises(AttributeError, match=r"the loss is report\.total, report\.total\.ba"):
        report.backward()
    with pytest.raises(AttributeError, match=r"a StepReport has no 'losses'$"):
        _ = report.losses
    assert copy.copy(report).total is report.total


def test_weights_follow_the_epoch() -> None:
    distiller = distiller_of(
        Network(),
        Network(),
        gkd.Term(Squared(), weight={"value": 2.0, "from_epoch": 1, "until_epoch": 3}),
        gkd.Term(Squared(), weight={"start": 0.0, "end": 4.0, "epochs": 4}, name="ramp"),
    )
    weights = []
    for distiller.epoch in range(4):
        weights.append(distiller(batch_of()).weights)
    assert [weight["squared"] for weight in weights] == [0.0, 2.0, 2.0, 0.0]
    assert [weight["ramp"] for weight in weights] == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("epoch", [-1, "1", 1.0, True, None, torch.tensor(1)])
def test_an_epoch_is_a_whole_number(epoch: object) -> None:
    distiller = distiller_of(Network(), Network())
    with pytest.raises(ParameterError, match=r"^epoch: expected a whole number from 0 on, got "):
        distiller.epoch = epoch
    assert distiller.epoch == 0


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))]
)
def test_a_copy_has_an_epoch_of_its_own(copied: Callable[[gkd.Distiller], gkd.Distiller]) -> None:
    term = gkd.Term(Squared(), weight={"value": 2.0, "from_epoch": 4})
    distiller = distiller_of(Network(), Network(), term)
    distiller.epoch = 3
    twin = copied(distiller)
    assert twin.epoch == 3
    twin.epoch = 4
    assert twin(batch_of()).weights == {"squared": 2.0}
    assert distiller(batch_of()).weights == {"squared": 0.0}


def test_a_term_of_weight_zero_is_not_computed() -> None:
    class Fails(gkd.AbstractLoss):
        def forward(self, student, teacher):
            raise AssertionError("computed")

    teacher = Output(lambda x: pytest.fail("the teacher ran"))
    report = distiller_of(teacher, Network(), gkd.Term(Fails(), weight=0.0))(batch_of())
    assert report.terms == {}
    assert report.weights == {"fails": 0.0}


class TestTeacher:
    def test_it_is_frozen_and_in_evaluation_mode(self) -> None:
        teacher = Network().train()
        distiller_of(teacher, Network(), gkd.Term(Squared()))
        assert not any(module.training for module in teacher.modules())
        assert not any(parameter.requires_grad for parameter in teacher.parameters())

    def test_its_batch_statistics_never_move(self) -> None:
        teacher = Network()
        distiller = distiller_of(teacher, Network(), gkd.Term(Squared()))
        before = copy.deepcopy(teacher.state_dict())
        for switch in (distiller.train, teacher.train):
            switch()
            distiller(batch_of()).total.backward()
        assert not teacher.training
        for name, value in teacher.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_no_gradient_reaches_it(self) -> None:
        teacher, loss = Network(), Recorder()
        distiller = distiller_of(teacher, Network(), gkd.Term(loss, **SAME_TAPS))
        teacher.requires_grad_(True)  # even where the user thaws it
        distiller(batch_of()).total.backward()
        assert not loss.teacher.features.requires_grad
        assert all(parameter.grad is None for parameter in teacher.parameters())

    def test_train_and_eval_concern_the_student(self) -> None:
        teacher, student = Network(), Network()
        distiller = distiller_of(teacher, student, gkd.Term(Squared()))
        assert distiller.eval().student.training is False
        distiller.train()
        assert all(module.training for module in student.modules())
        assert not teacher.training

    def test_parameters_and_state_are_the_students(self) -> None:
        student = Network()
        distiller = distiller_of(Network(), student, gkd.Term(Squared()))
        assert list(distiller.parameters()) == list(student.parameters())
        assert set(distiller.state_dict()) == {f"student.{key}" for key in student.state_dict()}

    def test_it_moves_with_the_distiller(self) -> None:
        teacher = Network()
        distiller = distiller_of(teacher, Network(), gkd.Term(Squared())).to(torch.float64)
        assert {p.dtype for p in teacher.parameters()} == {torch.float64}
        nn.ModuleList([distiller]).to(torch.float32)
        assert {p.dtype for p in teacher.parameters()} == {torch.float32}

    def test_it_must_be_separate_from_the_student(self) -> None:
        student = Network()
        with pytest.raises(ParameterError, match="shares 'itself' with the student"):
            distiller_of(student, student)
        teacher = Network()
        teacher.layers[1].bias = student.layers[1].bias
        with pytest.raises(ParameterError, match=r"'big' shares 'layers\.1\.bias' with"):
            distiller_of({"big": teacher}, student)

    def test_it_must_be_a_module(self) -> None:
        with pytest.raises(ParameterError, match="teacher: expected a module or a mapping"):
            distiller_of(lambda x: x, Network())
        with pytest.raises(ParameterError, match="teacher 'a': expected a module, got function"):
            distiller_of({"a": lambda x: x}, Network())
        with pytest.raises(ParameterError, match="got Tensor; weights, such as a state dict, are"):
            distiller_of(Network().state_dict(), Network())


class TestPairs:
    def test_logits_of_different_rows_name_both_shapes(self) -> None:
        class Half(Network):
            def forward(self, x):
                return super().forward(x[::2])

        message = r"term 'squared': logits of the student \[6, 3\] and of the teacher \[3, 3\]"
        with pytest.raises(ParameterError, match=message):
            distiller_of(Half(), Network(), gkd.Term(Squared()))(batch_of())

    def test_features_of_different_rows_name_both_shapes(self) -> None:
        term = gkd.Term(Squared(), student="inner", teacher="inner")
        teacher = Output(lambda x: x[1:])
        message = r"features of the student \[6, 5\] and of the teacher \[5, 5\]"
        with pytest.raises(ParameterError, match=message):
            distiller_of(teacher, Output(lambda x: x), term)(batch_of())

    @pytest.mark.parametrize("value", [1.0, torch.zeros(2), None])
    def test_a_loss_must_give_a_scalar(self, value: object) -> None:
        class Odd(gkd.AbstractLoss):
            def forward(self, student, teacher):
                return value

        with pytest.raises(ParameterError, match=r"term 'odd': the loss gave .* not a scalar"):
            distiller_of(Network(), Network(), gkd.Term(Odd()))(batch_of())

    def test_a_failing_loss_is_named(self) -> None:
        class Fails(gkd.AbstractLoss):
            def forward(self, student, teacher):
                raise RuntimeError("out of luck")

        with pytest.raises(RuntimeError, match="out of luck") as caught:
            distiller_of(Network(), Network(), gkd.Term(Fails()))(batch_of())
        assert caught.value.__notes__ == ["while computing the term 'fails'"]


def test_distillation_trains_in_a_plain_loop() -> None:
    torch.manual_seed(0)
    terms = [gkd.Term(Mapped(), weight=0.1, **SAME_TAPS), gkd.Term("kd", weight=0.1)]
    distiller = distiller_of(Network(7), Network(), *terms).prepare(batch_of())
    optimiser = torch.optim.Adam(distiller.parameters(), lr=0.05)
    totals = []
    for _ in range(40):
        optimiser.zero_grad()
        report = distiller(batch_of())
        report.total.backward()
        optimiser.step()
        totals.append(report.total.item())
    assert totals[-1] < 0.5 * totals[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype) -> None:
    terms = [gkd.Term(Mapped(), **SAME_TAPS), gkd.Term("kd"), gkd.Term("lsp", **SAME_TAPS)]
    distiller = distiller_of(Network(4), Network(), *terms).prepare(batch_of()).eval()
    full = distiller(batch_of())
    with torch.autocast("cpu", dtype=dtype):
        report = distiller(batch_of())
    report.total.backward()
    torch.testing.assert_close(report.total.float(), full.total, rtol=0.05, atol=0.05)
    assert all(p.grad is None or p.grad.isfinite().all() for p in distiller.parameters())
