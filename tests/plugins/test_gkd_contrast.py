"""CRD against plain loops, and against what its authors' code gave."""

import copy
import math

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, batch_of, distiller_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call

import gkd
import gkd_contrast.crd
from gkd import Step, View
from gkd.errors import ParameterError
from gkd.testing.memory_watch import MemoryWatch
from gkd_contrast.crd import CRD


def wave(rows: int, columns: int, slope: float, start: float) -> torch.Tensor:
    places = torch.arange(rows * columns, dtype=torch.float64)
    return (places * slope + start).sin().reshape(rows, columns)


def problem(rows=6, widths=(3, 4), seed=0):
    random = torch.Generator().manual_seed(seed)
    student, teacher = (
        View(features=torch.randn(rows, width, generator=random, dtype=torch.float64))
        for width in widths
    )
    return student, teacher


def built(student, teacher, seed=0, **parameters):
    torch.manual_seed(seed)
    loss = CRD(**{"width": 5, "negatives": 4, **parameters})
    loss.build(student, teacher)
    return loss


def step_of(view, *nodes, **more):
    named = torch.tensor(nodes) if nodes else torch.arange(view.num_rows)
    return Step.of(view, nodes=named, **more)


def test_recorded_values_of_the_authors_code(monkeypatch):
    student, teacher = (View(features=5 * wave(4, 3, *at)) for at in ((1.3, 0.1), (0.7, 0.2)))
    loss = built(student, teacher, width=3, negatives=5, temperature=0.2)
    with torch.no_grad():
        for head in loss.heads.values():
            head.weight.copy_(torch.eye(3))
            head.bias.zero_()
    loss.memory.places(step_of(View(features=torch.zeros(6, 1))), "crd")
    loss.memory.values = torch.cat([wave(6, 3, 2.1, 0.3), wave(6, 3, 0.9, 1.0)], 1)
    loss.log_scales = torch.tensor([4.11329650946712, 3.285711405425237], dtype=torch.float64)
    drawn = (torch.tensor([1, 2, 3, 4, 5]) + 0.5) / 6
    monkeypatch.setattr(
        gkd_contrast.crd, "uniform_draws", lambda keys, count, seed: drawn.repeat(len(keys), 1)
    )
    value = loss(student, teacher, step=step_of(student, 4, 0, 5, 2))
    assert value.item() == pytest.approx(10.816332291538718, rel=1e-6)
    sums = [bank.sum(1).tolist() for bank in loss.memory.values.split(3, dim=1)]
    ours = [-1.3861668860592573, -0.006425636470930862, 0.5479258435147725]
    ours += [-0.006178033150511797, 0.8169015118944065, 0.11610771000468978]
    theirs = [1.2578952905449492, -2.2290674701123496, 1.5234567596765969]
    theirs += [-1.220359001846395, 0.9808226202991568, -0.9940409488052246]
    assert sums[0] == pytest.approx(ours, rel=1e-9)
    assert sums[1] == pytest.approx(theirs, rel=1e-9)


def by_hand(loss, student, teacher, step, before):
    """Value of each node, by loops; ``before`` is the memory as the step found it."""
    seed = int(torch.randint(2**62, (1,), generator=step.generator))
    names = step.keys
    draws = gkd_contrast.crd.uniform_draws(names, loss.negatives, seed)
    columns = (draws * len(before.values)).long().tolist()
    places = before.places(step, "crd").tolist()
    vectors = []
    for head, view in zip(loss.heads.values(), (student, teacher), strict=True):
        mapped = (view.features @ head.weight.T + head.bias).tolist()
        vectors.append([[x / math.hypot(*row) for x in row] for row in mapped])
    banks = [bank.tolist() for bank in before.values.split(loss.width, dim=1)]
    values = []
    for node, own in enumerate(places):
        value = 0.0
        for side in range(2):
            bank, scale = banks[1 - side], math.exp(loss.log_scales[side])

            def likely(column, side=side, bank=bank, scale=scale, node=node):
                dot = sum(a * b for a, b in zip(vectors[side][node], bank[column], strict=True))
                power = math.exp(dot / loss.temperature)
                return power / (power + scale * loss.negatives)

            value -= math.log(likely(own))
            value -= sum(math.log(1 - likely(column)) for column in columns[node])
        values.append(value)
    return values


@settings(max_examples=15)
@given(
    seed=st.integers(0, 999),
    nodes=st.permutations(range(6)),
    per_row=st.booleans(),
    negatives=st.integers(1, 12),
)
def test_is_what_its_formula_says(seed, nodes, per_row, negatives):
    student, teacher = problem(seed=seed)
    loss = built(student, teacher, seed, per_row=per_row, negatives=negatives, temperature=0.5)
    loss(student, teacher, step=step_of(student, *range(3, 9)))
    before = loss.memory.copy()
    before.places(step_of(student, *nodes), "crd")
    expected = by_hand(loss, student, teacher, step_of(student, *nodes, seed=seed), before)
    got = loss(student, teacher, step=step_of(student, *nodes, seed=seed))
    if not per_row:
        got, expected = got[None], [sum(expected) / 6]
    assert got.tolist() == pytest.approx(expected, rel=1e-9)


def test_the_gradient_is_the_slope():
    student, teacher = problem()
    loss = built(student, teacher, temperature=0.5).eval()  # the banks stay

    weights = {f"heads.{side}.weight": loss.heads[side].weight for side in ("student", "teacher")}

    def value(features, *changed):
        views = View(features=features), teacher
        parameters = dict(zip(weights, changed, strict=True))
        return functional_call(loss, parameters, views, {"step": step_of(student)})

    leaves = [z.detach().clone().requires_grad_() for z in (student.features, *weights.values())]
    assert torch.autograd.gradcheck(value, leaves)


def test_the_scale_is_the_mean_over_the_bank_as_it_is_drawn():
    student, teacher = problem(40)
    loss = built(student, teacher, width=6, temperature=0.4)
    crowd = View(features=torch.zeros(200_000, 1))
    loss.memory.places(step_of(crowd), "crd")
    for side, vectors in enumerate(loss._vectors(student.features, teacher.features)):
        bank = loss.memory.values.split(6, dim=1)[1 - side]
        mean = (vectors @ bank.T / 0.4).exp().mean().log()
        assert loss.log_scales[side].item() == pytest.approx(mean.item(), abs=0.02)


def test_blocks_change_nothing(monkeypatch):
    student, teacher = problem()
    loss = built(student, teacher)
    other = copy.deepcopy(loss)
    leaves = [student.features.clone().requires_grad_() for _ in range(2)]
    one = loss(View(features=leaves[0]), teacher, step=step_of(student))
    monkeypatch.setattr(gkd_contrast.crd, "_SIMILARITIES", 8)
    two = other(View(features=leaves[1]), teacher, step=step_of(student))
    torch.testing.assert_close(one, two)
    for value, leaf in zip((one, two), leaves, strict=True):
        value.backward()
        assert leaf.grad.abs().sum() > 0
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad)


def test_memory_does_not_grow_with_pairs():
    student, teacher = problem(3000, (8, 8))
    loss = built(student, teacher, width=16, negatives=2048)
    leaf = student.features.requires_grad_()
    with MemoryWatch() as watch:
        loss(student, teacher, step=step_of(student)).backward()
    assert watch.elements <= 2**21  # of 6 million pairs
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("how", ["eval", "no_grad"])
def test_looking_changes_nothing(how):
    student, teacher = problem()
    loss = built(student, teacher)
    loss(student, teacher, step=step_of(student))
    before = copy.deepcopy(loss.state_dict())
    with torch.set_grad_enabled(how == "eval"):
        value = loss.train(how == "no_grad")(student, teacher, step=step_of(student, *range(3, 9)))
    assert value.isfinite()
    for name, tensor in loss.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_training_tells_nodes_apart():
    torch.manual_seed(0)
    student, teacher = problem(20, (4, 6))
    loss = built(student, teacher, width=8, negatives=16)
    features = student.features.clone().requires_grad_()
    optimiser = torch.optim.Adam([features, *loss.parameters()], lr=0.05)
    values = []
    for number in range(60):
        value = loss(View(features=features), teacher, step=step_of(student, seed=number))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert sum(values[-10:]) < 0.5 * sum(values[:10])


def test_through_a_distiller_a_resumed_one_goes_on_exactly():
    def distiller():
        torch.manual_seed(3)
        term = gkd.Term("crd", params={"width": 5, "negatives": 7}, rows="m", **SAME_TAPS)
        batch = batch_of()
        batch.m = torch.arange(6) != 2
        return distiller_of(Network(width=7), Network(), term).prepare(batch)

    def train(distiller, steps):
        for epoch in steps:
            distiller.epoch = epoch
            batch = batch_of(seed=epoch)
            batch.n_id, batch.m = torch.arange(6) + 3 * epoch, torch.arange(6) != 2
            torch.manual_seed(epoch)
            report = distiller(batch)
            distiller.zero_grad()
            report.total.backward()
            with torch.no_grad():
                for parameter in distiller.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.1 * parameter.grad
        return report.total.item()

    whole = distiller()
    expected = train(whole, range(4))
    cut = distiller()
    train(cut, range(2))
    saved = copy.deepcopy(cut.state_dict())
    resumed = distiller()
    resumed.load_state_dict(saved)
    assert train(resumed, range(2, 4)) == expected
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_what_is_missing_or_does_not_fit_is_said():
    student, teacher = problem()
    loss = built(student, teacher)
    with pytest.raises(ParameterError, match="crd: the maps do not exist yet"):
        CRD()(student, teacher, step=step_of(student))
    with pytest.raises(ParameterError, match=r"crd knows rows again, .* \(n_id.*\(ids\)"):
        loss(student, teacher, step=Step.of(student))
    with pytest.raises(ParameterError, match=r"widths 3 and 4, got 3 .* and 5 from the teacher"):
        loss(student, problem(widths=(3, 5))[1], step=step_of(student))
    with pytest.raises(ParameterError, match="got 6 rows from the student and 5"):
        loss(student, problem(5)[1], step=step_of(student))
    with pytest.raises(ParameterError, match="'momentum' must be"):
        CRD(momentum=1.0)
    batch = batch_of()
    distiller = distiller_of(Network(), Network(), gkd.Term("crd", **SAME_TAPS)).prepare(batch)
    with pytest.raises(ParameterError, match="term 'crd': crd knows rows again"):
        distiller(batch)


def test_no_rows_are_zero():
    student, teacher = problem()
    loss = built(student, teacher)
    none = torch.tensor([], dtype=torch.int64)
    view = student.rows(none)
    value = loss(view, teacher.rows(none), step=Step.of(view, nodes=none))
    assert value.item() == 0
