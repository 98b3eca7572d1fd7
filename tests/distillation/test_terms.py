import pytest
import torch
from distiller_problems import Network, Recorder, Squared, batch_of, distiller_of

import gkd
from gkd.errors import GkdError, ParameterError, UnknownNameError


def test_names_come_from_the_losses_and_never_collide() -> None:
    terms = [
        gkd.Term(Squared()),
        gkd.Term(Squared()),
        gkd.Term(Recorder(), name="squared-2"),
        gkd.Term(Squared()),
    ]
    report = distiller_of(Network(), Network(), *terms)(batch_of())
    assert list(report.terms) == ["squared", "squared-3", "squared-2", "squared-4"]


def test_equal_names_are_refused() -> None:
    terms = [gkd.Term(Squared(), name="a"), gkd.Term(Recorder(), name="a")]
    with pytest.raises(ParameterError, match="two terms are named 'a'"):
        distiller_of(Network(), Network(), *terms)


@pytest.mark.parametrize("name", ["", "a.b", "keys"])
def test_unusable_names_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=f"term name {name!r} must not"):
        distiller_of(Network(), Network(), gkd.Term(Squared(), name=name))


class Forgetful(Squared):
    def __init__(self) -> None:
        self.weight = 2.0


class Careless(gkd.AbstractWeigher):
    def __init__(self) -> None:
        self.weight = 2.0

    def forward(self, view: gkd.View) -> torch.Tensor:
        return view.features[:, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": Forgetful()}, "term 'forgetful': loss is no module yet: Forgetful.__init__ does"),
        ({"loss": Squared(), "weigher": Careless()}, "'squared': weigher is no module yet: Carele"),
        ({"loss": Squared}, "AbstractLoss, got the class Squared: make one"),
        ({"loss": 3}, "loss must be the name of a loss or a gkd.AbstractLoss, got int"),
        ({"loss": torch.nn.MSELoss()}, "got MSELoss"),
        ({"loss": Squared(), "params": {"p": 2}}, "params are for a loss given by name"),
        ({"loss": Squared(), "student": 3}, "student must be a tap such as 'layers.1', or a list"),
        ({"loss": Squared(), "weight": -1.0}, "weight: expected a finite number >= 0"),
        ({"loss": Squared(), "weight": {"valu": 1.0}}, "weight: unknown key 'valu'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        gkd.Term(**arguments)


def test_an_unknown_loss_names_the_term_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"term 'fitnett': .*fitnet"):
        distiller_of(Network(), Network(), gkd.Term("fitnett"))


def test_a_wrong_parameter_of_a_loss_names_the_term() -> None:
    with pytest.raises(ParameterError, match=r"term 'kd': .*temperatur"):
        distiller_of(Network(), Network(), gkd.Term("kd", params={"temperatur": 2.0}))


def test_the_task_reaches_losses_that_ask_for_it() -> None:
    distiller = distiller_of(Network(), Network(), gkd.Term("kd"), task="multi-label")
    assert distiller.losses["kd"].task == "multi-label"


def test_the_task_that_a_user_gives_a_loss_stands() -> None:
    term = gkd.Term("kd", params={"task": "single-label"})
    distiller = distiller_of(Network(), Network(), term, task="multi-label")
    assert distiller.losses["kd"].task == "single-label"


class TestSeveralTeachers:
    def teachers(self) -> dict[str, Network]:
        return {"tissue": Network(4), "organ": Network(7)}

    def test_a_tap_names_its_teacher(self) -> None:
        loss = Recorder()
        term = gkd.Term(loss, student="layers.0", teacher="organ:layers.0")
        distiller_of(self.teachers(), Network(), term)(batch_of())
        assert loss.teacher.features.shape == (6, 7)

    def test_logits_are_those_of_the_named_teacher(self) -> None:
        teachers, loss = self.teachers(), Recorder()
        distiller_of(teachers, Network(), gkd.Term(loss, teacher="tissue:"))(batch_of())
        assert torch.equal(loss.teacher.logits, teachers["tissue"](batch_of().x))
        assert loss.teacher.features is None

    def test_terms_may_have_different_teachers(self) -> None:
        terms = [gkd.Term(Squared(), teacher=name) for name in ("tissue:", "organ:")]
        report = distiller_of(self.teachers(), Network(), *terms)(batch_of())
        expected = report.task + sum(report.terms.values())
        torch.testing.assert_close(report.total, expected)

    @pytest.mark.parametrize("teacher", [None, "layers.0"])
    def test_a_term_must_say_which(self, teacher: str | None) -> None:
        tap = teacher or ""
        message = f"of 2 teachers; write one of: 'tissue:{tap}', 'organ:{tap}'"
        with pytest.raises(ParameterError, match=message):
            distiller_of(self.teachers(), Network(), gkd.Term(Squared(), teacher=teacher))

    def test_an_unknown_teacher_names_the_nearest(self) -> None:
        with pytest.raises(UnknownNameError, match="no teacher 'tisue': did you mean 'tissue'"):
            distiller_of(self.teachers(), Network(), gkd.Term(Squared(), teacher="tisue:norm"))

    def test_errors_name_the_teacher(self) -> None:
        term = gkd.Term(Squared(), teacher="organ:layer")
        with pytest.raises(GkdError, match="teacher 'organ': no sub-module 'layer'"):
            distiller_of(self.teachers(), Network(), term)

    def test_one_teacher_in_a_mapping_needs_no_name(self) -> None:
        loss = Recorder()
        term = gkd.Term(loss, teacher="layers.0")
        distiller_of({"only": Network(7)}, Network(), term)(batch_of())
        assert loss.teacher.features.shape == (6, 7)

    @pytest.mark.parametrize("name", ["", "a:b", 3])
    def test_unusable_names(self, name: object) -> None:
        with pytest.raises(ParameterError, match="non-empty string without a colon"):
            distiller_of({name: Network()}, Network())


def test_a_term_without_teachers_is_an_error() -> None:
    with pytest.raises(ParameterError, match="needs a teacher to compare with"):
        distiller_of({}, Network(), gkd.Term(Squared()))


def test_taps_of_a_loss_that_looks_at_no_features_are_refused() -> None:
    taps = {"student": "layers.0", "teacher": "layers.1"}
    message = r"term 'kd': 'layers.0' and 'layers.1': this loss compares logits, and no features"
    with pytest.raises(ParameterError, match=message):
        distiller_of(Network(), Network(), gkd.Term("kd", **taps))
    assert distiller_of(Network(), Network(), gkd.Term("kd"))(batch_of()).terms


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (gkd.Term("kd"), r"terms: expected a sequence of gkd\.Term, got a Term; write \[term\]$"),
        (Squared(), r"terms: expected a sequence of gkd\.Term, got a Squared$"),
        ("kd", r"terms: expected a sequence of gkd\.Term, got a str$"),
        ({"kd": gkd.Term("kd")}, r"terms: expected a sequence of gkd\.Term, got a dict$"),
        (None, r"terms: expected a sequence of gkd\.Term, got a NoneType$"),
        (iter([gkd.Term("kd")]), r"terms: expected a sequence of gkd\.Term, got a list_iterator$"),
        ([gkd.Term("kd"), "kd"], r"terms\[1\]: expected a gkd\.Term, got a str$"),
    ],
)
def test_terms_are_a_sequence_of_terms(terms: object, message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{message}"):
        gkd.Distiller(Network(), Network(), terms, task="single-label", inputs=["x"])


@pytest.mark.parametrize("kind", [list, tuple])
def test_any_sequence_of_terms_will_do(kind: type) -> None:
    terms = kind([gkd.Term("kd")])
    distiller = gkd.Distiller(Network(), Network(), terms, task="single-label", inputs=["x"])
    assert list(distiller.losses) == ["kd"]
