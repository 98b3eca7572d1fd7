"""Every shipped benchmark runs, at sizes for which time means nothing, and both sides are right."""

import functools
from typing import Any

import pytest
import torch

from gkd.benchmarking import Benchmark, Setting
from gkd.benchmarking.installed import load_benchmarks
from gkd.benchmarking.measurement import measure
from gkd_benchmarks import BENCHMARKS
from gkd_benchmarks.growth import ring_edges, sparse_edges
from gkd_benchmarks.problems import EdgeSizes, distinct, undirected_edges

# Of what torch.compile does inside.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]

GRAPH = {"sizes": EdgeSizes(40, 300)}
CLOUDS = {"clouds": 2, "points": 40}
TINY: dict[str, dict[str, Any]] = {
    "lsp-union": CLOUDS | {"k": (3, 5), "widths": (4, 6)},
    "lsp-growth": {"edges": 3072, "small": 1024, "width": 4},
    "lsp-node-order": {"edges": 3072, "width": 4},
    "large-step": {"edges": 3072, "width": 4},
    "arxiv-step": GRAPH | {"channels": 5, "width": 6},
    "sampled-step": GRAPH | {"channels": 5, "width": 6, "seeds": 8},
    "knn-large": {"points": 200},
    "compiled-gat": GRAPH | {"channels": 5, "classes": 3, "widths": (24, 6)},
    "compiled-dgcnn": CLOUDS,
    "teacher-half-gat": GRAPH | {"channels": 5, "classes": 3, "widths": (24, 6)},
    "teacher-half-dgcnn": CLOUDS,
    "compiled-textbook": GRAPH | {"widths": (4, 6)},
    "ppi": GRAPH | {"channels": 5, "classes": 3, "widths": (24, 6)},
    "graph": {"edges": 100, "nodes": 20},
    # Families, where a name of its own is not listed.
    "lsp": GRAPH | {"widths": (4, 6)},
    "gat": GRAPH,
    "dgcnn": CLOUDS,
    "modelnet": CLOUDS,
    "knn-tree": {"points": 64, "total": 128},
    "knn-scipy": {"points": 64, "total": 128},
    "zoo": GRAPH | {"channels": 5, "classes": 3, "widths": (6, 3)},
    "knn": {"clouds": 2, "points": 50, "k": 5},
}
NAMES = pytest.mark.parametrize("name", BENCHMARKS)


def tiny(name: str) -> Benchmark:
    size = next(size for key, size in TINY.items() if name.startswith(key))
    return BENCHMARKS[name](**size)


@pytest.fixture(autouse=True)
def _compile_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name.startswith("zoo-")])
def test_a_step_with_each_loss_runs(name: str) -> None:
    # Right values are for the tests of the losses.
    assert all(gradient.isfinite().all() for gradient in tiny(name).ours(Setting())())


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if not name.startswith("zoo-")])
def test_it_runs_and_both_sides_are_right(name: str) -> None:
    result = measure(name, tiny(name), Setting(), repeats=1)
    assert result.speed.median > 0
    allowed = 1e-9 if name.startswith("knn") else 2e-2 if "half" in name else 2e-3
    for side in (result.ours, result.theirs):
        assert side.name
        assert side.error is not None
        assert side.error < allowed


@NAMES
def test_it_says_what_it_measures(name: str) -> None:
    benchmark = tiny(name)
    assert benchmark.alternative
    assert (type(benchmark).__doc__ or "").strip()
    assert benchmark.repeats >= 3


@pytest.mark.parametrize("name", ["lsp-rbf", "lsp-union", "gat-student", "ppi-step"])
def test_half_precision_runs_and_its_error_shows(name: str) -> None:
    result = measure(name, tiny(name), Setting(dtype=torch.bfloat16), repeats=1)
    for side in (result.ours, result.theirs):
        assert side.error is not None
        assert 0 < side.error < 0.3


def test_all_of_them_are_installed() -> None:
    installed = load_benchmarks()
    assert {name: installed[name] for name in BENCHMARKS} == dict(BENCHMARKS)


def test_the_goals_of_both_steps_and_speeds_are_there() -> None:
    goals = {name: tiny(name).goal for name in BENCHMARKS}
    assert goals["lsp-rbf"].speed == 40
    assert goals["lsp-rbf-cached"].speed == 100
    assert (goals["ppi-step"].time, goals["ppi-step"].memory) == (1.15, 1.1)
    assert goals["modelnet-step-uncached"].time == 2.2


def test_generated_graphs_have_each_edge_once_and_the_order_they_claim() -> None:
    sizes = EdgeSizes(96, 3072)
    for edges in (sparse_edges(sizes), ring_edges(sizes), undirected_edges(sizes)):
        assert distinct(edges, sizes.nodes).shape == edges.shape
        assert 0 <= int(edges.min()) <= int(edges.max()) < sizes.nodes
    source, target = sparse_edges(sizes)
    assert (torch.diff(target * sizes.nodes + source) > 0).all()
    assert torch.bincount(target).tolist() == [32] * 96
    edges = undirected_edges(sizes)
    assert torch.equal(distinct(edges, sizes.nodes), distinct(edges.flip(0), sizes.nodes))
