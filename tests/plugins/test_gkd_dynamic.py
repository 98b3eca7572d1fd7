"""Graph builders: parameters, inputs, choice of the backend."""

import logging
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

import gkd
from gkd import DataError, Graph, ParameterError, UnknownNameError
from gkd.functional.neighbours import nearest_neighbours
from gkd.functional.threads import Share
from gkd_dynamic import backends, cluster, kd_tree
from gkd_dynamic.cluster import cluster_neighbours
from gkd_dynamic.kd_tree import tree_neighbours
from gkd_dynamic.knn import KNN
from gkd_dynamic.radius import Radius
from gkd_dynamic.union import Union

ABSENT = ImportError("not there")
BATCH = torch.arange(3).repeat_interleave(20)


def points(width: int = 3) -> torch.Tensor:
    return torch.randn(60, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def no_trees(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment with neither torch-cluster nor scipy."""
    for module in (cluster, backends):
        monkeypatch.setattr(module, "find_torch_cluster", lambda: ABSENT)
    for module in (kd_tree, backends):
        monkeypatch.setattr(module, "find_scipy", lambda: ABSENT)
    backends._say_what_would_help.cache_clear()
    yield
    backends._say_what_would_help.cache_clear()


def test_builders_are_found_by_name() -> None:
    assert {"knn", "radius", "union"} <= set(gkd.names("graph"))
    assert isinstance(gkd.create("graph", "knn", k=3), KNN)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("knn", {"k": 0}, "graph 'knn': parameter 'k' must be int > 0, got 0"),
        ("knn", {"k": 2.5}, "'k' must be int > 0, got 2.5"),
        ("knn", {"backend": "torch_cluster"}, "did you mean 'torch-cluster'"),
        ("knn", {"n": 3}, "unknown parameter 'n'"),
        ("radius", {"radius": -1.0}, "'radius' must be finite float > 0, got -1.0"),
        ("radius", {"radius": float("inf")}, "'radius' must be finite float > 0, got inf"),
        ("radius", {}, "missing parameter 'radius'"),
        ("union", {"graphs": []}, r"'graphs' must be Sequence\[.*\] of length >= 1, got \[\]"),
        ("union", {"graphs": [{"k": 3}]}, r"graphs\[0\] needs the builder's 'name'"),
        (
            "union",
            {"graphs": [{"name": "knn", "k": 0}]},
            "graph 'knn': parameter 'k' must be int > 0, got 0",
        ),
        ("union", {"graphs": ["knn"]}, "'graphs' must be"),
    ],
)
def test_wrong_parameters_are_explained(name: str, parameters, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        gkd.create("graph", name, **parameters)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (lambda: KNN(k=True), "KNN: parameter 'k' must be int > 0, got True"),
        (lambda: KNN(backend="tree"), "got 'tree'; available: auto, scipy, torch, torch-cluster"),
        (lambda: Radius(True), "'radius' must be finite float > 0, got True"),
        (lambda: Union([3]), r"'graphs' must be Sequence\[.*\] of length >= 1, got \[3\]"),
    ],
)
def test_classes_check_what_they_are_given_directly(builder, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        builder()


def test_a_union_of_an_unknown_builder_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'knn'"):
        gkd.create("graph", "union", graphs=[{"name": "kn"}])


@pytest.mark.parametrize("builder", [KNN(3), KNN(3, "torch-cluster"), Radius(1.0)])
@pytest.mark.parametrize(
    ("features", "batch", "message"),
    [
        (points().long(), None, r"floating-point of shape \[N, C\], got torch.int64"),
        (points()[0], None, r"got torch.float32 of shape \[3\]"),
        ([[1.0]], None, "got list"),
        (points(), BATCH.int(), r"batch must be int64 of shape \[60\].* got torch.int32"),
        (points(), BATCH[1:], r"got torch.int64 of shape \[59\]"),
        (points(), BATCH.to("meta"), "batch is on meta, but the features are on cpu"),
        (points(), BATCH.flip(0), r"must ascend from 0.* but batch\[20\] is 1 after 2"),
        (points(), BATCH - 1, r"but batch\[0\] is -1$"),
    ],
)
def test_wrong_inputs_are_explained(builder, features, batch, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        builder(features, batch)


@pytest.mark.parametrize(
    "builder", [KNN(3), KNN(3, "torch-cluster"), KNN(3, "scipy"), KNN(3, "torch"), Radius(1.0)]
)
def test_what_is_not_finite_is_blamed_on_its_sample(builder) -> None:
    x = points()
    x[45, 2] = torch.nan
    with pytest.raises(DataError, match=r"sample 2: .* point 5 has the feature nan"):
        builder(x, BATCH)


@pytest.mark.parametrize("backend", ["auto", "torch", "torch-cluster", "scipy"])
@pytest.mark.parametrize("self_loops", [True, False])
def test_a_cloud_of_fewer_points_than_k_gives_all_of_them(backend: str, self_loops: bool) -> None:
    batch = torch.tensor([0, 0, 0, 1, 3, 3])
    graph = KNN(10, backend, self_loops)(torch.rand(6, 2), batch)
    expected = batch[:, None] == batch
    if not self_loops:
        expected.fill_diagonal_(False)
    assert graph == Graph(expected.nonzero().t(), 6)


@pytest.mark.parametrize("backend", ["auto", "torch", "torch-cluster", "scipy"])
@pytest.mark.parametrize("batch", [None, torch.zeros(0, dtype=torch.int64)])
def test_no_points_have_no_neighbours(backend: str, batch) -> None:
    graph = KNN(3, backend)(torch.zeros(0, 2), batch)
    assert (graph.num_nodes, graph.num_edges) == (0, 0)
    assert Radius(1.0)(torch.zeros(0, 2), batch) == graph


def test_without_a_batch_vector_all_points_are_one_cloud() -> None:
    x = points()
    assert KNN(5)(x) == KNN(5)(x, torch.zeros(60, dtype=torch.int64)) != KNN(5)(x, BATCH)


def test_a_radius_without_self_loops() -> None:
    x = points()
    graph = Radius(0.7, self_loops=False)(x, BATCH)
    assert not len(graph.self_loops)
    assert graph.with_self_loops() == Radius(0.7)(x, BATCH)


def test_a_union_is_that_of_its_builders_named_or_made() -> None:
    x, near = points(), Radius(1.0)
    graph = gkd.create("graph", "union", graphs=[{"name": "knn", "k": 4}, near])(x, BATCH)
    assert graph == KNN(4)(x, BATCH).union(near(x, BATCH))
    assert graph.num_edges > KNN(4)(x, BATCH).num_edges
    assert graph.neighbours is None


def test_settings_are_printed() -> None:
    printed = repr(Union([KNN(3), Radius(2)]))
    assert "KNN(k=3, backend='auto', self_loops=True)" in printed
    assert "Radius(radius=2.0, self_loops=True)" in printed


def test_points_of_one_place_are_their_own_neighbours_in_every_backend() -> None:
    for backend in ("torch", "torch-cluster", "scipy"):
        graph = KNN(4, backend)(torch.ones(60, 3), BATCH)
        assert len(graph.self_loops) == 60
        assert graph.neighbours is not None


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("backend", "module"), [("torch-cluster", cluster), ("scipy", kd_tree)])
def test_trees_give_the_same_in_any_number_of_threads(
    monkeypatch, threads: int, backend: str, module: ModuleType
) -> None:
    monkeypatch.setattr(
        module, "shares", lambda *given: [Share(number, threads) for number in range(threads)]
    )
    x, batch = points(), torch.tensor([0] * 3 + [1] * 40 + [4] * 17)
    assert KNN(5, backend)(x, batch) == KNN(5, "torch")(x, batch)


CLUSTER, SCIPY, TORCH = cluster_neighbours, tree_neighbours, nearest_neighbours


@pytest.mark.parametrize(
    ("channels", "sizes", "with_all", "without_cluster", "without_scipy"),
    [
        (3, [4096] * 4, CLUSTER, SCIPY, CLUSTER),
        (3, [2048] * 4, TORCH, TORCH, TORCH),
        (2, [2048] * 4, CLUSTER, SCIPY, CLUSTER),
        (2, [1024] * 4, TORCH, TORCH, TORCH),
        (3, [10] * 500, TORCH, TORCH, TORCH),
        (3, [10] * 50 + [4500], CLUSTER, SCIPY, CLUSTER),
        (3, [100_000], SCIPY, SCIPY, CLUSTER),
        (6, [8192], TORCH, TORCH, TORCH),
        (6, [16_384], CLUSTER, SCIPY, CLUSTER),
        (8, [16_384], TORCH, TORCH, TORCH),
        (64, [100_000], TORCH, TORCH, TORCH),
        (2, [], TORCH, TORCH, TORCH),
    ],
)
def test_auto_takes_a_tree_where_there_are_few_channels_and_many_points(
    monkeypatch, channels: int, sizes: list[int], with_all, without_cluster, without_scipy
) -> None:
    features = torch.empty(sum(sizes), channels, device="cpu")
    assert backends.fastest(features, sizes) is with_all
    assert backends.fastest(features.to("meta"), sizes) is TORCH
    with monkeypatch.context() as patch:
        patch.setattr(backends, "find_torch_cluster", lambda: ABSENT)
        assert backends.fastest(features, sizes) is without_cluster
    monkeypatch.setattr(backends, "find_scipy", lambda: ABSENT)
    assert backends.fastest(features, sizes) is without_scipy


@pytest.mark.parametrize("search", [CLUSTER, SCIPY, TORCH])
def test_auto_does_as_it_decides(monkeypatch: pytest.MonkeyPatch, search) -> None:
    used = []
    monkeypatch.setattr(
        backends, "fastest", lambda *given: lambda *given: (used.append(search), search(*given))[1]
    )
    assert KNN(3)(points(), BATCH) == KNN(3, "torch")(points(), BATCH)
    assert used == [search]


@pytest.mark.parametrize("backend", ["auto", "torch", "scipy", "torch-cluster"])
def test_more_edges_than_there_is_memory_for_are_refused(backend: str) -> None:
    message = (
        r"^knn: 'k' = 100000000, 'points' = 20000000 would take .* of memory, of which .* free"
    )
    with pytest.raises(ParameterError, match=message):
        KNN(10**8, backend)(torch.zeros(1, 3).expand(2 * 10**7, 3))


def test_auto_says_once_that_a_tree_would_help(no_trees, monkeypatch, caplog) -> None:
    x = torch.randn(2100, 2)
    expected = KNN(3, "torch")(x)
    with caplog.at_level(logging.INFO, logger="gkd"):
        assert KNN(3)(x) == KNN(3)(x) == expected
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "neither scipy (not there) nor torch-cluster (not there) is usable" in record.message
    assert "pip install scipy" in record.message


def test_auto_is_silent_where_no_tree_would_help(no_trees, caplog) -> None:
    KNN(3)(points(64), BATCH)
    assert not caplog.records


@pytest.mark.parametrize("backend", ["auto", "torch", "scipy"])
def test_points_without_channels_coincide(backend: str) -> None:
    graph = KNN(3, backend)(torch.zeros(600, 0))
    assert graph.num_edges == 1800
    assert len(graph.self_loops) == 600


def test_scipy_searches_on_the_cpu_only() -> None:
    with pytest.raises(ParameterError, match="computes on the CPU, but the features are on meta"):
        tree_neighbours(points().to("meta"), [60], 3)


@pytest.mark.parametrize(
    ("backend", "install"),
    [
        ("torch-cluster", "install it .* pip install --no-build-isolation torch-cluster"),
        ("scipy", "install it: pip install scipy"),
    ],
)
def test_a_backend_that_is_absent_says_how_to_get_it(no_trees, backend, install) -> None:
    message = rf"backend '{backend}' is not usable \(not there\); {install}"
    with pytest.raises(ParameterError, match=message):
        gkd.create("graph", "knn", backend=backend)


@pytest.mark.parametrize(
    ("name", "find"),
    [("torch_cluster", cluster.find_torch_cluster), ("scipy.spatial", kd_tree.find_scipy)],
)
def test_an_import_that_fails_is_absence(monkeypatch: pytest.MonkeyPatch, name, find) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    find.cache_clear()
    try:
        assert isinstance(find(), ImportError)
    finally:
        find.cache_clear()
    monkeypatch.undo()
    assert not isinstance(find(), Exception)
