"""Targets: what a cached teacher comes down to where the loss needs no more of it."""

from types import SimpleNamespace

import pytest
import torch
from distiller_problems import Recorder, distiller_of
from torch import Tensor, nn

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.errors import DataError, ParameterError

WIDTHS = {"teacher": 16, "student": 4}
SIZES = {"a": 5, "b": 1, "c": 7, "d": 4}
TAPS = {"student": "inner", "teacher": "inner"}


class Averaging(nn.Module):
    """Features of a node's in-neighbours, mapped."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(5, width), nn.Linear(width, 3)
        self.runs = 0

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        self.runs += 1
        received = torch.zeros_like(x).index_add_(0, edge_index[1], x[edge_index[0]])
        return self.head(self.inner(received).relu())


def sample(name: str) -> gkd.Sample:
    random, nodes = torch.Generator().manual_seed(ord(name)), SIZES[name]
    return gkd.Sample(
        id=name,
        x=torch.randn(nodes, 5, generator=random),
        y=torch.randint(3, (nodes,), generator=random),
        edge_index=torch.randint(nodes, (2, 3 * nodes), generator=random),
    )


def batch(names: str) -> gkd.Batch:
    return gkd.collate([sample(name) for name in names])


def networks() -> tuple[Averaging, Averaging]:
    torch.manual_seed(0)
    return Averaging(WIDTHS["teacher"]), Averaging(WIDTHS["student"])


def distiller(cache: TeacherCache | None, *terms: gkd.Term) -> gkd.Distiller:
    made = distiller_of(*networks(), *terms, inputs=["x", "edge_index"], teacher_cache=cache)
    return made.prepare(batch("ab"))


def edges(names: str) -> int:
    return sum(gkd.Graph(sample(n).edge_index, SIZES[n]).num_edges for n in names)


LOSSES = {
    "lsp": {},
    "lsp-linear": {"kernel": "linear"},
    "lsp-code": {"variant": "official-code"},
    "lsp-joshi": {"variant": "joshi", "kernel": "poly"},
    "at": {},
    "at-max": {"power": 1.0, "pooling": "max", "squared": False},
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_target_in_any_company_is_worth_the_teacher(name: str) -> None:
    term = gkd.Term(name.partition("-")[0], 2.0, params=LOSSES[name], **TAPS)
    cached, plain = distiller(TeacherCache(), term), distiller(None, term)
    for names in ("abc", "d", "dcab", "ba", "ac"):
        ours, theirs = cached(batch(names)), plain(batch(names))
        torch.testing.assert_close(ours.total, theirs.total)
        gradients = [
            torch.autograd.grad(report.total, model.student.parameters())
            for report, model in ((ours, cached), (theirs, plain))
        ]
        torch.testing.assert_close(*gradients)
    assert (cached.teacher_cache.misses, cached.teacher_cache.hits) == (2, 3)


def test_numbers_per_edge_take_the_place_of_wide_features() -> None:
    cached = distiller(TeacherCache(), gkd.Term("lsp", **TAPS))
    cached(batch("abcd"))
    assert cached.teacher_cache.num_bytes == 4 * edges("abcd")


def test_a_number_per_node_takes_the_place_of_wide_features() -> None:
    cached = distiller(TeacherCache(), gkd.Term("at", **TAPS))
    cached(batch("abcd"))
    assert cached.teacher_cache.num_bytes == 4 * sum(SIZES.values())


def test_targets_and_outputs_lie_side_by_side() -> None:
    cache, recorder = TeacherCache(), Recorder()
    terms = [gkd.Term("lsp", **TAPS), gkd.Term(recorder, **TAPS), gkd.Term("kd")]
    both = distiller(cache, *terms)
    both(batch("ab"))
    both(batch("ba"))
    nodes = SIZES["a"] + SIZES["b"]
    assert cache.num_bytes == 4 * (edges("ab") + nodes * (WIDTHS["teacher"] + 3))
    assert recorder.teacher.features.shape == (nodes, WIDTHS["teacher"])
    assert cache.hits == 1


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"sigma": "median"}},
        {"student_graph": lambda z, batch: gkd.Graph(torch.tensor([[0], [0]]), len(z))},
        {"graph": lambda z, batch: gkd.Graph(torch.tensor([[0], [0]]), len(z))},
    ],
)
def test_outputs_are_kept_where_a_target_would_follow_from_more_than_the_sample(options) -> None:
    cache, term = TeacherCache(), gkd.Term("lsp", **options, **TAPS)
    cached, plain = distiller(cache, term), distiller(None, term)
    for names in ("ab", "cd", "da"):
        torch.testing.assert_close(cached(batch(names)).total, plain(batch(names)).total)
    assert cache.hits == 1
    assert cache.num_bytes >= 4 * WIDTHS["teacher"] * sum(SIZES.values())


def test_what_a_builder_made_of_the_teacher_is_kept_too() -> None:
    built = []

    def ring(features: Tensor, batch: Tensor) -> gkd.Graph:
        built.append(len(features))
        nodes = torch.arange(len(features))
        first = torch.searchsorted(batch, batch)
        size = torch.bincount(batch)[batch]
        return gkd.Graph(torch.stack([first + (nodes - first + 1) % size, nodes]), len(nodes))

    loss = Recorder()
    term = gkd.Term(loss, teacher_graph=ring, **TAPS)
    cached = distiller(TeacherCache(), term)
    seen = len(built)
    cached(batch("abc"))
    cached(batch("abc"))
    assert len(built) == seen + 1
    assert loss.teacher.graph == ring(torch.zeros(13, 1), batch("abc").batch)
    cached(batch("cab"))  # other company: compared with the teacher, once
    graph, seen = loss.teacher.graph, len(built)
    cached(batch("bc"))
    assert len(built) == seen
    assert graph == ring(torch.zeros(13, 1), batch("cab").batch)


def test_students_of_the_same_method_share_targets() -> None:
    teacher, cache = networks()[0], TeacherCache()

    def run(term: gkd.Term) -> None:
        student = networks()[1]
        inputs = ["x", "edge_index"]
        distiller_of(teacher, student, term, inputs=inputs, teacher_cache=cache)(batch("ab"))

    for _ in range(2):
        run(gkd.Term("lsp", params={"kernel": "rbf", "sigma": 2.0}, **TAPS))
    assert (cache.misses, cache.hits) == (1, 1)
    run(gkd.Term("lsp", params={"kernel": "rbf", "sigma": 3.0}, **TAPS))
    run(gkd.Term(gkd.create("loss", "lsp", kernel="rbf", sigma=2.0), **TAPS))
    assert (cache.misses, cache.hits) == (3, 1)
    assert cache.num_bytes == 3 * 4 * edges("ab")


def linked(links: Tensor) -> gkd.Batch:
    known = sample("a")
    return gkd.collate([gkd.Sample(id="a", x=known.x, y=known.y, links_edge_index=links)])


def test_other_edges_under_the_same_id_are_an_error() -> None:
    teacher, student = (nn.Sequential(nn.Linear(5, width), nn.Linear(width, 3)) for width in (9, 4))
    term = gkd.Term("lsp", graph="links_edge_index", student="0", teacher="0")
    cached = distiller_of(teacher, student, term, teacher_cache=TeacherCache())
    links = torch.tensor([[0, 1, 2], [1, 0, 1]])
    cached(linked(links))
    cached(linked(links.flip(1)))
    with pytest.raises(DataError, match="sample 'a' has changed since"):
        cached(linked(torch.tensor([[0, 1, 3], [1, 0, 1]])))


class Centred(gkd.AbstractLoss):
    """Says of its target what is not so."""

    uses = ("features",)
    target_per_sample = True

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        return (student.features.mean(1) - teacher.features[:, 0]).square().mean()

    def target(self, teacher: gkd.View) -> gkd.View:
        mean = teacher.features.mean(1, keepdim=True)
        return gkd.View(features=mean - mean.mean(0))


def test_a_target_that_mixes_samples_is_an_error() -> None:
    cached = distiller(TeacherCache(), gkd.Term(Centred(), **TAPS))
    cached(batch("ab"))
    cached(batch("cd"))
    with pytest.raises(ParameterError, match="for a sample depend on the other samples"):
        cached(batch("ad"))


def test_a_loss_that_makes_no_target_has_the_outputs_kept() -> None:
    class Plain(Recorder):
        target_per_sample = True

    loss = Plain()
    cached = distiller(TeacherCache(), gkd.Term(loss, **TAPS))
    cached(batch("ab"))
    cached(batch("ab"))
    assert loss.teacher.features.shape == (6, WIDTHS["teacher"])
    assert cached.teacher_cache.hits == 1


def test_values_on_edges_need_a_graph() -> None:
    class Loose(Recorder):
        target_per_sample = True

        def target(self, teacher: gkd.View) -> gkd.View:
            return gkd.View(edge_values=torch.ones(3))

    cached = distiller(TeacherCache(), gkd.Term(Loose(), **TAPS))
    with pytest.raises(ParameterError, match=r"values of shape \[3\] for the missing graph"):
        cached(batch("ab"))


def test_a_non_finite_target_is_blamed_on_the_teacher() -> None:
    class Infinite(Recorder):
        target_per_sample = True

        def target(self, teacher: gkd.View) -> gkd.View:
            return gkd.View(graph=teacher.graph, edge_values=teacher.graph.target / 0)

    cached = distiller(TeacherCache(), gkd.Term(Infinite(), **TAPS))
    with pytest.raises(gkd.errors.NonFiniteError, match=r"the teacher's target .* infinite"):
        cached(batch("ab"))


def test_remember_runs_the_teacher_alone() -> None:
    cached = distiller(TeacherCache(), gkd.Term("lsp", **TAPS))
    runs = cached.student.runs
    assert cached.remember(batch("ab"))
    assert cached.remember(batch("cd"))
    assert cached.student.runs == runs
    cached(batch("ad"))
    cached(batch("bc"))
    assert (cached.teacher_cache.misses, cached.teacher_cache.hits) == (2, 2)
    with pytest.raises(ParameterError, match="made without a teacher_cache"):
        distiller(None).remember(batch("ab"))


class Norms(gkd.AbstractLoss):
    """Difference of norms, of which a target keeps no features."""

    uses = ("features",)
    per_row = True
    target_per_sample = True

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        known = teacher if teacher.features.shape[1] == 1 else self.target(teacher)
        return (student.features.norm(dim=1) - known.features[:, 0]).square()

    def target(self, teacher: gkd.View) -> gkd.View:
        return gkd.View(features=teacher.features.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("weigher", [None, *gkd.names("weigher")])
def test_a_weigher_sees_what_the_teacher_said(weigher: str | None) -> None:
    term = gkd.Term(Norms(), weigher=weigher, **TAPS)
    with_cache, without = distiller(TeacherCache(), term), distiller(None, term)
    for names in ("ab", "cd", "abcd", "da"):
        expected = without(batch(names)).terms["norms"]
        torch.testing.assert_close(with_cache(batch(names)).terms["norms"], expected)
    assert with_cache.teacher_cache.hits == 2


class OfTask(gkd.AbstractLoss):
    """A loss whose target depends on the distiller's task, which it asks for."""

    target_per_sample = True

    def __init__(self, task: str | gkd.Task) -> None:
        super().__init__()
        self.scale = 1.0 if task == "single-label" else 2.0

    def target(self, teacher: gkd.View) -> gkd.View:
        return gkd.View(features=self.scale * teacher.require_features("of-task"))

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        made = teacher if teacher.logits is None else self.target(teacher)
        return made.require_features("of-task").abs().sum()


def test_targets_for_two_tasks_do_not_mix() -> None:
    plugin = type("Plugin", (), {"gkd_losses": gkd.hookimpl(lambda self: {"of-task": OfTask})})()
    host, (teacher, student) = gkd.create_host(), networks()
    host.register(plugin)
    data, cache = batch("ab"), TeacherCache()
    data = SimpleNamespace(
        x=data.x, edge_index=data.edge_index, ptr=data.ptr, batch=data.batch, ids=data.ids,
        y=data.y, labels=torch.nn.functional.one_hot(data.y, 3).float(),
    )  # fmt: skip

    def value(task: str, cache: TeacherCache | None) -> Tensor:
        target = "y" if task == "single-label" else "labels"
        options = {"inputs": ["x", "edge_index"], "target": target, "teacher_cache": cache}
        term = gkd.Term("of-task", **TAPS)
        return distiller_of(teacher, student, term, task=task, **options)(data).terms["of-task"]

    with host.activated():
        for task in ("single-label", "multi-label"):
            torch.testing.assert_close(value(task, cache), value(task, None))
