"""What networks are called with: by name, in order, apart, whole."""

from types import SimpleNamespace

import pytest
import torch
from distiller_problems import Network, Squared, batch_of
from torch import Tensor, nn

import gkd
from gkd.distillation.inputs import NetworkInputs
from gkd.errors import DataError, ParameterError


class Taking(nn.Module):
    """A network that keeps what it is called with."""

    def __init__(self, function) -> None:
        super().__init__()
        self.forward = function


def arguments(inputs, function, **values):
    """Positional and named arguments that a network with this ``forward`` gets."""
    taken = NetworkInputs(inputs, Taking(function), "student").arguments(SimpleNamespace(**values))
    return taken.positional, dict(taken.named)


def test_attributes_go_to_the_parameters_of_their_names() -> None:
    found = arguments(("x", "edge_index"), lambda edge_index, x: None, x=1, edge_index=2)
    assert found == ((), {"x": 1, "edge_index": 2})


@pytest.mark.parametrize(
    "function",
    [lambda input, edges: None, lambda x, ei: None, lambda *all: None, lambda x, /, ei: None],
)
def test_attributes_go_in_order_where_required_parameters_have_other_names(function) -> None:
    assert arguments(("x", "edge_index"), function, x=1, edge_index=2) == ((1, 2), {})


def test_nothing_takes_the_place_of_what_the_batch_has() -> None:
    taking = NetworkInputs(("x", "edge_attr"), Taking(lambda x, edge_index: None), "student")
    message = "student: inputs: 'edge_attr' would go to the parameter 'edge_index', for which"
    with pytest.raises(ParameterError, match=message):
        taking.arguments(SimpleNamespace(x=1, edge_index=2, edge_attr=3))


def test_a_mapping_says_what_goes_where() -> None:
    inputs = {"adj": "adj_t", "h": "x"}
    assert arguments(inputs, lambda h, adj: None, x=1, adj_t=2) == ((), {"adj": 2, "h": 1})


def test_optional_parameters_are_left_out_where_the_batch_has_nothing() -> None:
    inputs = ("x", "edge_weight", "edge_attr")
    found = arguments(inputs, lambda x, edge_weight=1, edge_attr=2: None, x=1, edge_attr=None)
    assert found == ((), {"x": 1})
    found = arguments(inputs, lambda x, edge_weight=1, edge_attr=2: None, x=1, edge_attr=7)
    assert found == ((), {"x": 1, "edge_attr": 7})


def test_the_batch_itself() -> None:
    batch = SimpleNamespace(x=torch.zeros(2, 1), name="a", count=3)
    taken = NetworkInputs("batch", Taking(lambda data: None), "student").arguments(batch)
    assert taken.positional == (batch,)
    assert list(taken.content) == ["x"]


@pytest.mark.parametrize(
    ("inputs", "function", "message"),
    [
        (
            ("x", "edge_attr"),
            lambda x, edge_weight=None: None,
            r"student: inputs: no parameter of forward\(x, edge_weight=None\) takes 'edge_attr'; "
            r"did you mean 'edge_weight'",
        ),
        (("x", "edge_index"), lambda input: None, r"forward\(input\) takes 'x'; available: input"),
        (
            ("x", "edge_index"),
            lambda data: None,
            r"available: data; where 'data' is the whole batch, say inputs = 'batch'\. A mapping",
        ),
        (("x",), lambda x, edge_index: None, r"forward\(x, edge_index\) needs 'edge_index'"),
        ({"h": "x"}, lambda x: None, r"no parameter of forward\(x\) takes 'x'; .*available: x"),
        ((), lambda x: None, r"expected names of attributes"),
        (("x", "x"), lambda x: None, r"expected names of attributes"),
        (("x", 1), lambda x: None, r"expected names of attributes"),
        ("x", lambda x: None, r"expected names of attributes .* or 'batch', got 'x'"),
    ],
)
def test_what_no_parameter_takes_or_none_gives_is_an_error(inputs, function, message) -> None:
    with pytest.raises(ParameterError, match=message):
        NetworkInputs(inputs, Taking(function), "student")


class Graphical(nn.Module):
    """Sums over in-neighbours, then a head."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.head(x.index_add(0, edge_index[1], x[edge_index[0]]))


def test_a_student_without_edges_learns_from_a_teacher_with_them() -> None:
    torch.manual_seed(0)
    teacher, student, batch = Graphical(), nn.Linear(5, 3), batch_of()
    distiller = gkd.Distiller(
        teacher,
        student,
        [gkd.Term("kd", params={"temperature": 2.0})],
        task="single-label",
        inputs={"student": ("x",), "teacher": ("x", "edge_index")},
    )
    ours, theirs = (
        (logits.double() / 2).log_softmax(1)
        for logits in (student(batch.x), teacher(batch.x, batch.edge_index))
    )
    expected = 4 * (theirs.exp() * (theirs - ours)).sum(1).mean()
    assert distiller(batch).terms["kd"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_networks_say_themselves_what_they_are_called_with() -> None:
    class Declared(Graphical):
        inputs = ("x", "edge_index")

    student = nn.Linear(5, 3)
    student.inputs = ("x",)
    made = gkd.Distiller(Declared(), student, [gkd.Term(Squared())], task="single-label")
    assert made(batch_of()).total.isfinite()
    with pytest.raises(ParameterError, match="inputs: say what the student is called with"):
        gkd.Distiller(Declared(), nn.Linear(5, 3), task="single-label")


def test_several_teachers_have_inputs_of_their_own() -> None:
    teachers = {"tissue": Graphical(), "organ": Network()}
    inputs = {"student": ("x",), "tissue": ("x", "edge_index"), "organ": ("x",)}
    terms = [gkd.Term(Squared(), teacher=f"{name}:", name=name) for name in teachers]
    made = gkd.Distiller(teachers, Network(), terms, task="single-label", inputs=inputs)
    assert set(made(batch_of()).terms) == {"tissue", "organ"}
    inputs = {"student": ("x",), "tisue": ("x", "edge_index"), "organ": ("x",)}
    with pytest.raises(ParameterError, match="inputs: no network 'tisue'; did you mean 'tissue'"):
        gkd.Distiller(teachers, Network(), terms, task="single-label", inputs=inputs)


def test_attributes_that_are_missing_are_named() -> None:
    made = gkd.Distiller({}, Graphical(), task="single-label", inputs=("x", "edge_index"))
    batch = batch_of()
    del batch.edge_index
    with pytest.raises(DataError, match=r"inputs: the batch .* has no 'edge_index'"):
        made(batch)


@pytest.mark.parametrize("network", ["teacher", "student"])
def test_a_network_of_another_floating_type_than_its_data_is_named(network: str) -> None:
    networks = {"teacher": nn.Linear(3, 2), "student": nn.Linear(3, 2)}
    networks[network].double()
    distiller = gkd.Distiller(
        **networks, terms=[gkd.Term("kd")], task="single-label", inputs=("x",)
    )
    batch = SimpleNamespace(x=torch.ones(4, 3), y=torch.zeros(4, dtype=torch.int64))
    with pytest.raises(gkd.ParameterError) as caught:
        distiller(batch)
    expected = f"the {network} has weights of torch.float64, and is called with x (torch.float32)"
    assert expected in str(caught.value)
    batch.x = batch.x[:, :2]  # another mistake, which is not hidden
    networks[network].float()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        distiller(batch)


class Double(nn.Module):
    """A teacher that computes in another type, and says nothing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 4).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden(x.double())


def test_a_loss_that_cannot_compare_two_types_names_them() -> None:
    student = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
    term = gkd.Term("nst", student="0", teacher="hidden")
    distiller = gkd.Distiller(Double(), student, [term], task="single-label", inputs=("x",))
    batch = SimpleNamespace(x=torch.ones(4, 3), y=torch.zeros(4, dtype=torch.int64))
    with pytest.raises(gkd.ParameterError) as caught:
        distiller(batch)
    expected = "term 'nst': the loss cannot compare torch.float32 of the student with torch.float64"
    assert expected in str(caught.value)


def test_a_network_that_takes_several_things_is_not_handed_the_batch() -> None:
    message = "student: inputs = 'batch' hands over the whole batch, and its forward takes x, edges"
    with pytest.raises(ParameterError, match=message):
        NetworkInputs("batch", Taking(lambda x, edges, more=None: None), "student")
    assert arguments("batch", lambda data, more=None: None, x=1)[1] == {}
