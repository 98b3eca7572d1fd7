"""Tasks by name, by mapping, or as they are; and what distillers and terms do with them."""

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of

import gkd
from gkd.distillation.task_choice import find_task


class Level(gkd.Task):
    """Squared error of the first column: a task that no plugin offers."""

    likelihood = "gaussian"
    metric = "mse"
    target = "level"

    def loss(self, outputs, y):
        return (outputs[:, 0] - y).square().mean()

    def check(self, outputs, y):
        if len(y) != len(outputs):
            raise gkd.DataError("lengths differ")

    def metrics(self, num_classes):
        raise NotImplementedError


class Asking(gkd.AbstractLoss):
    uses = ("logits",)

    def __init__(self, task="none"):
        super().__init__()
        self.task = task

    def forward(self, student, teacher):
        return student.logits.mean()


class Plugin:
    @gkd.hookimpl
    def gkd_losses(self):
        return {"asking": Asking}

    @gkd.hookimpl
    def gkd_tasks(self):
        return {"level": Level}


@pytest.fixture
def host():
    host = gkd.create_host()
    host.register(Plugin(), distribution="mine")
    with host.activated():
        yield host


def test_a_task_is_found_by_name_by_mapping_or_as_it_is(host):
    task = Level()
    assert find_task(task) is task
    assert isinstance(find_task("level"), Level)
    assert isinstance(find_task({"name": "mine:level"}), Level)


@pytest.mark.parametrize("choice", [None, 3, {}, {"name": 3}, ["single-label"], Level])
def test_what_names_no_task_is_refused(choice):
    with pytest.raises(gkd.ParameterError, match="task: expected a name, a mapping"):
        find_task(choice)


def test_parameters_are_checked_and_names_corrected():
    with pytest.raises(gkd.ParameterError, match="task 'multi-label': unknown parameter 'wrong'"):
        find_task({"name": "multi-label", "wrong": 1})
    with pytest.raises(gkd.UnknownNameError, match="did you mean 'multi-label'"):
        find_task("multilabel")


def test_a_third_party_task_trains_and_reads_its_own_labels(host):
    batch = batch_of()
    batch.level = torch.linspace(0, 1, len(batch.x))
    student = Network()
    report = distiller_of({}, student, task="level")(batch)
    expected = (report.logits[:, 0] - batch.level).square().mean()
    torch.testing.assert_close(report.task, expected)
    other = distiller_of({}, student, task=Level(), target="y")(batch)
    torch.testing.assert_close(other.task, (other.logits[:, 0] - batch.y).square().mean())


@pytest.mark.parametrize(
    ("task", "given"),
    [("multi-label", "multi-label"), ({"name": "level"}, Level), (Level(), Level)],
)
def test_terms_by_name_are_given_the_name_or_the_task(host, task, given):
    made = distiller_of(Network(), Network(), gkd.Term("asking"), task=task)
    found = made.losses["asking"].task
    assert found == given if isinstance(given, str) else isinstance(found, given)
    own = gkd.Term("asking", params={"task": "single-label"})
    made = distiller_of(Network(), Network(), own, task=task)
    assert made.losses["asking"].task == "single-label"


def test_kd_goes_by_what_a_third_party_s_outputs_mean(host):
    batch = batch_of()
    batch.level = torch.zeros(len(batch.x))
    teacher = Network()
    report = distiller_of(teacher, Network(), gkd.Term("kd"), task="level")(batch)
    expected = (report.logits - teacher(batch.x)).square().mean()
    torch.testing.assert_close(report.terms["kd"], expected)
