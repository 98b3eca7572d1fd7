"""Laws of the engine, whatever the networks, weights and batches."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import gkd
from gkd.cache.keys import bit_sum, sample_digests
from gkd.cache.slices import join_views, split_view
from gkd.cache.teacher_cache import TeacherCache
from gkd.graph.disjoint_union import DisjointUnion

seeds = st.integers(0, 2**31 - 1)
weights = st.floats(0, 100)


class Squared(gkd.AbstractLoss):
    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        return (student.features - teacher.features).square().mean()


def network(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 2))


def samples(sizes: list[int]) -> list[gkd.Sample]:
    """Samples of random features and random edges, one per size."""
    return [
        gkd.Sample(
            id=f"s{i}",
            x=torch.randn(size, 3),
            y=torch.randint(2, (size,)),
            edge_index=torch.randint(size, (2, 2 * size)),
        )
        for i, size in enumerate(sizes)
    ]


sizes = st.lists(st.integers(1, 6), min_size=2, max_size=5)


@given(st.lists(weights, max_size=4), seeds)
def test_the_total_is_linear_in_the_weights(values: list[float], seed: int) -> None:
    torch.manual_seed(seed)
    teacher, student, (sample,) = network(), network().eval(), samples([7])
    taps = [str(i % 3) for i in range(len(values))]
    terms = [
        gkd.Term(Squared(), w, student=t, teacher=t) for w, t in zip(values, taps, strict=True)
    ]
    distiller = gkd.Distiller(teacher, student, terms, task="single-label", inputs=["x"])
    report = distiller(sample)
    parts = [report.weights[name] * value for name, value in report.terms.items()]
    torch.testing.assert_close(report.total, report.task + sum(parts))
    assert list(report.weights.values()) == values
    assert list(report.terms) == [name for name, weight in report.weights.items() if weight > 0]


@given(weights.filter(lambda weight: weight > 0.01), seeds)
def test_no_gradient_reaches_the_teacher_and_nothing_in_it_moves(weight: float, seed: int) -> None:
    torch.manual_seed(seed)
    teacher, student, (sample,) = network(), network(), samples([7])
    term = gkd.Term(Squared(), weight, student="1", teacher="1")
    distiller = gkd.Distiller(teacher, student, [term], task="single-label", inputs=["x"])
    teacher.requires_grad_(True).train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    distiller.train()(sample).total.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert student[0].weight.grad is not None


@given(seeds)
def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it(seed: int) -> None:
    torch.manual_seed(seed)
    teacher, student, (sample,) = network(), network(), samples([7])
    student.load_state_dict(teacher.state_dict())
    terms = [gkd.Term(Squared(), student=path, teacher=path) for path in "0123"]
    terms += [gkd.Term("lsp", student=path, teacher=path) for path in "0123"]
    distiller = gkd.Distiller(teacher, student, terms, task="single-label", inputs=["x"])
    report = distiller.eval()(sample)
    assert all(value.abs() < 1e-5 for value in report.terms.values())


@given(sizes, seeds, st.data())
def test_a_cached_teacher_answers_like_the_teacher(
    sizes: list[int], seed: int, data: st.DataObject
) -> None:
    torch.manual_seed(seed)
    teacher, student, known = network(), network().eval(), samples(sizes)

    class Expected(gkd.AbstractLoss):
        def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
            torch.testing.assert_close(teacher.features, features, rtol=0, atol=1e-6)
            torch.testing.assert_close(teacher.logits, logits, rtol=0, atol=1e-6)
            return student.logits.sum() * 0

    distiller = gkd.Distiller(
        teacher,
        student,
        [gkd.Term(Expected(), student="1", teacher="1")],
        task="single-label",
        inputs=["x"],
        teacher_cache=TeacherCache(),
    )
    for _ in range(6):
        chosen = data.draw(st.lists(st.sampled_from(known), min_size=1, unique_by=lambda s: s.id))
        batch = gkd.collate(chosen)
        with torch.no_grad():
            features, logits = teacher[:2](batch.x), teacher(batch.x)
        distiller(batch)


@given(sizes, seeds)
def test_joining_undoes_splitting(sizes: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    batch = gkd.collate(samples(sizes))
    graph = gkd.Graph(batch.edge_index, sum(sizes))
    rows = gkd.View(
        logits=torch.randn(len(sizes), 2),
        features=torch.randn(sum(sizes), 4),
        graph=graph,
        edge_values=torch.randn(graph.num_edges, 3),
    )
    for view in (rows, gkd.View(graph=graph)):
        joined = join_views(split_view(view, batch.ptr, "network"))
        for name in ("logits", "features", "edge_values"):
            part, whole = getattr(joined, name), getattr(view, name)
            assert part is whole is None or torch.equal(part, whole)
    assert joined.graph == graph


def digests(batch: gkd.Batch) -> dict[str, dict[str, int]]:
    inputs = {name: getattr(batch, name) for name in ("x", "edge_index", "batch")}
    return dict(zip(batch.ids, sample_digests(inputs, batch.ptr), strict=True))


@given(sizes, seeds, st.randoms(use_true_random=False))
def test_a_digest_does_not_depend_on_company_or_on_the_order_of_edges(sizes, seed, random) -> None:
    torch.manual_seed(seed)
    known = samples(sizes)
    first = digests(gkd.collate(known))
    random.shuffle(known)
    batch = gkd.collate(known[:2])
    batch.edge_index.copy_(batch.edge_index.flip(1))
    for name, digest in digests(batch).items():
        assert digest == first[name]


@given(sizes, seeds, st.randoms(use_true_random=False))
def test_numbers_of_nodes_have_a_digest_in_any_company(sizes, seed, random) -> None:
    torch.manual_seed(seed)
    pairs = [torch.randint(size, (2, 4)) for size in sizes]
    known = [
        gkd.Sample(id=str(i), x=torch.zeros(size, 1), pair_index=pair, seed_index=pair[0])
        for i, (size, pair) in enumerate(zip(sizes, pairs, strict=True))
    ]

    def found(chosen: list[gkd.Sample]) -> dict[str, dict[str, int]]:
        batch = gkd.collate(chosen)
        inputs = {"pair_index": batch.pair_index, "seed_index": batch.seed_index}
        return dict(zip(batch.ids, sample_digests(inputs, batch.ptr), strict=True))

    first = found(known)
    random.shuffle(known)
    for id, digest in found(known[:2]).items():
        assert digest == first[id]
    for changed in (pairs[0].flip(0), pairs[0].flip(1), pairs[0].roll(1)):
        sample = gkd.Sample(
            id="0", x=torch.zeros(sizes[0], 1), pair_index=changed, seed_index=pairs[0][0]
        )
        assert (found([sample])["0"] == first["0"]) == torch.equal(changed, pairs[0])


@given(sizes, seeds)
def test_a_graph_has_the_digest_of_its_edges(sizes: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    batch = gkd.collate(samples(sizes))
    parts = [gkd.Graph(sample.edge_index, sample.num_nodes) for sample in batch.split()]
    for graph in (DisjointUnion(parts), DisjointUnion([DisjointUnion(parts)])):
        of_edges, of_graph = (
            sample_digests({"edge_index": edges}, batch.ptr) for edges in (graph.edge_index, graph)
        )
        assert of_graph == of_edges


@given(st.integers(2, 8), seeds, st.data())
def test_a_digest_sees_every_change(size: int, seed: int, data: st.DataObject) -> None:
    torch.manual_seed(seed)
    (sample,) = samples([size])
    before = digests(gkd.collate([sample]))
    row, other = data.draw(st.permutations(range(size)))[:2]
    change = data.draw(st.sampled_from(["value", "rows", "edge"]))
    if change == "value":
        sample.x[row, 0] = torch.nextafter(sample.x[row, 0], torch.tensor(torch.inf))
    elif change == "rows":
        sample.x[[row, other]] = sample.x[[other, row]]
    else:
        sample.edge_index[1, row] = (sample.edge_index[1, row] + 1) % size
    assert digests(gkd.collate([sample])) != before


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.complex64, torch.bool])
def test_digests_of_any_dtype(dtype: torch.dtype) -> None:
    ones = torch.ones(4, 2).to(dtype)
    changed = ones.clone()
    changed[3, 1] = 0
    ptr = torch.tensor([0, 2, 4])
    first, second = sample_digests({"x": ones}, ptr)
    assert first == second
    assert sample_digests({"x": changed}, ptr)[0] == first != sample_digests({"x": changed}, ptr)[1]


@given(st.integers(1, 9), st.integers(0, 3), seeds)
def test_bit_sums_see_every_change_of_any_slice(size: int, start: int, seed: int) -> None:
    torch.manual_seed(seed)
    values = torch.randn(size + start)[start:]
    before = bit_sum(values)
    assert torch.equal(bit_sum(values), before)
    values[-1] = torch.nextafter(values[-1], torch.tensor(torch.inf))
    assert bit_sum(values) != before


def test_batches_of_any_class_are_equal() -> None:
    torch.manual_seed(0)
    batch = gkd.collate(samples([3, 4]))
    plain = SimpleNamespace(**{name: getattr(batch, name) for name in ("x", "y", "edge_index")})
    distiller = gkd.Distiller({}, network().eval(), task="single-label", inputs=["x"])
    assert torch.equal(distiller(batch).total, distiller(plain).total)
