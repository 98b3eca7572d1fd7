import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gkd import Graph, ParameterError, Sample, create
from gkd_data.communities import Communities
from gkd_data.community_graphs import (
    CommunityGenerator,
    CommunityGraph,
    CommunityLaw,
    context,
)

SMALL = {"train_graphs": 3, "validation_graphs": 2, "test_graphs": 2, "nodes": 60}


def equal(first: Sample, second: Sample) -> bool:
    return first.id == second.id and all(
        torch.equal(tensor, getattr(second, name)) for name, tensor in first.items()
    )


def everything(dataset: Communities) -> list[Sample]:
    return [*dataset.train, *dataset.validation, *dataset.test]


def digest(dataset: Communities) -> str:
    content = hashlib.sha256()
    for sample in everything(dataset):
        for _, tensor in sample.items():
            content.update(tensor.numpy().tobytes())
    return content.hexdigest()


@pytest.fixture(scope="module")
def dataset() -> Communities:
    return Communities()


class TestShape:
    def test_is_offered_as_a_plugin(self) -> None:
        dataset = create("dataset", "communities", **SMALL, features=7, classes=5)
        assert dataset.task == "multi-label"
        assert dataset.inputs == ("x", "edge_index")
        assert (dataset.num_features, dataset.num_classes) == (7, 5)
        assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [3, 2, 2]
        for sample in everything(dataset):
            assert sample.x.shape == (60, 7)
            assert sample.y.shape == (60, 5)
            assert sample.x.dtype == sample.y.dtype == torch.float32
            assert ((sample.y == 0) | (sample.y == 1)).all()

    def test_graphs_are_symmetric_sorted_and_without_self_loops(self, dataset: Communities) -> None:
        for sample in everything(dataset):
            graph = Graph(sample.edge_index, sample.num_nodes)
            assert torch.equal(graph.edge_index, sample.edge_index)
            assert Graph(sample.edge_index.flip(0), sample.num_nodes) == graph
            assert not (graph.source == graph.target).any()

    @pytest.mark.parametrize(
        "smallest",
        [
            {"nodes": 2, "degree": 0.0, "communities": 3, "classes": 1, "features": 1},
            {"nodes": 5, "degree": 5.0, "hidden": 1.0, "noise": 0.0},
            {"seed": 2**40},
        ],
    )
    def test_extreme_sizes_yield_finite_numbers(self, smallest: dict) -> None:
        for sample in everything(Communities(**{**SMALL, **smallest})):
            assert torch.isfinite(sample.x).all()
            assert torch.isfinite(sample.y).all()

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [
            ("seed", -1),
            ("train_graphs", 0),
            ("test_graphs", 0),
            ("nodes", 1),
            ("features", 0),
            ("classes", 0),
            ("communities", 2),
            ("degree", -1.0),
            ("degree", 61.0),
            ("noise", -0.1),
            ("noise", float("nan")),
            ("hidden", 1.1),
        ],
    )
    def test_refuses_values_out_of_range(self, parameter: str, value: float) -> None:
        with pytest.raises(ParameterError, match=f"{parameter}.*must be .*, got {value}"):
            Communities(**{**SMALL, parameter: value})


class TestDeterminism:
    def test_equal_parameters_give_equal_samples(self) -> None:
        first, second = Communities(**SMALL), Communities(**SMALL)
        assert all(map(equal, everything(first), everything(second)))

    def test_global_random_states_have_no_say_and_are_left_alone(self) -> None:
        expected = digest(Communities(**SMALL))
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002  the state that is not to be used
        after_torch, after_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        assert digest(Communities(**SMALL)) == expected
        assert torch.equal(torch.get_rng_state(), after_torch)
        assert np.array_equal(np.random.get_state()[1], after_numpy)  # noqa: NPY002

    @pytest.mark.parametrize("threads", ["1", "3"])
    def test_other_processes_and_thread_counts_agree(self, threads: str, tmp_path: Path) -> None:
        file = tmp_path / "samples.pt"
        program = (
            "import torch\n"
            "from gkd_data.communities import Communities\n"
            f"data = Communities(**{SMALL!r})\n"
            "samples = [*data.train, *data.validation, *data.test]\n"
            f"torch.save([dict(sample.items()) for sample in samples], {str(file)!r})\n"
        )
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        path = os.pathsep.join(filter(None, sys.path))
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(names, threads)},
            check=True,
        )
        theirs = torch.load(file)
        assert len(theirs) == 7
        for sample, other in zip(everything(Communities(**SMALL)), theirs, strict=True):
            # Products of matrices may be summed in another order; what is drawn is the same.
            torch.testing.assert_close(sample.x, other.pop("x"))
            assert all(torch.equal(getattr(sample, name), kept) for name, kept in other.items())
            assert {"y", "edge_index"} <= other.keys()

    def test_another_seed_gives_other_samples(self) -> None:
        first, second = Communities(**SMALL), Communities(**SMALL, seed=1)
        assert not any(map(equal, everything(first), everything(second)))

    def test_more_graphs_leave_the_others_as_they_are(self) -> None:
        more = Communities(**{**SMALL, "train_graphs": 5, "test_graphs": 3})
        less = Communities(**SMALL)
        for split in ("train", "validation", "test"):
            pairs = zip(getattr(less, split), getattr(more, split), strict=False)
            assert all(equal(one, other) for one, other in pairs)

    def test_no_two_graphs_are_alike(self, dataset: Communities) -> None:
        samples = everything(dataset)
        assert len({sample.x.numpy().tobytes() for sample in samples}) == len(samples)
        assert len({sample.id for sample in samples}) == len(samples)


class TestLaw:
    """The formulas of the documentation, seen from outside."""

    def test_labels_are_as_frequent_as_documented(self, dataset: Communities) -> None:
        frequency = torch.cat([sample.y for sample in dataset.train]).mean(0)
        assert float(frequency.mean()) == pytest.approx(0.3, abs=0.02)
        assert 0.2 < frequency.min() <= frequency.max() < 0.4

    def test_nodes_have_as_many_neighbours_as_documented(self, dataset: Communities) -> None:
        edges = sum(sample.edge_index.shape[1] for sample in everything(dataset))
        nodes = sum(sample.num_nodes for sample in everything(dataset))
        assert edges / nodes == pytest.approx(20, rel=0.05)

    def test_features_are_hidden_as_often_as_documented(self, dataset: Communities) -> None:
        features = torch.cat([sample.x for sample in everything(dataset)])
        assert float((features == 0).all(1).float().mean()) == pytest.approx(0.3, abs=0.02)

    def test_features_without_noise_span_the_communities(self) -> None:
        sample = Communities(**SMALL, communities=4, noise=0.0, hidden=0.0).train[0]
        assert torch.linalg.matrix_rank(sample.x, rtol=1e-4) == 4

    def test_noise_has_the_documented_deviation(self) -> None:
        noisy = Communities(**SMALL, noise=0.5, hidden=0.0).train[0]
        clean = Communities(**SMALL, noise=0.0, hidden=0.0).train[0]
        assert torch.equal(noisy.edge_index, clean.edge_index)
        assert torch.equal(noisy.y, clean.y)
        assert float((noisy.x - clean.x).std()) == pytest.approx(0.5, rel=0.05)

    def test_context_averages_over_walks_of_one_and_two_steps(self) -> None:
        rng = np.random.default_rng(0)
        upper = np.triu(rng.random((9, 9)) < 0.3, 1)
        upper[4], upper[:, 4] = False, False
        adjacency = (upper | upper.T).astype(float)
        memberships = rng.dirichlet(np.ones(3), 9)
        neighbours = [np.flatnonzero(row) for row in adjacency]
        two_steps = [[k for j in nodes for k in neighbours[j]] for nodes in neighbours]
        for node, row in enumerate(context(memberships, adjacency)):
            for hop, ends in enumerate(([node], neighbours[node], two_steps[node])):
                expected = memberships[ends].mean(0) if len(ends) else np.zeros(3)
                np.testing.assert_allclose(row[3 * hop : 3 * hop + 3], expected, atol=1e-12)
        assert len(neighbours[4]) == 0

    def test_labels_are_products_of_what_a_node_and_its_neighbours_are(self) -> None:
        law = CommunityLaw(
            seed=0,
            nodes=400,
            features=3,
            classes=8,
            communities=3,
            degree=8.0,
            noise=0.0,
            hidden=0.0,
        )
        generator = CommunityGenerator(law)
        train, test = generator.graph(0), generator.graph(1)

        def accuracy(hops: int, degree: int) -> float:
            inputs = [monomials(graph, hops, degree) for graph in (train, test)]
            fit, *_ = np.linalg.lstsq(inputs[0], 2.0 * train.labels - 1, rcond=None)
            return float(((inputs[1] @ fit > 0) == test.labels).mean())

        assert accuracy(hops=1, degree=2) > accuracy(hops=1, degree=1) + 0.05
        assert accuracy(hops=1, degree=2) > accuracy(hops=0, degree=2) + 0.05


def monomials(graph: CommunityGraph, hops: int, degree: int) -> np.ndarray:
    """Products of up to ``degree`` (1 or 2) neighbourhood means of the features, ``[N, M]``."""
    num_nodes = len(graph.features)
    adjacency = np.zeros((num_nodes, num_nodes))
    adjacency[graph.edges[1], graph.edges[0]] = 1
    means = [np.ones((num_nodes, 1))]
    for hop in range(hops + 1):
        walks = np.linalg.matrix_power(adjacency, hop)
        means.append(walks @ graph.features / np.maximum(walks.sum(1, keepdims=True), 1))
    entries = np.concatenate(means, axis=1)
    if degree == 1:
        return entries
    return (entries[:, :, None] * entries[:, None, :]).reshape(num_nodes, -1)
