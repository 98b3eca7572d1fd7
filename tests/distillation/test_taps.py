import re
from collections import OrderedDict

import pytest
import torch
from distiller_problems import Network, Output, Recorder, batch_of, distiller_of, hooks_of
from torch import nn

import gkd
from gkd.distillation.taps import Tap, capture, taps
from gkd.errors import ParameterError, TapError


def tapped(student: nn.Module, tap: str) -> torch.Tensor:
    """What a loss sees of ``student`` at ``tap``."""
    loss = Recorder()
    distiller_of(Network(), student, gkd.Term(loss, student=tap))(batch_of())
    return loss.student.features


@pytest.mark.parametrize(
    "text",
    ["", "a.b", "a#0", "a[0]", "a[key][1]", "a.b#12[x]", "a:input", "a.b#1:input[x][0]", ":input"],
)
def test_a_tap_is_written_as_it_is_read(text: str) -> None:
    assert str(Tap.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["a#", "a#-1", "a[]", "a[0", "a[0]b", "a#x", "a[0]#1", "a[0]:input"]
)
def test_a_malformed_tap_says_how_taps_are_written(text: str) -> None:
    with pytest.raises(TapError, match="is not a tap: expected the path"):
        Tap.parse(text)


def test_a_tap_is_the_output_of_the_sub_module() -> None:
    student = Network()
    assert torch.equal(tapped(student, "layers.0"), student.layers[0](batch_of().x))


def test_a_missing_tap_names_the_nearest_paths() -> None:
    message = (
        r"term 'recorder': student: no sub-module 'layer\.1'; did you mean 'layers\.1'\? "
        r"Nearest of 6: layers\.1, layers\.0, layers, "
    )
    with pytest.raises(TapError, match=message):
        distiller_of(Network(), Network(), gkd.Term(Recorder(), student="layer.1"))


def test_a_missing_tap_of_a_network_without_sub_modules() -> None:
    with pytest.raises(TapError, match="the network has no sub-modules"):
        distiller_of(nn.Linear(5, 3), nn.Linear(5, 3), gkd.Term(Recorder(), teacher="fc"))


@pytest.mark.parametrize(
    ("tap", "expected"),
    [
        ("layers[1]", "'layers.1'"),
        ("layers", "'layers.0' or 'layers.1'"),
        ("layers[5]", "'layers.0' or 'layers.1'"),
        ("layers:input", "'layers.0' or 'layers.1'"),
    ],
)
def test_a_tap_of_a_list_of_modules_names_what_it_holds(tap: str, expected: str) -> None:
    message = (
        f"term 'recorder': student: tap '{tap}': a ModuleList is never called, what it holds is; "
        f"expected {expected}"
    )
    with pytest.raises(TapError, match=f"^{re.escape(message)}$"):
        distiller_of(Network(), Network(), gkd.Term(Recorder(), student=tap))


def test_a_list_of_modules_that_is_called_has_a_tap() -> None:
    class Stack(nn.ModuleList):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for module in self:
                x = module(x)
            return x

    student = Network()
    inner = Stack([nn.Linear(5, 4), nn.Tanh()])
    student.layers[0] = inner
    assert torch.equal(tapped(student, "layers.0"), inner(batch_of().x))


@pytest.mark.parametrize("network", ["student", "teacher"])
def test_a_tap_that_never_fires_names_term_network_and_tap(network: str) -> None:
    distiller = distiller_of(Network(), Network(), gkd.Term(Recorder(), **{network: "unused"}))
    with pytest.raises(TapError, match=rf"^term 'recorder': {network}: tap 'unused' never"):
        distiller(batch_of())


@pytest.mark.parametrize("network", ["student", "teacher"])
def test_a_tap_that_never_fires_names_every_term_that_asks_for_it(network: str) -> None:
    terms = [
        gkd.Term(Recorder(), name="fine", **{network: "norm"}),
        gkd.Term(Recorder(), name="first", **{network: "unused"}),
        gkd.Term(Recorder(), name="second", **{f"{network}_graph": "tap:unused"}),
    ]
    message = rf"^terms 'first', 'second': {network}: tap 'unused' never fired"
    with pytest.raises(TapError, match=message):
        distiller_of(Network(), Network(), *terms)(batch_of())


def test_the_term_is_named_whatever_is_wrong_with_its_tap() -> None:
    place = "^term 'recorder': student: tap 'inner"
    with pytest.raises(TapError, match=rf"{place}' fired 2 times"):
        tapped(Output(lambda x: x, calls=2), "inner")
    with pytest.raises(TapError, match=rf"{place}\[c\]': no item"):
        tapped(Output(lambda x: {"a": x}), "inner[c]")
    with pytest.raises(TapError, match=rf"{place}' yields a str"):
        tapped(Output(lambda x: "text"), "inner")


def test_a_tap_that_never_fires_is_found_before_its_term_has_weight() -> None:
    term = gkd.Term(Recorder(), student="unused", weight={"value": 1.0, "from_epoch": 9})
    with pytest.raises(TapError, match="never fired"):
        distiller_of(Network(), Network(), term)(batch_of())


def test_a_tap_that_fires_twice_lists_the_choices() -> None:
    with pytest.raises(TapError, match=r"fired 2 times .* choose one of: inner#0, inner#1"):
        tapped(Output(lambda x: x, calls=2), "inner")


def test_a_call_is_chosen_by_number() -> None:
    seen = []
    network = Output(lambda x: seen.append(x + len(seen)) or seen[-1], calls=3)
    assert torch.equal(tapped(network, "inner#1"), seen[1])


def test_a_call_that_does_not_happen_is_an_error() -> None:
    with pytest.raises(TapError, match=r"'inner#2' fired 2 times .* inner#0, inner#1"):
        tapped(Output(lambda x: x, calls=2), "inner#2")


def test_the_only_call_may_be_numbered() -> None:
    assert torch.equal(tapped(Output(lambda x: x + 1), "inner#0"), batch_of().x + 1)


@pytest.mark.parametrize(
    ("output", "tap"),
    [
        (lambda x: (x - 1, x + 1), "inner[1]"),
        (lambda x: [x - 1, x + 1], "inner[1]"),
        (lambda x: {"a": x - 1, "b": x + 1}, "inner[b]"),
        (lambda x: OrderedDict({0: x - 1, 7: x + 1}), "inner[7]"),
        (lambda x: (x - 1, {"b": (x, x + 1)}), "inner[1][b][1]"),
    ],
)
def test_items_of_outputs(output, tap: str) -> None:
    assert torch.equal(tapped(Output(output), tap), batch_of().x + 1)


def test_a_missing_item_lists_the_items() -> None:
    with pytest.raises(TapError, match=r"no item \[c\]; a dict of 2 has items a, b"):
        tapped(Output(lambda x: {"a": x, "b": x}), "inner[c]")


def test_a_tensor_has_no_items() -> None:
    with pytest.raises(TapError, match=r"a float32 tensor of shape \[6, 5\] has no items"):
        tapped(Output(lambda x: x), "inner[0]")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda x: (x, x), r"a tuple of 2, not a tensor; append one of: \[0\], \[1\]"),
        (lambda x: {"a": x}, r"a dict of 1, not a tensor; append one of: \[a\]"),
        (lambda x: "text", "a str, not a tensor$"),
        (lambda x: x.sum(dim=1), r"shape \[6\]; expected floating point features"),
        (lambda x: x.reshape(1, 1, 1, 6, 5), r"shape \[1, 1, 1, 6, 5\]; expected"),
        (lambda x: x.long(), r"int64 tensor of shape \[6, 5\]; expected floating point"),
    ],
)
def test_an_output_that_is_no_feature_matrix(output, message: str) -> None:
    with pytest.raises(TapError, match=message):
        tapped(Output(output), "inner")


def test_dense_features_become_rows_with_their_samples() -> None:
    loss = Recorder()
    student = Output(lambda x: x.reshape(2, 3, 5))
    distiller_of(Network(), student, gkd.Term(loss, student="inner"))(batch_of())
    assert torch.equal(loss.student.features, batch_of().x)
    assert loss.student.batch.tolist() == [0, 0, 0, 1, 1, 1]


def test_an_output_that_is_changed_in_place_is_an_error() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Linear(5, 5), nn.Linear(5, 3)

        def forward(self, x):
            hidden = self.inner(x)
            hidden += x
            return self.head(hidden)

    with pytest.raises(TapError, match="'inner': its output was changed in place afterwards"):
        tapped(Residual(), "inner")


def test_an_in_place_module_can_be_tapped() -> None:
    student = nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3))
    assert torch.equal(tapped(student, "1"), student[0](batch_of().x).relu())


def test_shared_modules_can_be_tapped_by_either_name() -> None:
    student = Network()
    student.again = student.layers[0]
    assert torch.equal(tapped(student, "again"), student.layers[0](batch_of().x))


def test_the_network_itself_can_be_tapped() -> None:
    assert tapped(Output(lambda x: x), "").shape == (6, 3)


def test_hooks_are_removed_after_a_step() -> None:
    term = gkd.Term(Recorder(), student="layers.0", teacher="layers.0")
    distiller = distiller_of(Network(), Network(), term)
    distiller(batch_of())
    assert hooks_of(distiller.student) == hooks_of(distiller.teachers["teacher"]) == 0


def test_hooks_are_removed_when_the_network_fails() -> None:
    student = Output(lambda x: 1 / 0)
    distiller = distiller_of(Network(), student, gkd.Term(Recorder(), student="inner"))
    with pytest.raises(ZeroDivisionError):
        distiller(batch_of())
    assert hooks_of(student) == 0


def test_hooks_are_removed_when_a_later_one_cannot_be_set() -> None:
    network = Network()
    with pytest.raises(AttributeError), capture(network, [Tap("norm"), Tap("no")], "network"):
        raise AssertionError("entered without all hooks")
    assert hooks_of(network) == 0


def test_hooks_of_the_user_stay() -> None:
    student = Network()
    student.norm.register_forward_hook(lambda *_: None)
    tapped(student, "norm")
    assert hooks_of(student) == 1


def test_the_listing_has_every_tap_that_fires() -> None:
    network = Network().train()
    listed = taps(network, batch_of(), inputs=["x"])
    assert [(info.path, info.type, info.shape, info.parameters) for info in listed] == [
        ("layers.0", "Linear", (6, 4), 24),
        ("layers.1", "Linear", (6, 3), 15),
        ("norm", "BatchNorm1d", (6, 4), 8),
        ("dropout:input", "Dropout", (6, 4), 0),
        ("dropout", "Dropout", (6, 4), 0),
    ]
    assert all(module.training for module in network.modules())
    assert network.norm.num_batches_tracked == 0
    assert hooks_of(network) == 0


def test_the_listing_writes_calls_items_and_graphs_as_terms_do() -> None:
    graph = gkd.Graph(torch.tensor([[0, 1], [1, 2]]), 6)
    network = Output(lambda x: (x, {"graph": graph}), calls=2)
    paths = {info.path: info.shape for info in taps(network, batch_of(), inputs=["x"])}
    assert paths == {
        "inner#0:input": (6, 5),
        "inner#0[0]": (6, 5),
        "inner#0[1][graph]": (2, 2),
        "inner#1:input": (6, 5),
        "inner#1[0]": (6, 5),
        "inner#1[1][graph]": (2, 2),
        "head": (6, 3),
    }


def test_every_listed_tap_with_features_works_in_a_term() -> None:
    student = Output(lambda x: (x, {"b": x + 1}), calls=2)
    for info in taps(student, batch_of(), inputs=["x"]):
        assert tuple(tapped(student, info.path).shape) == info.shape


class Calling(nn.Module):
    """A network whose sub-module ``inner`` is called with what ``function`` makes of ``x``."""

    def __init__(self, function) -> None:
        super().__init__()
        self.stem, self.inner, self.head = nn.Linear(5, 5), Joining(), nn.Linear(5, 3)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positional, named = self.function(self.stem(x))
        return self.head(self.inner(*positional, **named))


class Joining(nn.Module):
    def forward(self, x, edge_attr=None, *, scale=None):
        return x if edge_attr is None else x + edge_attr


class TestInputs:
    """Taps of what a sub-module is called with."""

    @pytest.mark.parametrize(
        ("function", "tap", "factor"),
        [
            (lambda h: ((2 * h,), {}), "inner:input", 2),
            (lambda h: ((), {"x": 2 * h}), "inner:input", 2),
            (lambda h: ((2 * h, 3 * h), {}), "inner:input", 2),
            (lambda h: ((2 * h, 3 * h), {}), "inner:input[0]", 2),
            (lambda h: ((2 * h, 3 * h), {}), "inner:input[1]", 3),
            (lambda h: ((2 * h, 3 * h), {}), "inner:input[edge_attr]", 3),
            (lambda h: ((2 * h,), {"edge_attr": 3 * h}), "inner:input[edge_attr]", 3),
            (lambda h: ((2 * h,), {"scale": (h, {"a": 5 * h})}), "inner:input[scale][1][a]", 5),
            (lambda h: ((2 * h,), {}), "inner#0:input", 2),
        ],
    )
    def test_an_argument_by_position_or_name(self, function, tap: str, factor: int) -> None:
        student = Calling(function)
        torch.testing.assert_close(tapped(student, tap), factor * student.stem(batch_of().x))

    @pytest.mark.parametrize(
        ("function", "tap", "message"),
        [
            (
                lambda h: ((), {"x": h, "edge_attr": h}),
                "inner:input",
                r"'inner:input': which input\? It is called with \[x\], \[edge_attr\]",
            ),
            (lambda h: ((h,), {}), "inner:input[1]", r"no item \[1\]; .* has items x, 0"),
            (lambda h: ((h, None), {}), "inner:input[1]", "yields a NoneType, not a tensor"),
        ],
    )
    def test_an_argument_that_is_not_there(self, function, tap: str, message: str) -> None:
        with pytest.raises(TapError, match=message):
            tapped(Calling(function), tap)

    def test_what_is_changed_in_place_is_gone(self) -> None:
        student = nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3))
        with pytest.raises(TapError, match="'1:input': its input was changed in place"):
            tapped(student, "1:input")

    def test_gradients_reach_what_comes_before(self) -> None:
        student = Calling(lambda h: ((h.relu(),), {}))
        term = gkd.Term(Recorder(), student="inner:input", teacher="inner:input")
        report = distiller_of(Calling(lambda h: ((h,), {})), student, term)(batch_of())
        report.terms["recorder"].backward()
        assert student.stem.weight.grad.abs().max() > 0

    def test_hooks_are_removed(self) -> None:
        student = Calling(lambda h: ((h,), {}))
        tapped(student, "inner:input")
        taps(student, batch_of(), ["x"])
        assert all(
            not module._forward_pre_hooks and not module._forward_hooks
            for module in student.modules()
        )

    def test_a_teacher_may_be_named_before(self) -> None:
        loss = Recorder()
        teachers = {"a": Calling(lambda h: ((2 * h,), {})), "b": Network()}
        term = gkd.Term(loss, teacher="a:inner:input")
        distiller_of(teachers, Network(), term)(batch_of())
        expected = 2 * teachers["a"].stem(batch_of().x)
        torch.testing.assert_close(loss.teacher.features, expected)

    def test_one_of_several_teachers_must_be_named_before(self) -> None:
        teachers = {"a": Network(), "b": Network()}
        with pytest.raises(ParameterError, match=r"write one of: 'a:norm:input', 'b:norm:input'"):
            distiller_of(teachers, Network(), gkd.Term(Recorder(), teacher="norm:input"))

    def test_the_pass_of_a_teacher_ends_before_the_module(self) -> None:
        class Features(Recorder):
            uses = ("features",)

        teacher = Calling(lambda h: ((h,), {}))
        calls = []
        teacher.inner.register_forward_hook(lambda *_: calls.append(1))
        term = gkd.Term(Features(), teacher="inner:input")
        distiller = distiller_of(teacher, Network(), term)
        for _ in range(3):
            distiller(batch_of())
        assert calls == [1]  # the first pass is a whole one

    def test_the_listing_has_inputs_that_are_no_outputs(self) -> None:
        student = Calling(lambda h: ((h.relu(),), {"edge_attr": h.exp(), "scale": h}))
        listed = [info.path for info in taps(student, batch_of(), ["x"])]
        assert listed == ["stem", "inner:input", "inner:input[edge_attr]", "inner", "head"]
        for path in listed:
            tapped(student, path)
