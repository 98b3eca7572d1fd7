"""G-CRD against a float64 reference written as the formula reads, its memory and its mistakes."""

import math

import pytest
import torch
from gkd_global import GCRD, gcrd
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gkd import ParameterError, Step, View


def views(nodes: int = 7, dtype: torch.dtype = torch.float64) -> tuple[View, View]:
    generator = torch.Generator().manual_seed(nodes)
    ours = torch.randn(nodes, 3, generator=generator, dtype=dtype, requires_grad=True)
    return View(features=ours), View(features=torch.randn(nodes, 5, generator=generator).to(dtype))


def built(student: View, teacher: View, **parameters) -> GCRD:
    torch.manual_seed(0)
    loss = GCRD(**{"width": 4, "temperature": 0.5, **parameters})
    loss.build(student, teacher)
    return loss


def reference(loss: GCRD, student: View, teacher: View) -> float:
    """Evaluate the formula, pair by pair."""
    s = loss.heads["student"](student.features).tolist()
    t = loss.heads["teacher"](teacher.features).tolist()

    def similarity(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.hypot(*a) / math.hypot(*b) / loss.temperature

    total = 0.0
    for i, ours in enumerate(s):
        among_all = sum(math.exp(similarity(ours, theirs)) for theirs in t)
        total -= math.log(math.exp(similarity(ours, t[i])) / among_all)
    return total / len(s)


@pytest.mark.parametrize("nodes", [2, 7, 30])
def test_it_is_the_formula(nodes):
    student, teacher = views(nodes)
    loss = built(student, teacher)
    assert loss(student, teacher).item() == pytest.approx(reference(loss, student, teacher), 1e-12)


def test_blocks_change_neither_value_nor_gradient(monkeypatch):
    student, teacher = views(30)
    loss = built(student, teacher)
    tensors = [student.features, *loss.parameters()]
    whole = loss(student, teacher)
    expected = torch.autograd.grad(whole, tensors)
    monkeypatch.setattr(gcrd, "_SIMILARITIES", 70)  # two rows at a time
    value = loss(student, teacher)
    torch.testing.assert_close(value, whole)
    for gradient, wanted in zip(torch.autograd.grad(value, tensors), expected, strict=True):
        torch.testing.assert_close(gradient, wanted)


class LargestTensor(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation made."""

    elements = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return made


def test_no_matrix_of_nodes_by_nodes_exists(monkeypatch):
    monkeypatch.setattr(gcrd, "_SIMILARITIES", 1000)
    student, teacher = views(200)
    loss = built(student, teacher)
    with LargestTensor() as largest:
        loss(student, teacher).backward()
    assert largest.elements <= 1000


def test_both_maps_learn_and_the_teacher_does_not():
    student, teacher = views()
    teacher.features.requires_grad_()
    loss = built(student, teacher)
    loss(student, teacher).backward()
    assert teacher.features.grad is None
    assert student.features.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())


def test_learning_tells_the_counterpart_of_each_node_from_the_others():
    student, teacher = views(12, torch.float32)
    loss = built(student, teacher, width=16, temperature=0.075)
    optimiser = torch.optim.Adam([student.features, *loss.parameters()], lr=0.05)
    start = loss(student, teacher).item()
    for _ in range(60):
        optimiser.zero_grad()
        loss(student, teacher).backward()
        optimiser.step()
    assert loss(student, teacher).item() < 0.1 < start


def test_heads_with_batch_normalisation_are_those_of_the_published_code():
    student, teacher = views()
    loss = built(student, teacher, head="batch-norm")
    assert [type(part) for part in loss.heads["teacher"]] == [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert loss(student, teacher).item() == pytest.approx(reference(loss, student, teacher), 1e-12)


def test_nodes_are_drawn_with_the_seed_when_there_are_more_than_samples():
    student, teacher = views(30)
    loss = built(student, teacher, samples=5)
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(loss(student, teacher).item())
    assert values[0] == values[1] != values[2]
    assert built(student, teacher, samples=30)(student, teacher) == built(student, teacher)(
        student, teacher
    )


def test_a_step_draws_the_nodes_and_leaves_the_global_state_alone():
    student, teacher = views(30)
    loss = built(student, teacher, samples=5)
    values, before = [], torch.get_rng_state()
    for seed in (1, 1, 2):
        values.append(loss(student, teacher, step=Step.of(student, seed=seed)).item())
    assert values[0] == values[1] != values[2]
    assert torch.equal(torch.get_rng_state(), before)


def test_drawing_takes_the_counterparts_along():
    student, teacher = views(30)
    loss = built(student, teacher, samples=5)
    torch.manual_seed(3)
    drawn = torch.randperm(30)[:5]
    torch.manual_seed(3)
    chosen = [View(features=view.features[drawn]) for view in (student, teacher)]
    assert loss(student, teacher).item() == pytest.approx(reference(loss, *chosen), 1e-12)


def test_one_node_has_nothing_to_be_told_from():
    student, teacher = views(1)
    value = built(student, teacher)(student, teacher)
    value.backward()
    assert value.item() == 0
    assert student.features.grad.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 0}, "'width' must be int > 0, got 0"),
        ({"temperature": 0.0}, "'temperature' must be finite float > 0, got 0.0"),
        ({"temperature": math.nan}, "'temperature' must be finite float > 0, got nan"),
        ({"head": "mlp"}, r"'head' must be 'linear' \| 'batch-norm', got 'mlp'"),
        ({"samples": 1}, r"'samples' must be int >= 2 \| None, got 1"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ParameterError, match=message):
        GCRD(**parameters)


def test_views_that_do_not_fit_are_refused():
    student, teacher = views()
    with pytest.raises(ParameterError, match="call build"):
        GCRD()(student, teacher)
    loss = built(student, teacher)
    with pytest.raises(ParameterError, match="built for features of widths 3 and 5, got 5"):
        loss(teacher, teacher)
    with pytest.raises(ParameterError, match="7 rows from the student and 8"):
        loss(student, views(8)[1])
    with pytest.raises(ParameterError, match="without features"):
        loss(View(), teacher)
    with pytest.raises(ParameterError, match=r"got torch.int64 of shape \[7, 3\]"):
        loss(View(features=student.features.long()), teacher)
