import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from distiller_problems import Mapped, Network, Output, Recorder, Squared, batch_of, distiller_of
from torch import nn
from torch.nn import functional

import gkd
from gkd.errors import DataError, ParameterError, TapError, UnknownNameError

SAME_TAPS = {"student": "layers.0", "teacher": "layers.0"}


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


class TestBatch:
    def test_a_missing_input_names_what_there_is(self) -> None:
        with pytest.raises(DataError, match=r"no 'pos'; available: edge_index, x, y"):
            distiller_of({}, Network(), inputs=["pos"])(batch_of())

    def test_a_missing_target_names_what_there_is(self) -> None:
        with pytest.raises(DataError, match=r"target: .* no 'labels'; available: edge_index, x, y"):
            distiller_of({}, Network(), target="labels")(batch_of())

    def test_inputs_must_be_names(self) -> None:
        with pytest.raises(ParameterError, match=r"inputs: expected names such as \('x',\)"):
            distiller_of({}, Network(), inputs="x")

    def test_an_unknown_task_names_the_nearest(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'single-label'"):
            distiller_of({}, Network(), task="singlelabel")

    def test_gkd_batches(self) -> None:
        sample = vars(batch_of())
        batch = gkd.collate([gkd.Sample(id=name, **sample) for name in "ab"])
        loss = Recorder()
        distiller_of(Network(), Network(), gkd.Term(loss, **SAME_TAPS))(batch)
        assert loss.student.graph.num_nodes == 12
        assert torch.equal(loss.student.batch, batch.batch)
        assert torch.equal(loss.teacher.batch, batch.batch)


class TestMask:
    def test_only_masked_rows_are_supervised(self) -> None:
        batch, student = batch_of(), Network().eval()
        batch.train_mask = torch.tensor([True, False, True, False, False, False])
        report = distiller_of({}, student, mask="train_mask")(batch)
        expected = functional.cross_entropy(student(batch.x)[[0, 2]], batch.y[[0, 2]])
        torch.testing.assert_close(report.task, expected)

    def test_terms_take_all_rows(self) -> None:
        batch, teacher, student = batch_of(), Network(), Network().eval()
        batch.train_mask = torch.arange(6) < 2
        term = gkd.Term(Squared())
        report = distiller_of(teacher, student, term, mask="train_mask")(batch)
        expected = functional.mse_loss(student(batch.x), teacher(batch.x))
        torch.testing.assert_close(report.terms["squared"], expected)

    @pytest.mark.parametrize("mask", [torch.ones(5, dtype=torch.bool), torch.ones(6)])
    def test_a_mask_that_does_not_fit(self, mask: torch.Tensor) -> None:
        batch = batch_of()
        batch.m = mask
        with pytest.raises(DataError, match=r"batch\.m must be boolean with an entry per row"):
            distiller_of({}, Network(), mask="m")(batch)


class TestLogits:
    def test_they_may_be_an_item_of_the_output(self) -> None:
        class Pair(Network):
            def forward(self, x):
                return {"hidden": x, "scores": super().forward(x)}

        student, loss = Pair().eval(), Recorder()
        # A network that returns a tensor needs no item, so teacher and student may differ.
        distiller = distiller_of(Network(), student, gkd.Term(loss), logits="[scores]")
        assert torch.equal(distiller(batch_of()).logits, student(batch_of().x)["scores"])

    def test_an_output_without_logits_says_how_to_name_them(self) -> None:
        class Pair(Network):
            def forward(self, x):
                return super().forward(x), x

        with pytest.raises(TapError, match=r"student returns a tuple of 2 .* logits='\[0\]'"):
            distiller_of({}, Pair())(batch_of())
        with pytest.raises(TapError, match=r"no item \[2\]; a tuple of 2 has items 0, 1"):
            distiller_of({}, Pair(), logits="[2]")(batch_of())


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


class TestCopies:
    def distiller(self) -> gkd.Distiller:
        torch.manual_seed(0)
        terms = [gkd.Term(Mapped(), weight=2.0, **SAME_TAPS), gkd.Term("kd")]
        return distiller_of(Network(7), Network(), *terms).prepare(batch_of()).eval()

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
    def test_a_copy_computes_the_same_and_is_independent(self, copied) -> None:
        distiller = self.distiller()
        twin = copied(distiller)
        assert torch.equal(twin(batch_of()).total, distiller(batch_of()).total)
        own = {
            id(p) for p in (*distiller.parameters(), *distiller.teachers["teacher"].parameters())
        }
        assert not own & {id(p) for p in twin.parameters()}
        assert not own & {id(p) for p in twin.teachers["teacher"].parameters()}

    def test_a_prepared_distiller_takes_the_state(self) -> None:
        distiller = self.distiller()
        twin = self.distiller()
        for parameter in twin.parameters():
            nn.init.zeros_(parameter)
        twin.load_state_dict(distiller.state_dict())
        assert torch.equal(twin(batch_of()).total, distiller(batch_of()).total)

    def test_loading_before_prepare_says_what_to_do(self) -> None:
        state = self.distiller().state_dict()
        fresh = distiller_of(Network(7), Network(), gkd.Term(Mapped(), **SAME_TAPS))
        with pytest.raises(ParameterError, match=r"mapped: .* call distiller\.prepare\(batch\)"):
            fresh.load_state_dict(state)
        wrapped = nn.ModuleDict({"inner": fresh})
        with pytest.raises(ParameterError, match=r"call distiller\.prepare\(batch\)"):
            wrapped.load_state_dict({f"inner.{key}": value for key, value in state.items()})


class TestAdapters:
    def distiller(self) -> gkd.Distiller:
        return distiller_of(Network(7), Network(), gkd.Term(Mapped(), **SAME_TAPS))

    def test_parameters_before_prepare_are_refused(self) -> None:
        for use in (lambda d: list(d.parameters()), lambda d: d(batch_of())):
            with pytest.raises(
                ParameterError, match=r"mapped: .* call distiller\.prepare\(batch\)"
            ):
                use(self.distiller())

    def test_adapters_are_parameters_and_learn(self) -> None:
        distiller = self.distiller().prepare(batch_of())
        names = {name for name, _ in distiller.named_parameters()}
        assert {"losses.mapped.map.weight", "losses.mapped.map.bias"} <= names
        optimiser = torch.optim.SGD(distiller.parameters(), lr=0.1)
        before = distiller.losses["mapped"].map.weight.clone()
        distiller(batch_of()).total.backward()
        optimiser.step()
        assert not torch.equal(distiller.losses["mapped"].map.weight, before)

    def test_prepare_twice_keeps_what_was_learned(self) -> None:
        distiller = self.distiller().prepare(batch_of())
        before = distiller.losses["mapped"].map
        assert distiller.prepare(batch_of()).losses["mapped"].map is before

    def test_prepare_leaves_the_student_as_it_was(self) -> None:
        distiller = self.distiller().train()
        before, random = copy.deepcopy(distiller.student.state_dict()), torch.get_rng_state()
        distiller.losses["mapped"].build = lambda *_: None  # whose weights are drawn at random
        distiller.prepare(batch_of())
        assert distiller.student.training
        assert torch.equal(torch.get_rng_state(), random)
        for name, value in distiller.student.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_adapters_of_terms_without_weight_yet_are_built(self) -> None:
        term = gkd.Term(Mapped(), weight={"value": 1.0, "from_epoch": 5}, **SAME_TAPS)
        distiller = distiller_of(Network(7), Network(), term).prepare(batch_of())
        distiller.epoch = 5
        assert distiller(batch_of()).terms.keys() == {"mapped"}

    def test_adapters_take_the_dtype_of_the_networks_not_of_autocast(self) -> None:
        distiller = self.distiller().double()
        batch = batch_of()
        batch.x = batch.x.double()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            distiller.prepare(batch)
        assert {p.dtype for p in distiller.parameters()} == {torch.float64}

    def test_the_shipped_regressor(self) -> None:
        distiller = distiller_of(Network(7), Network(), gkd.Term("fitnet", **SAME_TAPS))
        distiller.prepare(batch_of())
        adapters = {n: tuple(p.shape) for n, p in distiller.losses.named_parameters()}
        assert adapters == {"fitnet.regressor.weight": (7, 4), "fitnet.regressor.bias": (7,)}


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


def test_gradient_shares_compare_term_and_task() -> None:
    student = Network().eval()
    terms = [gkd.Term(Squared(), weight=3.0, **SAME_TAPS), gkd.Term(Squared(), weight=2.0)]
    distiller = distiller_of(Network(), student, *terms)
    report = distiller(batch_of())
    shares = report.gradient_shares()

    logits = report.logits.detach().requires_grad_()
    theirs = distiller.teachers["teacher"](batch_of().x)
    (term,) = torch.autograd.grad(2.0 * functional.mse_loss(logits, theirs), logits)
    (task,) = torch.autograd.grad(functional.cross_entropy(logits, batch_of().y), logits)
    assert shares["squared-2"] == pytest.approx(float(term.norm() / task.norm()), rel=1e-5)
    assert shares["squared"] > 0
    report.total.backward()  # what it needs is still there


def test_gradient_shares_where_the_task_does_not_depend_on_the_tap() -> None:
    student = Output(nn.Linear(5, 5))
    term = gkd.Term(Squared(), student="inner", teacher="inner")
    report = distiller_of(Output(lambda x: x), student, term)(batch_of())
    assert report.gradient_shares() == {"squared": float("inf")}


def test_gradient_shares_need_gradients() -> None:
    distiller = distiller_of(Network(), Network(), gkd.Term(Squared()))
    with torch.no_grad():
        report = distiller(batch_of())
    with pytest.raises(ParameterError, match="computed without gradients"):
        report.gradient_shares()


def test_a_namespace_is_a_batch() -> None:
    batch = SimpleNamespace(x=torch.zeros(2, 5), y=torch.tensor([0, 1]))
    assert distiller_of({}, Network())(batch).total.isfinite()
