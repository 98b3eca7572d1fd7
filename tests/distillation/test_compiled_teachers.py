"""Teachers that are TorchScript, traced, frozen, exported or compiled by torch.fx."""

from collections.abc import Callable

import pytest
import torch
from distiller_problems import batch_of, distiller_of
from torch import Tensor, nn

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.distillation.inputs import NetworkInputs
from gkd.distillation.modes import evaluation_mode
from gkd.distillation.taps import taps
from gkd.errors import TapError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit

INPUTS = ("x", "edge_index")


class Summing(nn.Module):
    """Sums over in-neighbours, with dropout, then two layers."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(5, width), nn.Linear(width, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        summed = torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]]) + x
        return self.head(self.dropout(self.first(summed)).relu())


def example() -> tuple[Tensor, Tensor]:
    batch = batch_of()
    return batch.x, batch.edge_index


FORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "scripted": torch.jit.script,
    "traced": lambda network: torch.jit.trace(network, example()),
    "frozen": lambda network: torch.jit.freeze(torch.jit.script(network)),
    "exported": lambda network: torch.export.export(network, example()).module(),
    "exported by name": lambda network: torch.export.export(
        network, example()[:1], {"edge_index": example()[1]}
    ).module(),
    "fx": torch.fx.symbolic_trace,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cached", [False, True])
def test_logits_are_compared_as_with_the_module_itself(form: str, cached: bool) -> None:
    torch.manual_seed(0)
    eager, student = Summing(8).eval(), Summing()
    batch = batch_of()
    batch.ptr, batch.ids = torch.tensor([0, 6]), ("a",)
    expected = distiller_of(eager, student.eval(), gkd.Term("kd"), inputs=INPUTS)(batch)
    cache = TeacherCache() if cached else None
    compiled = FORMS[form](eager)
    distiller = distiller_of(compiled, student, gkd.Term("kd"), inputs=INPUTS, teacher_cache=cache)
    for _ in range(2):
        found = distiller(batch)
        torch.testing.assert_close(found.terms["kd"], expected.terms["kd"])
    found.total.backward()
    assert not any(parameter.requires_grad for parameter in compiled.parameters())


@pytest.mark.parametrize("form", ["scripted", "traced", "frozen"])
def test_torchscript_has_no_taps(form: str) -> None:
    compiled = FORMS[form](Summing().eval())
    tap = "" if form == "frozen" else "first"
    term = gkd.Term("fitnet", student="first", teacher=tap)
    with pytest.raises(TapError, match=r"^term 'fitnet': teacher: tap '.*' is in TorchScript"):
        distiller_of(compiled, Summing(), term, inputs=INPUTS)
    assert taps(compiled, batch_of(), INPUTS) == []


def test_an_exported_module_calls_no_sub_modules() -> None:
    term = gkd.Term("at", student="first", teacher="first")
    distiller = distiller_of(FORMS["exported"](Summing().eval()), Summing(), term, inputs=INPUTS)
    with pytest.raises(TapError, match="teacher: tap 'first' never fired"):
        distiller(batch_of())


def test_torch_fx_keeps_taps() -> None:
    eager, student = Summing().eval(), Summing().eval()
    term = gkd.Term("at", student="first", teacher="first")
    expected = distiller_of(eager, student, term, inputs=INPUTS)(batch_of())
    found = distiller_of(FORMS["fx"](eager), student, term, inputs=INPUTS)(batch_of())
    torch.testing.assert_close(found.terms["at"], expected.terms["at"])


def test_modes_of_what_has_modes() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scripted = FORMS["scripted"](Summing())
            self.exported = FORMS["exported"](Summing().eval())
            self.plain = nn.Dropout()

    both = Both()
    with (
        evaluation_mode(both.scripted),
        evaluation_mode(both.exported),
        evaluation_mode(both.plain),
    ):
        assert not both.plain.training
        assert not both.scripted.training
    assert both.plain.training
    assert both.scripted.training


def test_an_exported_module_takes_what_it_was_exported_with() -> None:
    batch = batch_of()
    taken = NetworkInputs(INPUTS, FORMS["exported"](Summing().eval()), "teacher").arguments(batch)
    assert len(taken.positional) == 2
    by_name = FORMS["exported by name"](Summing().eval())
    taken = NetworkInputs(INPUTS, by_name, "teacher").arguments(batch)
    assert len(taken.positional) == 1
    assert list(taken.named) == ["edge_index"]
