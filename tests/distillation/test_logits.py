"""Where the logits are in what networks return: said of each, declared, or obvious."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from distiller_problems import Recorder, batch_of, distiller_of
from torch import Tensor, nn
from torch.nn import functional

import gkd
from gkd.data import AbstractDataset, Sample
from gkd.distillation.taps import taps
from gkd.errors import ParameterError, TapError
from gkd.evaluation.cost import inference_time
from gkd.evaluation.feature_distances import feature_distances
from gkd.evaluation.scores import Scores


class Named(NamedTuple):
    logits: Tensor
    hidden: Tensor


@dataclass
class Record:
    logits: Tensor
    hidden: Tensor


@dataclass(slots=True)
class Slotted:
    logits: Tensor
    hidden: Tensor


class Attributed:
    """An output that computes its logits when it is asked for them."""

    def __init__(self, logits: Tensor, hidden: Tensor) -> None:
        self.hidden, self._logits = hidden, logits

    @property
    def logits(self) -> Tensor:
        return self._logits


FORMS = {
    "tensor": lambda logits, hidden: logits,
    "tuple": lambda logits, hidden: (logits, hidden),
    "list": lambda logits, hidden: [hidden, logits],
    "dict": lambda logits, hidden: {"logits": logits, "hidden": hidden},
    "scores": lambda logits, hidden: {"scores": logits, "hidden": hidden},
    "nested": lambda logits, hidden: {"out": (hidden, Record(logits, hidden))},
    "named tuple": Named,
    "data class": Record,
    "slots": Slotted,
    "namespace": lambda logits, hidden: SimpleNamespace(logits=logits, hidden=hidden),
    "property": Attributed,
}


class Returning(nn.Module):
    """Two layers, whose outputs it returns in one of the forms."""

    inputs = ("x",)

    def __init__(self, form: str, classes: int = 3) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(5, 4), nn.Linear(4, classes)
        self.form = form

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(x)
        return self.out(hidden.relu()), hidden

    def forward(self, x: Tensor) -> object:
        return FORMS[self.form](*self.both(x))


def check(teacher: Returning, student: Returning, logits: object) -> None:
    options = {} if logits is None else {"logits": logits}
    distiller = distiller_of(teacher, student, gkd.Term("kd"), **options)
    found = distiller(batch_of()).terms["kd"].item()
    temperature = distiller.losses["kd"].temperature
    assert found == pytest.approx(expected_kd(teacher, student, temperature), rel=1e-5)


def expected_kd(teacher: Returning, student: Returning, temperature: float) -> float:
    x = batch_of().x
    ours, theirs = (
        (network.both(x)[0].double() / temperature).log_softmax(1) for network in (student, teacher)
    )
    divergence = functional.kl_div(ours, theirs, log_target=True, reduction="batchmean")
    return temperature**2 * divergence.item()


@pytest.mark.parametrize(
    ("form", "place"),
    [
        ("tensor", "[0]"),
        ("tensor", None),
        ("tuple", "[0]"),
        ("list", "[1]"),
        ("dict", "[logits]"),
        ("dict", None),
        ("scores", "[scores]"),
        ("nested", "[out][1][logits]"),
        ("named tuple", "[logits]"),
        ("named tuple", "[0]"),
        ("named tuple", None),
        ("data class", "[logits]"),
        ("data class", None),
        ("slots", "[logits]"),
        ("slots", None),
        ("namespace", "[logits]"),
        ("namespace", None),
        ("property", "[logits]"),
    ],
)
def test_outputs_of_any_kind(form: str, place: str | None) -> None:
    torch.manual_seed(0)
    student, teacher = Returning(form), Returning(form)
    check(teacher, student, place)
    check(teacher, Returning("tensor"), place if place is None else {"teacher": place})
    declared = Returning(form)
    if place is not None:
        declared.logits = place
    check(declared, Returning("tuple"), {"student": "[0]"})


@pytest.mark.parametrize(
    ("form", "logits", "message"),
    [
        ("tuple", None, r"^student returns a tuple of 2 where logits are expected; say which item "
            r"they are: logits='\[0\]' or '\[1\]', \{'student'"),
        ("property", None, r"returns a Attributed where .* logits='\[hidden\]'"),
        ("tuple", "[2]", r"student: logits='\[2\]': no item \[2\]; a tuple of 2 has items 0, 1"),
        ("dict", "[logit]", r"no item \[logit\]; a dict of 2 has items logits, hidden"),
        ("data class", "[logit]", r"a Record has items logits, hidden"),
        ("nested", "[out]", r"logits='\[out\]': a tuple of 2 where logits are expected"),
    ],
)  # fmt: skip
def test_logits_that_are_not_there(form: str, logits: str | None, message: str) -> None:
    distiller = distiller_of({}, Returning(form), logits=logits)
    with pytest.raises(TapError, match=message):
        distiller(batch_of())


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ("logits", r"got 'logits'; did you mean '\[logits\]'"),
        (0, r"got 0; did you mean '\[0\]'"),
        ({"student": "0"}, r"did you mean '\[0\]'"),
        ({"studnt": "[0]"}, "no network 'studnt'; did you mean 'student'"),
        (["[0]"], "expected an item"),
    ],
)
def test_what_names_no_place(logits: object, message: str) -> None:
    with pytest.raises(ParameterError, match=rf"^logits: .*{message}"):
        distiller_of(Returning("tuple"), Returning("tuple"), logits=logits)


def test_several_teachers_have_logits_of_their_own() -> None:
    teachers = {"a": Returning("tuple"), "b": Returning("list")}
    terms = [gkd.Term(Recorder(), teacher=f"{name}:", name=name) for name in teachers]
    distiller = distiller_of(teachers, Returning("dict"), *terms, logits={"a": "[0]", "b": "[1]"})
    distiller(batch_of())
    for name, teacher in teachers.items():
        found = distiller.losses[name].teacher.logits
        torch.testing.assert_close(found, teacher.both(batch_of().x)[0])


def test_a_sub_module_called_logits_says_nothing() -> None:
    student = Returning("dict")
    student.logits = nn.Identity()
    check(Returning("tensor"), student, None)


class Graphs(AbstractDataset):
    """Two graphs, for every split."""

    task, num_features, num_classes, inputs = "single-label", 5, 3, ("x",)

    train = validation = test = tuple(
        Sample(id=str(i), x=batch_of(seed=i).x, y=batch_of(seed=i).y) for i in range(2)
    )


@pytest.mark.parametrize(("form", "declared"), [("tuple", "[0]"), ("named tuple", None)])
def test_all_who_call_a_network_find_them(form: str, declared: str | None) -> None:
    network = Returning(form)
    if declared is not None:
        network.logits = declared
    dataset = Graphs()
    sample = dataset.test[0]
    plain = Returning("tensor")
    plain.load_state_dict(network.state_dict())
    assert Scores(dataset, 1)(network, "test") == Scores(dataset, 1)(plain, "test")
    assert inference_time(network, dataset.test, ("x",)) > 0
    distances = feature_distances(network, sample, ("x",), "hidden", 0)
    assert torch.equal(distances, feature_distances(plain, sample, ("x",), "hidden", 0))
    assert [info.path for info in taps(network, sample, ("x",))] == ["hidden", "out:input", "out"]


def test_what_holds_itself_can_be_listed() -> None:
    class Endless(nn.Module):
        def forward(self, x: Tensor) -> object:
            output = SimpleNamespace(x=x)
            output.self = output
            return output

    network = nn.Sequential(Endless())
    assert [info.path for info in taps(network, batch_of(), ["x"])] == ["0[x]"]
