"""KRD against plain loops, and against what its authors' code gave."""

import copy
import math

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of
from hypothesis import given, settings
from hypothesis import strategies as st

import gkd
from gkd import Graph, Step, View
from gkd.errors import DataError, ParameterError
from gkd.functional.draws import mixed_names, normal_draws, uniform_draws
from gkd_graph_to_mlp.krd import KRD, agreement, entropy, fitted_exponent

EDGES = torch.tensor([[0, 1, 2, 3, 4, 1, 5, 0], [1, 2, 0, 4, 3, 0, 0, 0]])


def wave(slope: float, step: float, start: float, rows: int = 40) -> torch.Tensor:
    nodes = torch.arange(rows, dtype=torch.float64)
    return (nodes[:, None] * slope + torch.arange(3) * step + start).sin() * 2


TEACHER, NOISY, STUDENT = wave(1.3, 0.7, 0.1), wave(1.1, 0.9, 0.2), wave(1.3, 0.7, 0.5)


def views(rows=6, student=STUDENT):
    graph = Graph(EDGES, rows)
    return View(logits=student[:rows], graph=graph), View(logits=TEACHER[:rows], graph=graph)


def step_of(view, rows=6, **more):
    def second_pass(network="student", /, **changed):
        assert network == "teacher"
        return NOISY[:rows]

    settings = {"nodes": torch.arange(rows) + 7, "inputs": {"x": torch.zeros(rows, 3)}, **more}
    return Step.of(view, **{"logits": second_pass, **settings})


class TestRecordedValuesOfTheAuthorsCode:
    """Run in float64, with the tolerances of its fit at the last digits."""

    def test_changes_of_entropy(self):
        graph = Graph(EDGES, 40)
        view, teacher = View(logits=STUDENT, graph=graph), View(logits=TEACHER, graph=graph)
        loss = KRD()
        delta = loss._delta(teacher.logits, step_of(view, 40))
        assert delta[:3].tolist() == pytest.approx(
            [0.1184471767843526, 0.16125421091954856, 0.275638259947955], rel=1e-6
        )
        assert delta.sum().item() == pytest.approx(15.491963113726916, rel=1e-6)

    @pytest.mark.parametrize(
        ("bins", "fitted", "momentum", "moved"),
        [
            (50, 0.6923550224474532, 0.9, 0.9692355022447453),
            (10, 3.7300752874855236, 0.5, 2.365037643742762),
        ],
    )
    def test_exponents(self, bins, fitted, momentum, moved):
        change = (entropy(NOISY) - entropy(TEACHER)).abs()
        delta = change / change.max()
        agrees = STUDENT.argmax(1) == TEACHER.argmax(1)
        assert fitted_exponent(agreement(delta, agrees, bins), 1.0) == pytest.approx(
            fitted, rel=1e-6
        )
        loss = KRD(bins=bins, momentum=momentum)
        loss._follow(delta, agrees)
        assert loss.exponent.item() == pytest.approx(moved, rel=1e-6)

    def test_divergence_from_all_neighbours(self):
        student, teacher = views()
        value = KRD(temperature=0.8)(student, teacher, step=step_of(student)).mean()
        assert value.item() == pytest.approx(0.35673994047889057, rel=1e-6)


def softmax(row, temperature):
    powers = [math.exp(z / temperature) for z in row]
    return [power / sum(powers) for power in powers]


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**31),
    epoch=st.sampled_from([0, 5]),
    heat=st.floats(0.5, 3.0),
    exponent=st.floats(0.2, 4.0),
)
def test_is_what_its_formula_says(seed, epoch, heat, exponent):
    random = torch.Generator().manual_seed(seed)
    student, teacher = views(student=torch.randn(6, 3, generator=random, dtype=torch.float64))
    loss = KRD(temperature=heat, warmup=5, power=exponent).eval()
    got = loss(student, teacher, step=step_of(student, epoch=epoch, seed=seed))

    step = step_of(student, seed=seed)
    change = (entropy(NOISY[:6]) - entropy(TEACHER[:6])).abs().float()
    probability = 1 - (change / change.max()) ** loss.exponent
    torch.randint(2**62, (1,), generator=step.generator)  # the seed of the noise
    draw = int(torch.randint(2**62, (1,), generator=step.generator))
    pairs = [(node, node) for node in range(6)]
    for j, i in EDGES.T.tolist():
        name = mixed_names(step.keys[i : i + 1], step.keys[j : j + 1])
        kept = uniform_draws(name, 1, draw).item() < probability[j]
        if i != j and (epoch < 5 or kept):
            pairs.append((i, j))
    expected = [0.0] * 6
    for i, j in pairs:
        ours = softmax(student.logits[i].tolist(), heat)
        theirs = softmax(teacher.logits[j].tolist(), heat)
        divergence = sum(t * math.log(t / s) for t, s in zip(theirs, ours, strict=True))
        expected[i] += divergence * 6 / len(pairs)
    assert got.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_neighbours_are_drawn_with_their_probability():
    rows = 3000
    random = torch.Generator().manual_seed(0)
    graph = Graph(torch.randint(rows, (2, 40_000), generator=random), rows)
    delta = torch.rand(rows, generator=random)
    loss, counts = KRD(power=0.5), 0
    view = View(logits=torch.zeros(rows, 2), graph=graph)
    for seed in range(10):
        step = Step.of(view, nodes=torch.arange(rows), seed=seed)
        counts = counts + loss._drawn(delta, graph, step)
    probability = (1 - delta**0.5)[graph.source]
    for low in torch.arange(0, 1, 0.2):
        inside = (probability >= low) & (probability < low + 0.2)
        rate = counts[inside].mean() / 10
        assert rate == pytest.approx(probability[inside].mean().item(), abs=0.01)


def test_noise_is_normal_and_added_to_the_inputs_once():
    seen = []
    student, teacher = views()
    x = torch.arange(6 * 400.0).reshape(6, 400)

    def second_pass(network, /, **changed):
        seen.append(changed)
        return NOISY[:6]

    step = step_of(student, inputs={"h": x}, logits=second_pass)
    loss = KRD(noise=0.5, inputs="h")
    for _ in range(3):
        loss(student, teacher, step=step)
    ((changed,),) = (seen,)
    noise = changed["h"] - x
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.03)
    assert len(loss.changes.values) == 6


def test_draws_of_the_normal_distribution():
    drawn = normal_draws(torch.arange(300_000), 5, seed=1)
    assert drawn.shape == (300_000, 5)
    assert drawn.std().item() == pytest.approx(1.0, abs=0.003)
    assert (drawn**4).mean().item() == pytest.approx(3.0, abs=0.05)


def test_nodes_seen_later_are_measured_then():
    student, teacher = views()
    loss, calls = KRD(), []

    def second_pass(network, /, **changed):
        calls.append(len(changed["x"]))
        return NOISY[: len(changed["x"])]

    for count in (3, 3, 6):
        rows = torch.arange(count)
        view = student.rows(rows)
        step = step_of(view, count, logits=second_pass)
        loss(view, teacher.rows(rows), step=step)
    assert calls == [3, 6]
    assert len(loss.changes.values) == 6


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), exponent=st.floats(0.3, 4.0), bins=st.sampled_from([5, 10, 50]))
def test_no_exponent_fits_better(seed, exponent, bins):
    random = torch.Generator().manual_seed(seed)
    delta = torch.rand(500, generator=random)
    agrees = torch.rand(500, generator=random) < 1 - delta**exponent
    shares = agreement(delta, agrees, bins)
    fitted = fitted_exponent(shares, 1.0)
    grid = torch.linspace(0.01, 12, 4000, dtype=torch.float64)
    squares = (1 - shares.delta ** grid[:, None] - shares.share).square().sum(1)
    assert (1 - shares.delta**fitted - shares.share).square().sum() <= squares.min() + 1e-9


@pytest.mark.parametrize("agrees", [True, False])
def test_without_a_difference_the_exponent_stays(agrees):
    loss = KRD(bins=1)
    loss._follow(torch.linspace(0, 1, 9), torch.full((9,), agrees))
    assert loss.exponent.item() == 1.0


def test_a_teacher_that_no_noise_moves_is_reliable_everywhere():
    student, teacher = views()
    step = step_of(student, epoch=60, logits=lambda network, /, **changed: TEACHER[:6])
    loss = KRD()
    everything = loss(student, teacher, step=step_of(student, logits=step.logits))
    torch.testing.assert_close(KRD()(student, teacher, step=step), everything)


def test_the_gradient_is_the_slope():
    student, teacher = views()
    loss = KRD(warmup=0).eval()

    def value(logits):
        view = View(logits=logits, graph=student.graph)
        return loss(view, teacher, step=step_of(view))

    assert torch.autograd.gradcheck(value, student.logits.clone().requires_grad_())


@pytest.mark.parametrize("how", ["eval", "no_grad"])
def test_looking_changes_nothing(how):
    student, teacher = views()
    loss = KRD(warmup=0).train(how == "no_grad")
    before = copy.deepcopy(loss.state_dict())
    with torch.set_grad_enabled(how == "eval"):
        loss(student, teacher, step=step_of(student))
    for name, tensor in loss.state_dict().items():
        assert torch.equal(tensor, before[name]), name


class TestThroughADistiller:
    def batch(self, seed=0):
        batch = batch_of(seed=seed)
        batch.n_id, batch.m = torch.arange(6) + 2 * seed, torch.arange(6) < 4
        return batch

    def distiller(self, **options):
        torch.manual_seed(3)
        term = gkd.Term("krd", params={"warmup": 1, "bins": 5, "momentum": 0.5}, **options)
        return distiller_of(Network(width=7), Network(), term)

    def train(self, distiller, epochs):
        for epoch in epochs:
            distiller.epoch = epoch
            torch.manual_seed(epoch)
            report = distiller(self.batch(epoch))
            distiller.zero_grad()
            report.total.backward()
            with torch.no_grad():
                for parameter in distiller.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.1 * parameter.grad
        return report.total.item()

    def test_a_resumed_one_goes_on_exactly(self):
        whole = self.distiller()
        expected = self.train(whole, range(6))
        assert whole.losses["krd"].exponent != 1
        cut = self.distiller()
        self.train(cut, range(3))
        resumed = self.distiller()
        resumed.load_state_dict(copy.deepcopy(cut.state_dict()))
        assert self.train(resumed, range(3, 6)) == expected
        for name, tensor in whole.state_dict().items():
            assert torch.equal(tensor, resumed.state_dict()[name]), name

    def test_rows_share_out_the_whole(self):
        of = {}
        for rows in ("m", "~m", "all"):
            distiller = self.distiller(rows=rows)
            distiller.student.eval()
            of[rows] = distiller(self.batch()).terms["krd"].item()
        assert 4 * of["m"] + 2 * of["~m"] == pytest.approx(6 * of["all"], rel=1e-5)

    def test_the_noise_goes_through_the_teacher_of_the_term(self):
        batch, networks = self.batch(), {"a": Network(), "b": Network()}
        distiller = distiller_of(networks, Network(), gkd.Term("krd", teacher="b:"))
        passes = []
        for name, network in networks.items():
            network.register_forward_hook(lambda *_, name=name: passes.append(name))
        distiller(batch)
        assert passes == ["b", "b"]
        distiller(batch)
        assert passes == ["b", "b", "b"]

    def test_without_a_graph(self):
        batch = self.batch()
        del batch.edge_index
        with pytest.raises(DataError, match=r"term 'krd': graph: the batch .* no 'edge_index'"):
            self.distiller()(batch)

    def test_without_names(self):
        batch = self.batch()
        del batch.n_id
        with pytest.raises(ParameterError, match="term 'krd': krd knows rows again, but the batch"):
            self.distiller()(batch)


def test_what_is_missing_or_does_not_fit_is_said():
    student, teacher = views()
    with pytest.raises(ParameterError, match="krd compares logits"):
        KRD()(View(graph=student.graph), teacher, step=step_of(student))
    with pytest.raises(ParameterError, match="krd compares edges"):
        KRD()(View(logits=student.logits), teacher, step=step_of(student))
    with pytest.raises(ParameterError, match=r"is not over the 5 rows of the logits"):
        KRD()(View(student.logits[:5], graph=student.graph), View(TEACHER[:5]), step=None)
    with pytest.raises(ParameterError, match=r"noise is added to inputs='h', .* NoneType"):
        KRD(inputs="h")(student, teacher, step=step_of(student))
    with pytest.raises(ParameterError, match="outputs of this task are sigmoid"):
        KRD(task="multi-label")
    with pytest.raises(ParameterError, match="'bins' must be"):
        KRD(bins=0)


def test_no_rows_have_no_value():
    none = torch.zeros(0, 3, requires_grad=True)
    graph = Graph(torch.zeros(2, 0, dtype=torch.int64), 0)
    view = View(logits=none, graph=graph)
    step = Step.of(view, nodes=torch.zeros(0, dtype=torch.int64), inputs={"x": torch.zeros(0, 2)})
    assert KRD()(view, view, step=step).shape == (0,)
