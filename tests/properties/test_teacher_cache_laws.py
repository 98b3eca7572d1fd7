"""A sample gets its own target, whatever the order, company, epoch, room and worker."""

import tempfile

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader

import gkd
from gkd.cache.teacher_cache import TeacherCache

seeds = st.integers(0, 2**31 - 1)


class Network(nn.Module):
    """Two rounds of sums over in-neighbours; ``inner`` is tapped."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(3, width), nn.Linear(width, 2)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden = self.inner(received(x, edge_index))
        return self.head(received(hidden, edge_index))


def received(x: Tensor, edge_index: Tensor) -> Tensor:
    return torch.zeros_like(x).index_add_(0, edge_index[1], x[edge_index[0]])


class Own(gkd.AbstractLoss):
    """Fails unless the teacher's view is what it says of this very batch, sample by sample."""

    uses = ("features", "logits")

    def __init__(self, teacher: nn.Module, tolerance: float = 1e-5) -> None:
        super().__init__()
        self.expected, self.tolerance = [teacher], tolerance
        self.batch: gkd.Batch | None = None

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        for start, one in zip(self.batch.ptr.tolist(), self.batch.split(), strict=False):
            rows = slice(start, start + one.num_nodes)
            logits = self.expected[0](one.x, one.edge_index)
            features = self.expected[0].inner(received(one.x, one.edge_index))
            # Outputs are sums of features, by which they may be small.
            allowed = self.tolerance * max(1.0, *(x.abs().max().item() for x in (logits, features)))
            for ours, theirs in ((teacher.logits, logits), (teacher.features, features)):
                torch.testing.assert_close(ours[rows], theirs, rtol=0, atol=allowed)
        return student.logits.sum() * 0


class Divergences(gkd.AbstractLoss):
    """Fails unless the loss of a target is that of each sample's teacher by itself."""

    uses = ("features", "graph")
    target_per_sample = True

    def __init__(self, teacher: nn.Module, loss: gkd.AbstractLoss) -> None:
        super().__init__()
        self.expected, self.loss = [teacher], loss
        self.batch: gkd.Batch | None = None
        self.targets = 0

    def target(self, teacher: gkd.View) -> gkd.View:
        self.targets += 1
        return self.loss.target(teacher)

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        value, expected = self.loss(student, teacher), torch.tensor(0.0)
        for start, one in zip(self.batch.ptr.tolist(), self.batch.split(), strict=False):
            graph = gkd.Graph(one.edge_index, one.num_nodes)
            features = self.expected[0].inner(received(one.x, one.edge_index))
            ours = student.features[start : start + one.num_nodes]
            views = (gkd.View(features=z, graph=graph) for z in (ours, features))
            expected = expected + one.num_nodes * self.loss(*views)
        torch.testing.assert_close(value, expected / self.batch.num_nodes, rtol=1e-3, atol=1e-5)
        return value


def drawn_samples(data: st.DataObject, seed: int) -> list[gkd.Sample]:
    random = torch.Generator().manual_seed(seed)
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    return [
        gkd.Sample(
            id=f"graph-{index}",
            x=torch.randn(size, 3, generator=random),
            y=torch.randint(2, (size,), generator=random),
            edge_index=torch.randint(size, (2, data.draw(st.integers(0, 12))), generator=random),
        )
        for index, size in enumerate(sizes)
    ]


def networks(seed: int) -> tuple[Network, Network]:
    torch.manual_seed(seed)
    return Network(6), Network(4)


def train_for_some_epochs(
    data: st.DataObject, known: list[gkd.Sample], cached: gkd.Distiller, losses: list
) -> None:
    for _ in range(data.draw(st.integers(2, 4))):
        order = data.draw(st.permutations(known))
        size = data.draw(st.integers(1, len(known)))
        for start in range(0, len(known), size):
            batch = gkd.collate(order[start : start + size])
            for loss in losses:
                loss.batch = batch
            cached(batch)


@given(st.data(), seeds, st.sampled_from([1, 200, 2**20]))
@settings(max_examples=25)
def test_outputs_are_the_samples_own(data: st.DataObject, seed: int, limit: int) -> None:
    known, (teacher, student) = drawn_samples(data, seed), networks(seed)
    loss = Own(teacher)
    with tempfile.TemporaryDirectory() as folder:
        cached = gkd.Distiller(
            teacher, student, [gkd.Term(loss, student="inner", teacher="inner")],
            task="single-label", inputs=["x", "edge_index"],
            teacher_cache=TeacherCache(limit, folder),
        )  # fmt: skip
        train_for_some_epochs(data, known, cached, [loss])
        assert cached.teacher_cache.num_samples == len(known)


@given(st.data(), seeds, st.sampled_from([1, 60, 2**20]))
@settings(max_examples=25)
def test_targets_are_the_samples_own(data: st.DataObject, seed: int, limit: int) -> None:
    known, (teacher, student) = drawn_samples(data, seed), networks(seed)
    losses = [
        Divergences(teacher, gkd.create("loss", "lsp", kernel="rbf", sigma=3.0)),
        Divergences(teacher, gkd.create("loss", "lsp", kernel="linear")),
    ]
    terms = [gkd.Term(loss, student="inner", teacher="inner") for loss in losses]
    with tempfile.TemporaryDirectory() as folder:
        cached = gkd.Distiller(
            teacher, student, terms, task="single-label", inputs=["x", "edge_index"],
            teacher_cache=TeacherCache(limit, folder),
        )  # fmt: skip
        train_for_some_epochs(data, known, cached, losses)
        for loss in losses:
            loss.batch = gkd.collate(known)
        cached(losses[0].batch)  # may be the first in other company, compared with the teacher
        seen = [loss.targets for loss in losses]
        cached(losses[0].batch)
        assert [loss.targets for loss in losses] == seen


def test_batches_from_several_workers_get_their_own_over_several_epochs() -> None:
    random = torch.Generator().manual_seed(0)
    known = [
        gkd.Sample(
            id=f"graph-{index}",
            x=torch.randn(5 + index % 3, 3, generator=random),
            y=torch.randint(2, (5 + index % 3,), generator=random),
            # Some with enough edges for a batch to join the graphs of its samples.
            edge_index=torch.randint(5, (2, 10 if index % 2 else 700), generator=random),
        )
        for index in range(12)
    ]
    teacher, student = networks(0)
    losses = [Own(teacher, 2e-2), Divergences(teacher, gkd.create("loss", "lsp", sigma=50.0))]
    terms = [gkd.Term(loss, student="inner", teacher="inner") for loss in losses]
    cached = gkd.Distiller(
        teacher, student, terms, task="single-label", inputs=["x", "edge_index"],
        teacher_cache=TeacherCache(),
    )  # fmt: skip
    companies = set()
    for workers in (2, 0, 2):
        loader = DataLoader(
            known, batch_size=3, shuffle=True, generator=random, collate_fn=gkd.collate,
            num_workers=workers, multiprocessing_context="fork" if workers else None,
        )  # fmt: skip
        for _ in range(2):
            for batch in loader:
                for loss in losses:
                    loss.batch = batch
                cached(batch)
                companies.add(batch.ids)
    assert len(companies) > 12
    assert cached.teacher_cache.num_samples == 12
    assert cached.teacher_cache.hits > 12
