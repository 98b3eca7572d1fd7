"""What a loss may ask for beside two views: the step, several layers, several teachers."""

from types import SimpleNamespace

import pytest
import torch
from distiller_problems import Network, Squared, batch_of, distiller_of
from torch import Tensor, nn

import gkd
from gkd.errors import DataError, ParameterError, UnknownNameError


class Asking(gkd.AbstractLoss):
    """Keeps the step it saw."""

    uses = ("logits",)

    def forward(self, student: gkd.View, teacher: gkd.View, *, step: gkd.Step) -> Tensor:
        self.step = step
        return (student.logits - teacher.logits).square().mean()


class Layers(gkd.AbstractLoss):
    """Keeps the views it saw, of several layers."""

    uses = ("features", "layers")

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        self.student, self.teacher = student, teacher
        return sum(layer.square().mean() for layer in student.layers)


class Several(gkd.AbstractLoss):
    """Distance to the mean of all teachers' logits."""

    uses = ("logits",)

    def forward(self, student: gkd.View, teacher: gkd.View, *, teachers: dict) -> Tensor:
        self.teacher, self.teachers = teacher, teachers
        mean = torch.stack([view.logits for view in teachers.values()]).mean(0)
        return (student.logits - mean).square().mean()


class TestStep:
    def test_it_has_what_the_batch_says(self) -> None:
        batch, loss = batch_of(), Asking()
        batch.train_mask = torch.arange(6) < 2
        batch.n_id = torch.arange(6) + 10
        batch.ids = ("a",)
        distiller = distiller_of(Network(), Network(), gkd.Term(loss), mask="train_mask")
        distiller.epoch = 4
        distiller(batch)
        distiller(batch)
        step = loss.step
        assert torch.equal(step.labels, batch.y)
        assert torch.equal(step.labelled, batch.train_mask)
        assert step.nodes.tolist() == [10, 11, 12, 13, 14, 15]
        assert (step.samples, step.epoch, step.number) == (("a",), 4, 1)
        assert step.batch is batch

    def test_steps_count_from_the_epoch_on_and_only_where_there_are_gradients(self) -> None:
        batch, loss = batch_of(), Asking()
        distiller = distiller_of(Network(), Network(), gkd.Term(loss))
        numbers = []
        for epoch in range(2):
            distiller.epoch = epoch
            for _ in range(2):
                distiller(batch)
                numbers.append(loss.step.number)
            with torch.no_grad():
                distiller(batch)
        assert numbers == [0, 1, 0, 1]

    def test_its_generator_is_its_own(self) -> None:
        def draws(seed: int, epoch: int = 0, name: str = "a") -> list[float]:
            torch.manual_seed(seed)
            loss = Asking()
            distiller = distiller_of(Network().eval(), Network().eval(), gkd.Term(loss, name=name))
            torch.manual_seed(seed)
            distiller.epoch = epoch
            drawn, before = [], torch.get_rng_state()
            for _ in range(2):
                distiller(batch_of())
                drawn.append(torch.rand((), generator=loss.step.generator).item())
            assert torch.equal(before, torch.get_rng_state())
            return drawn

        again = draws(0)
        assert again == draws(0)
        assert again[0] != again[1]
        assert len({*again, *draws(1), *draws(0, epoch=1), *draws(0, name="b")}) == 8

    def test_a_second_pass_has_other_inputs(self) -> None:
        batch, loss = batch_of(), Asking()
        teacher, student = Network(), Network().eval()
        distiller_of(teacher, student, gkd.Term(loss))(batch)
        changed = (batch.x + 1).requires_grad_()
        again = loss.step.logits("student", x=changed)
        torch.testing.assert_close(again, student(changed))
        assert torch.autograd.grad(again.sum(), changed)[0].abs().sum() > 0
        torch.testing.assert_close(loss.step.logits("teacher"), teacher(batch.x))
        with pytest.raises(UnknownNameError, match="no network 'techer'; did you mean 'teacher'"):
            loss.step.logits("techer")
        with pytest.raises(DataError, match=r"changed input: the batch .* has no 'z'"):
            loss.step.logits("student", z=changed)

    def test_rows_are_those_of_the_term(self) -> None:
        batch, loss = batch_of(), Asking()
        batch.train_mask = torch.tensor([True, False, True, False, False, False])
        term = gkd.Term(loss, rows="~train_mask")
        distiller_of(Network(), Network(), term, mask="train_mask")(batch)
        assert loss.step.nodes.tolist() == [1, 3, 4, 5]
        assert torch.equal(loss.step.labels, batch.y[[1, 3, 4, 5]])
        assert not loss.step.labelled.any()

    def test_missing_labels_are_named(self) -> None:
        step = SimpleNamespace(labels=None)
        with pytest.raises(ParameterError, match="dkd needs labels, but the batch has none"):
            gkd.Step.require_labels(step, "dkd")


class TestLayers:
    def test_every_tap_of_a_list_is_a_layer(self) -> None:
        batch, loss = batch_of(), Layers()
        taps = ["layers.0", "norm"]
        student = Network()
        report = distiller_of(
            Network(width=7), student, gkd.Term(loss, student=taps, teacher=taps)
        )(batch)
        assert [layer.shape for layer in loss.student.layers] == [(6, 4), (6, 4)]
        assert [layer.shape for layer in loss.teacher.layers] == [(6, 7), (6, 7)]
        assert loss.student.features is loss.student.layers[-1]
        torch.testing.assert_close(loss.student.layers[0], student.layers[0](batch.x))
        report.total.backward()
        assert student.layers[0].weight.grad.abs().sum() > 0

    def test_a_loss_of_one_layer_says_so(self) -> None:
        term = gkd.Term("at", student=["layers.0", "norm"], teacher="layers.0")
        with pytest.raises(ParameterError, match=r"'layers.0' and 'norm': this loss compares one"):
            distiller_of(Network(), Network(), term)

    @pytest.mark.parametrize("taps", [[], [3], ["layers.0", None]])
    def test_what_is_no_list_of_taps(self, taps: object) -> None:
        with pytest.raises(ParameterError, match="or a list of taps"):
            gkd.Term(Layers(), student=taps)


class TestTeachers:
    def test_a_loss_gets_all_that_its_term_names(self) -> None:
        batch, loss, student = batch_of(), Several(), Network().eval()
        teachers = {"a": Network(), "b": Network(), "c": Network()}
        term = gkd.Term(loss, teacher=["c:", "a:"])
        report = distiller_of(teachers, student, term)(batch)
        assert list(loss.teachers) == ["c", "a"]
        assert loss.teacher is loss.teachers["c"]
        mean = (teachers["a"](batch.x) + teachers["c"](batch.x)) / 2
        torch.testing.assert_close(
            report.terms["several"], (student(batch.x) - mean).square().mean()
        )

    def test_a_loss_of_one_says_so(self) -> None:
        term = gkd.Term(Squared(), teacher=["a:", "b:"])
        with pytest.raises(ParameterError, match="several teachers, but this loss compares with"):
            distiller_of({"a": Network(), "b": Network()}, Network(), term)

    def test_a_teacher_that_there_is_not(self) -> None:
        term = gkd.Term(Several(), teacher=["a:", "d:"])
        with pytest.raises(UnknownNameError, match="no teacher 'd'"):
            distiller_of({"a": Network(), "b": Network()}, Network(), term)


def test_a_loss_that_asks_for_something_else() -> None:
    class Wrong(gkd.AbstractLoss):
        def forward(self, student, teacher, *, steps):
            return student.logits.sum()

    message = "asks for 'steps': it is called with two views, .* did you mean 'step'"
    with pytest.raises(ParameterError, match=message):
        distiller_of(Network(), Network(), gkd.Term(Wrong()))


def test_what_has_a_default_need_not_be_there() -> None:
    class Optional(gkd.AbstractLoss):
        def forward(self, student, teacher, scale=2.0, step=None):
            assert step is not None
            return scale * student.logits.square().mean()

    distiller_of(Network(), nn.Linear(5, 3), gkd.Term(Optional()))(batch_of())


def test_logits_come_with_the_batchs_graph_where_a_loss_says_so() -> None:
    class Keeps(gkd.AbstractLoss):
        uses = ("logits", "graph")

        def forward(self, student, teacher):
            self.graphs = student.graph, teacher.graph
            return student.logits.square().mean()

    class Silent(Keeps):
        uses = ("logits",)

    batch, loss, silent = batch_of(), Keeps(), Silent()
    distiller_of(Network(), Network(), gkd.Term(loss), gkd.Term(silent))(batch)
    expected = gkd.Graph(batch.edge_index, 6)
    assert loss.graphs == (expected, expected)
    assert silent.graphs == (None, None)
    del batch.edge_index
    with pytest.raises(DataError, match=r"graph: the batch .* has no 'edge_index'"):
        distiller_of(Network(), Network(), gkd.Term(loss))(batch)


class Given(gkd.AbstractLoss):
    """Does with the views what a test wants."""

    def __init__(self, compare) -> None:
        super().__init__()
        self.compare = compare

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        return self.compare(student, teacher)


@pytest.mark.parametrize(
    ("compare", "words"),
    [
        (lambda s, t: (s - t).square().mean(), "no tensor: student.features, or student.logits"),
        (lambda s, t: nn.functional.mse_loss(s, t), "'size' [{file}:"),
        (lambda s, t: torch.cdist(s, t).mean(), "given a view of each network, and no tensor"),
        (lambda s, t: s[0].mean(), "given a view of each network, and no tensor"),
        (lambda s, t: s.fetaures.mean(), "'fetaures' [{file}:"),
        (lambda s, t: s.fetaures.mean(), "did you mean 'features'?"),
        (lambda s, t: (s.features - t.features).mean(), "no features: name a tap of each network"),
    ],
)
def test_views_that_are_taken_for_tensors_are_told_so(compare, words: str) -> None:
    distiller = distiller_of(Network(), Network(), gkd.Term(Given(compare)))
    with pytest.raises(ParameterError, match="term 'given': the loss raised ") as caught:
        distiller(batch_of())
    assert words.format(file=__file__) in str(caught.value)


def test_what_a_step_has_not_is_told_what_it_has() -> None:
    class OfLabels(gkd.AbstractLoss):
        def forward(self, student: gkd.View, teacher: gkd.View, *, step: gkd.Step) -> Tensor:
            return nn.functional.cross_entropy(student.logits, step.y)

    with pytest.raises(ParameterError, match="of a step: did you mean 'labels'"):
        distiller_of(Network(), Network(), gkd.Term(OfLabels()))(batch_of())


def test_other_mistakes_of_a_loss_are_left_to_python() -> None:
    loss = Given(lambda student, teacher: student.logits.no_such_thing)
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute"):
        distiller_of(Network(), Network(), gkd.Term(loss))(batch_of())


def test_a_loss_is_called_with_both_views_by_name() -> None:
    class Alone(gkd.AbstractLoss):
        def forward(self, student: gkd.View) -> Tensor:
            return student.logits.mean()

    with pytest.raises(ParameterError, match="forward has no parameter 'teacher': it is called"):
        distiller_of(Network(), Network(), gkd.Term(Alone()))


def test_a_number_of_numpy_is_no_tensor() -> None:
    loss = Given(lambda student, teacher: student.logits.detach().numpy().mean())
    with pytest.raises(ParameterError, match="the loss gave a float32, not a scalar tensor"):
        distiller_of(Network(), Network(), gkd.Term(loss))(batch_of())


def test_a_string_of_parts_is_told_to_be_a_tuple() -> None:
    class Spelt(Given):
        uses = "logits"

    loss = Spelt(lambda student, teacher: student.logits.mean())
    with pytest.raises(ParameterError, match=r"uses is a tuple of parts of a view: \('logits',\)"):
        distiller_of(Network(), Network(), gkd.Term(loss))
