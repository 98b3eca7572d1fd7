"""``tudataset`` reads what PyTorch Geometric reads, in folds with alike shares of the classes."""

from pathlib import Path
from typing import Any

import pytest
import torch
import tu_files
from command_line import Run
from torch_geometric.io import read_tu_data

import gkd
from gkd.errors import DataError, ParameterError


def made(root: Path, **params: Any) -> Any:
    return gkd.create("dataset", "tudataset", root=root, **{"folds": 3} | params)


def everything(dataset: Any) -> list[gkd.Sample]:
    samples = [*dataset.train, *dataset.validation, *dataset.test]
    return sorted(samples, key=lambda sample: int(sample.id.partition("/")[2]))


def require_equal_to_pyg(root: Path, name: str, dataset: Any, attributes: bool) -> None:
    data, slices, _ = read_tu_data(str(root), name)
    for index, sample in enumerate(everything(dataset)):
        rows = slice(slices["x"][index], slices["x"][index + 1])
        columns = slice(slices["edge_index"][index], slices["edge_index"][index + 1])
        labels = sample.x.shape[1] - (data.x.shape[1] - sample.x.shape[1] if attributes else 0)
        # There attributes come first.
        x = data.x[rows]
        expected = torch.cat([x[:, 2:], x[:, :2]], 1) if attributes else x[:, -labels:]
        torch.testing.assert_close(sample.x, expected)
        graph = gkd.Graph(data.edge_index[:, columns], len(sample.x))
        assert torch.equal(sample.edge_index, graph.edge_index)
        assert int(sample.y) == int(data.y[index])


@pytest.mark.parametrize("attributes", [True, False])
def test_it_reads_what_pyg_reads(tmp_path: Path, attributes: bool) -> None:
    root = tu_files.write(tmp_path / "TINY")
    dataset = made(root, attributes=attributes)
    assert (dataset.num_features, dataset.num_classes) == (5 if attributes else 3, 2)
    require_equal_to_pyg(root, "TINY", dataset, attributes)
    data, _, _ = read_tu_data(str(root), "TINY")
    assert sum(len(sample.edge_attr) for sample in everything(dataset)) == len(data.edge_attr)
    assert dataset.train[0].edge_attr.sum(1).eq(1).all()


@pytest.mark.parametrize("name", ["MUTAG", "PROTEINS"])
def test_the_published_files(data_root: Path, name: str) -> None:
    root = data_root / "graphs" / name
    dataset = gkd.create("dataset", "tudataset", root=root)
    require_equal_to_pyg(root, name, dataset, attributes=False)
    share = [float(torch.cat([s.y for s in part]).float().mean()) for part in parts(dataset)]
    assert max(share) - min(share) < 0.06


def parts(dataset: Any) -> list[Any]:
    return [dataset.train, dataset.validation, dataset.test]


def test_every_graph_tests_once_and_validates_once(tmp_path: Path) -> None:
    root = tu_files.write(tmp_path)
    first = made(root, fold="seed")
    of_seeds = [first.for_seed(seed) for seed in range(3)]
    for split in ("validation", "test"):
        ids = [sample.id for dataset in of_seeds for sample in getattr(dataset, split)]
        assert sorted(ids) == sorted(sample.id for sample in everything(first))
    for dataset in of_seeds:
        assert len({sample.id for sample in everything(dataset)}) == 12
        assert [len(part) for part in parts(dataset)] == [4, 4, 4]
    assert [s.id for s in made(root, fold=1).test] == [s.id for s in of_seeds[1].test]


def test_without_labels_or_attributes_the_features_are_one(tmp_path: Path) -> None:
    dataset = made(tu_files.write(tmp_path, labels=False, attributes=False))
    assert dataset.num_features == 1
    assert all(sample.x.eq(1).all() for sample in everything(dataset))


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("A", "1, 2, 3\n", "two nodes of 1 to 48 a line"),
        ("A", "1, 49\n", "two nodes of 1 to 48 a line"),
        ("A", "1, 2\n3, 4\n", "line 2 joins two graphs"),
        ("A", "1, x\n", "numbers, separated by commas"),
        ("graph_indicator", "1\n2\n", "graphs 1 to 12"),
        ("graph_indicator", None, "TINY_graph_indicator.txt"),
        ("graph_labels", "1\n" * 12 + "2\n", "graphs 1 to 13"),
        ("node_labels", "1\n", "must have 48 lines, and has 1"),
        ("node_labels", "1.5\n" * 48, "whole numbers"),
        ("node_attributes", "nan, 1\n" * 48, "NaN"),
    ],
)
def test_damage_is_named(tmp_path: Path, file: str, content: str | None, words: str) -> None:
    path = tu_files.write(tmp_path) / f"TINY_{file}.txt"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(DataError, match=words):
        made(tmp_path, attributes=True)


def test_other_folders_and_folds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no"):
        made(tmp_path / "nowhere")
    with pytest.raises(DataError, match="one data set"):
        made(tmp_path)
    root = tu_files.write(tmp_path / "few")
    with pytest.raises(ParameterError, match="no fold 3 of 3; the folds are 0 to 2"):
        made(root, fold=3)
    with pytest.raises(DataError, match="class 0 has 6 graphs, fewer than 7 folds"):
        made(root, folds=7)


def test_a_run_on_folds(tmp_path: Path, run: Run) -> None:
    root = tu_files.write(tmp_path / "data")
    recipe = tmp_path / "folds.toml"
    recipe.write_text(
        f"""
seeds = [0, 1]
dataset = {{ name = "tudataset", root = "{root}", folds = 3, fold = "seed" }}
student = {{ name = "gcn", params = {{ hidden_channels = 4, pool = "mean" }} }}
training = {{ epochs = 1, batch_size = 4 }}
methods = [{{ name = "baseline" }}, {{ name = "kd", terms = [{{ loss = "kd" }}] }}]

[teacher]
name = "gin"
params = {{ hidden_channels = 4, pool = "sum" }}
training = {{ epochs = 1 }}
"""
    )
    outcome = run("run", recipe, "--out", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    assert "kd" in outcome.out
