"""molecules: what they look like, and that their properties are what the formula says."""

import numpy as np
import pytest
import torch

import gkd
from gkd import Graph
from gkd_data.molecule_graphs import MoleculeGenerator, MoleculeLaw
from gkd_data.molecules import Molecules

SMALL = {"train_graphs": 12, "validation_graphs": 4, "test_graphs": 4}


@pytest.fixture(scope="module")
def data() -> Molecules:
    return Molecules(train_graphs=300, validation_graphs=10, test_graphs=10)


def test_they_are_offered_by_name_with_what_a_model_must_know() -> None:
    data = gkd.create("dataset", "molecules", **SMALL, types=5, properties=2)
    assert data.task == "regression"
    assert (data.num_features, data.num_classes) == (5, 2)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 4, 4]
    for sample in data.train:
        assert sample.y.shape == (1, 2)
        assert sample.x.shape == (sample.num_nodes, 5)
        assert torch.equal(sample.x.sum(1), torch.ones(sample.num_nodes))


def test_they_are_connected_and_no_atom_has_more_than_four_bonds(data: Molecules) -> None:
    rings = set()
    for sample in data.train:
        graph = Graph(sample.edge_index, sample.num_nodes)
        assert torch.equal(graph.edge_index, sample.edge_index)
        assert Graph(sample.edge_index.flip(0), sample.num_nodes) == graph
        assert not (graph.source == graph.target).any()
        bonds = torch.bincount(graph.target, minlength=sample.num_nodes)
        assert 1 <= bonds.min() <= bonds.max() <= 4
        reached = torch.zeros(sample.num_nodes, dtype=torch.bool)
        reached[0] = True
        for _ in range(sample.num_nodes):
            reached[graph.target[reached[graph.source]]] = True
        assert reached.all()
        rings.add(graph.num_edges // 2 - sample.num_nodes + 1)
        assert 8 <= sample.num_nodes <= 24
    assert rings == {0, 1, 2, 3}


def test_properties_have_about_mean_0_and_variance_1(data: Molecules) -> None:
    y = torch.cat([sample.y for sample in data.train])
    assert abs(float(y.mean())) < 0.2
    assert 0.8 < float(y.std()) < 1.2


def test_properties_are_sums_of_products_over_atoms() -> None:
    generator = MoleculeGenerator(MoleculeLaw(0, 5, 9, 3, 2, 2, noise=0.0))
    a, b = generator._factors
    for index in range(5):
        sample = generator.molecule("test", index)
        types = sample.x.argmax(1).tolist()
        bonds = [[] for _ in types]
        for source, target in sample.edge_index.T.tolist():
            bonds[target].append(source)
        total = np.zeros(2)
        for atom in range(len(types)):
            counts = np.zeros((3, 3))
            counts[0, types[atom]] += 1
            for near in bonds[atom]:
                counts[1, types[near]] += 1
                for far in bonds[near]:
                    counts[2, types[far]] += 1
            total += (counts.flatten() @ a) * (counts.flatten() @ b)
        value = (total / np.sqrt(len(types)) - generator._mean) / generator._scale
        assert sample.y[0].tolist() == pytest.approx(value.tolist(), rel=1e-5, abs=1e-6)


def test_more_molecules_and_noise_leave_the_others_as_they_are() -> None:
    few, more = Molecules(**SMALL), Molecules(**{**SMALL, "train_graphs": 20, "noise": 0.5})
    for one, other in zip(few.train, more.train, strict=False):
        assert torch.equal(one.edge_index, other.edge_index)
        assert torch.equal(one.x, other.x)
    other = Molecules(**SMALL, seed=1).train[0]
    assert not torch.equal(few.train[0].y, other.y)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"smallest": 9, "largest": 8}, "smallest must be at most largest, got 9 and 8"),
        ({"smallest": 1}, "'smallest' must be int >= 2, got 1"),
        ({"properties": 0}, "'properties' must be int > 0, got 0"),
        ({"noise": -1.0}, "'noise' must be finite float >= 0"),
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(gkd.ParameterError, match=message):
        Molecules(**wrong)
