"""Laws of losses that are asked for some rows: as among all, for the edges of these rows alone."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import gkd
from gkd import AbstractKernel, Graph, Step, View
from gkd.functional import neighbour_divergence as neighbour_divergences
from gkd.functional.similarities import EdgePairs
from gkd_lsp.kernels import L2, RBF, Cosine, Laplacian, Linear, Polynomial
from gkd_lsp.lsp import LSP
from gkd_lsp.neighbourhoods import within_hops

KERNELS: dict[str, AbstractKernel] = {
    "linear": Linear(),
    "poly": Polynomial(),
    "l2": L2(),
    "l2 unsquared": L2(squared=False),
    "rbf": RBF(),
    "rbf median": RBF("median"),
    "cosine": Cosine(),
    "laplacian": Laplacian(scale=2.0),
}
OTHERS = {
    "lsp-walks": {"per_row": True, "walks": 2},
    "lsp-walks over edges": {"per_row": True, "reduction": "edge-mean"},
    "lsp-weighted": {},
    "ff-g2m-low": {},
    "ff-g2m-high": {},
    "hgmd": {"warmup": 0, "scheme": "mixup"},
    "hgmd weight": {"warmup": 0, "scheme": "weight"},
    "hgmd plain": {"warmup": 0, "scheme": "plain"},
    "krd": {"warmup": 0},
    "mskd": {"per_row": True},
}
CLOSE = {torch.float32: 1e-6, torch.float64: 1e-12}
DTYPES = st.sampled_from([*CLOSE])
SEEDS = st.integers(0, 2**32)


@st.composite
def graphs_with_rows(draw: st.DrawFn) -> tuple[Graph, Graph, Tensor]:
    """Two graphs of the same nodes, sparse and dense, with loops or without, and some rows."""
    count, random = draw(st.integers(1, 40)), torch.Generator().manual_seed(draw(SEEDS))
    edges = [
        torch.randint(count, (2, draw(st.integers(0, 3 * count))), generator=random)
        for _ in range(2)
    ]
    if draw(st.booleans()):  # every edge has its reverse
        edges[0] = torch.cat([edges[0], edges[0].flip(0)], dim=1)
    if draw(st.booleans()):
        edges[1] = edges[0]
    rows = torch.rand(count, generator=random) < draw(st.sampled_from([0.05, 0.3, 0.5, 1.0]))
    return Graph(edges[0], count), Graph(edges[1], count), rows.nonzero().flatten()


def draw_views(graphs: tuple[Graph, Graph], seed: int, dtype: torch.dtype) -> Iterator[View]:
    random = torch.Generator().manual_seed(seed)
    for graph, width in zip(graphs, (3, 5), strict=True):
        features, logits = (
            torch.randn(graph.num_nodes, columns, generator=random, dtype=dtype)
            for columns in (width, 4)
        )
        yield View(logits=logits, features=features, graph=graph)


def values_and_slopes(
    loss: gkd.AbstractLoss, views: tuple[View, View], rows: Tensor, asked: dict[str, object]
) -> list[Tensor]:
    """Return the values of rows, and the gradients of a sum that tells them apart."""
    leaves = [t.clone().requires_grad_() for t in (views[0].features, views[0].logits)]
    student = replace(views[0], features=leaves[0], logits=leaves[1])
    values = copy.deepcopy(loss)(student, views[1], **asked)[rows]  # it may remember the step
    (values * torch.arange(1, len(values) + 1)).sum().backward()
    slopes = [torch.zeros_like(z) if z.grad is None else z.grad for z in leaves]
    return [values.detach(), *slopes]


def require_as_among_all(
    loss: gkd.AbstractLoss, views: tuple[View, View], rows: Tensor, asked: dict[str, object]
) -> None:
    close = CLOSE[views[0].features.dtype]
    expected = values_and_slopes(loss, views, rows, _anew(asked))
    found = values_and_slopes(loss, views, rows, {**_anew(asked), "rows": rows})
    for each, right in zip(found, expected, strict=True):
        scale = max(1.0, float(right.abs().max())) if right.numel() else 1.0
        torch.testing.assert_close(each, right, rtol=close, atol=close * scale)


def _anew(asked: dict[str, object]) -> dict[str, object]:
    """Return what a loss is given, a step with its generator at its beginning."""
    return {name: value() if name == "step" else value for name, value in asked.items()}


@given(
    kernel=st.sampled_from(sorted(KERNELS)),
    case=graphs_with_rows(),
    seed=SEEDS,
    dtype=DTYPES,
    hops=st.sampled_from([1, 1, 2, 3]),
    variant=st.sampled_from(["paper", "official-code"]),
    reduction=st.sampled_from(["node-mean", "edge-mean"]),
)
def test_lsp_of_some_rows_is_theirs_among_all(
    kernel, case, seed, dtype, hops, variant, reduction
) -> None:
    *graphs, rows = case
    loss = LSP(KERNELS[kernel], variant, reduction=reduction, hops=hops, per_row=True)
    require_as_among_all(loss, tuple(draw_views(graphs, seed, dtype)), rows, {})


@given(case=graphs_with_rows(), seed=SEEDS, dtype=DTYPES)
def test_a_target_of_the_teacher_serves_some_rows(case, seed, dtype) -> None:
    graph, _, rows = case
    loss = LSP(per_row=True)
    student, teacher = draw_views((graph, graph), seed, dtype)
    require_as_among_all(loss, (student, loss.target(teacher)), rows, {})


@pytest.mark.parametrize("name", OTHERS)
@given(case=graphs_with_rows(), seed=SEEDS, dtype=DTYPES, sampled=st.booleans())
def test_others_of_some_rows_are_theirs_among_all(name, case, seed, dtype, sampled) -> None:
    graph, _, rows = case
    loss = gkd.create("loss", name.split()[0], **OTHERS[name])
    student, teacher = views = tuple(draw_views((graph, graph), seed, dtype))
    nodes = torch.arange(graph.num_nodes)

    def step() -> Step:
        inputs = {
            "x": student.features,
            "edge_index": graph.edge_index,
            "edge_weight": (graph.source + 2 * graph.target) % 4,
        }
        made = Step.of(
            student,
            nodes=nodes,
            inputs=inputs,
            epoch=1,
            logits=lambda network, x: teacher.logits + x.sum(dim=1, keepdim=True).sin(),
        )
        # Rows are among the seeds of a sampled batch.
        return (
            replace(made, seeds=nodes[: int(rows[-1]) + 1 if len(rows) else 0]) if sampled else made
        )

    asked: dict[str, object] = {"step": step}
    if name == "mskd":
        asked = {"teachers": {"one": teacher, "two": teacher}}
    require_as_among_all(loss, views, rows, asked)


@given(case=graphs_with_rows(), hops=st.sampled_from([1, 2, 3]))
def test_hops_lead_to_some_rows_as_they_do_among_all(case, hops) -> None:
    graph, _, rows = case
    some = within_hops(graph, hops, rows).in_edges(rows)  # before those of all are known
    every = within_hops(graph, hops).in_edges(rows)
    assert some.graph == every.graph


class Counting(AbstractKernel):
    """Counts the edges that it is asked about."""

    def __init__(self, inner: AbstractKernel) -> None:
        self.inner, self.pairwise, self.edges, self.nodes = inner, inner.pairwise, [], []

    def similarity(self, pairs: EdgePairs) -> Tensor:
        self.edges.append(pairs.graph.num_edges)
        self.nodes.append(pairs.graph.num_nodes)
        return self.inner.similarity(pairs)


def random_batch(nodes: int, edges: int, seeds: int) -> gkd.Batch:
    random = torch.Generator().manual_seed(0)
    sample = gkd.Sample(
        id="graph",
        x=torch.randn(nodes, 5, generator=random),
        edge_index=torch.randint(nodes, (2, edges), generator=random),
        y=torch.randint(3, (nodes,), generator=random),
        chosen=torch.arange(nodes) % (nodes // seeds) == 0,
        half=torch.arange(nodes) % 2 == 0,
    )
    return gkd.collate([sample])


class Two(nn.Module):
    """Features and logits of nodes, and a graph of its own."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = nn.Linear(5, width), nn.Linear(width, 3)
        self.wiring = Wiring(seed)

    def forward(self, x: Tensor) -> Tensor:
        self.wiring(x)
        return self.last(self.first(x))


class Wiring(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def forward(self, x: Tensor) -> Graph:
        random = torch.Generator().manual_seed(self.seed)
        return Graph(torch.randint(len(x), (2, 3 * len(x)), generator=random), len(x))


def step_with(loss: gkd.AbstractLoss, rows: str, batch: object, **options: object) -> list[Tensor]:
    student = Two(4, seed=2)
    term = gkd.Term(loss, student="first", teacher="first", rows=rows, **options)
    distiller = gkd.Distiller(
        Two(8, seed=1), student, [term], task="single-label", inputs=["x"], mask="all"
    )
    report = distiller(batch)
    report.total.backward()
    return [report.total.detach(), *(p.grad for p in student.parameters())]


class Whole(LSP):
    """Asks for no rows."""

    def forward(self, student: View, teacher: View) -> Tensor:
        return self.compare(student, teacher)


@pytest.mark.parametrize("graph", [None, "tap:wiring", {"name": "knn", "k": 4}])
@pytest.mark.parametrize("rows", ["chosen", "half", "~chosen"])
def test_a_term_on_any_graph_has_the_value_that_it_has_among_all(graph, rows) -> None:
    batch = random_batch(60, 200, 6)
    expected = step_with(Whole(per_row=True), rows, batch, graph=graph)
    found = step_with(LSP(per_row=True), rows, batch, graph=graph)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rows", ["chosen", "half", "all"])
def test_a_term_compares_along_edges_into_its_rows_alone(rows) -> None:
    batch = random_batch(600, 900, 6)
    kernel = Counting(RBF())
    step_with(LSP(kernel, per_row=True), rows, batch)
    graph = Graph(batch.edge_index, 600)
    wanted = torch.ones(600, dtype=torch.bool) if rows == "all" else getattr(batch, rows)
    assert kernel.edges == 2 * [int(wanted[graph.target].sum())]
    few = int(wanted.sum()) + kernel.edges[0]
    assert max(kernel.nodes) <= (few if rows == "chosen" else 600)


@pytest.mark.parametrize("neighbours", [["all"], [3, 3]])
def test_sampled_batches_are_compared_along_the_edges_into_seeds_alone(neighbours) -> None:
    sample = random_batch(300, 2400, 6)
    sample = gkd.Sample(id="a", x=sample.x, edge_index=sample.edge_index, y=sample.y)
    batch = next(iter(gkd.NeighbourLoader(sample, neighbours, 10)))
    kernel = Counting(RBF())
    step_with(LSP(kernel, per_row=True), "seeds", batch)
    graph = Graph(batch.edge_index, batch.num_nodes)
    assert kernel.edges == 2 * [int((graph.target < 10).sum())]
    assert kernel.edges[0] < graph.num_edges or neighbours == ["all"]


def test_a_scale_from_the_data_is_that_of_all_edges() -> None:
    kernel = Counting(RBF("median"))
    batch = random_batch(60, 90, 6)
    step_with(LSP(kernel, per_row=True), "chosen", batch)
    assert kernel.edges == 2 * [Graph(batch.edge_index, 60).num_edges]


@pytest.mark.parametrize("name", ["ff-g2m-low", "hgmd", "krd"])
def test_logits_are_compared_along_the_edges_into_rows_alone(name, monkeypatch) -> None:
    seen = []
    plain = neighbour_divergences.neighbour_sum

    def counted(weights: Tensor, features: Tensor, graph: Graph) -> Tensor:
        seen.append(graph)
        return plain(weights, features, graph)

    monkeypatch.setattr(neighbour_divergences, "neighbour_sum", counted)
    random = torch.Generator().manual_seed(0)
    graph = Graph(torch.randint(600, (2, 900), generator=random), 600)
    student, teacher = draw_views((graph, graph), 0, torch.float64)
    rows = torch.arange(0, 600, 100)
    step = Step.of(
        student,
        nodes=torch.arange(600),
        inputs={"x": student.features},
        logits=lambda network, x: teacher.logits + x[:, :1],
    )
    parameters = {"scheme": "plain"} if name == "hgmd" else {}
    gkd.create("loss", name, **parameters)(student, teacher, step=step, rows=rows)
    into_rows = int(torch.isin(graph.target, rows).sum())
    loops = seen[0].num_nodes if name == "ff-g2m-low" else 0
    assert into_rows <= seen[0].num_edges <= into_rows + loops
    assert seen[0].num_nodes <= len(rows) + into_rows
