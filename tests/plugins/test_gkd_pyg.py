"""Models and data sets of PyTorch Geometric by name, and the recipes that use them."""

import sys
from pathlib import Path
from typing import Any

import pyg_sets
import pytest
import torch
from command_line import Run
from torch_geometric.nn.models import GCN

import gkd
from gkd import testing
from gkd.data.downloads import without_downloads
from gkd.distillation.task_choice import find_task
from gkd.errors import DataError, GkdError, ParameterError

NETWORK = {"in_channels": 4, "out_channels": 3, "hidden_channels": 5, "num_layers": 2}


def data_set(name: str, **params: Any) -> Any:
    return gkd.create("dataset", "pyg", dataset=f"pyg_sets:{name}", **params)


def model(name: str, **params: Any) -> torch.nn.Module:
    return gkd.create("model", "pyg", model=name, **params)


def test_a_model_is_the_class_of_that_name() -> None:
    network = model("GCN", **NETWORK)
    assert type(network) is GCN
    expected = GCN(**NETWORK)
    expected.load_state_dict(network.state_dict())
    x, edges = torch.randn(6, 4), torch.tensor([[0, 1, 2], [1, 2, 3]])
    assert torch.equal(network(x, edges), expected(x, edges))


@pytest.mark.parametrize("pool", ["sum", "mean", "max"])
def test_graphs_are_pooled_each_by_itself(pool: str) -> None:
    network = model("GIN", **NETWORK, pool=pool).eval()
    x, edges = torch.randn(6, 4), torch.tensor([[0, 1, 4], [1, 2, 5]])
    batch = torch.tensor([0, 0, 0, 0, 1, 1])
    together = network(x, edges, batch)
    alone = [network(x[:4], edges[:, :2]), network(x[4:], edges[:, 2:] - 4)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("GCM", {}, "no model 'GCM' in torch_geometric.nn.models; did you mean 'GCN'"),
        ("pyg_sets:Mien", {}, "pyg_sets has no 'Mien'; did you mean 'Mine'"),
        ("nowhere:Mine", {}, "there is no module 'nowhere'"),
        ("GCN", {"in_channels": 4}, "missing 2 required positional arguments: 'hidden_channels'"),
        ("GCN", {"in_channels": 4, "pool": "sum"}, "needs hidden_channels"),
    ],
)
def test_models_that_are_not_there(name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(GkdError, match=words):
        model(name, **params)


def test_the_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric.nn.models", None)
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    with pytest.raises(ParameterError, match=r"pip install 'gkd\[pyg\]'"):
        model("GCN", **NETWORK)


def test_masks_of_one_graph_are_rows() -> None:
    dataset = data_set("OneGraph")
    assert (dataset.task, dataset.num_features, dataset.num_classes) == ("single-label", 4, 3)
    assert dataset.inputs == ("x", "edge_index")
    sample = dataset.train[0]
    assert sample.train_mask.tolist() == [True, False, False] * 4
    other = data_set("OneGraph", split="seed").for_seed(1).train[0]
    assert other.train_mask.tolist() == [False, False, True] * 4
    with pytest.raises(ParameterError, match="no split 2; train_mask has 0 to 1"):
        data_set("OneGraph", split=2)
    with pytest.raises(DataError, match="without train_mask, val_mask, test_mask"):
        data_set("OneGraph", masks=False)


def test_a_class_whose_split_names_masks_is_made_once() -> None:
    made = data_set("NamedMasks").train[0]
    assert torch.equal(made.train_mask, data_set("OneGraph").train[0].train_mask)


def test_graphs_are_put_into_folds() -> None:
    dataset = data_set("ManyGraphs", folds=4, target="label", split="seed")
    assert (dataset.task, dataset.inputs) == ("single-label", ("x", "edge_index", "batch"))
    folds = [dataset.for_seed(seed) for seed in range(4)]
    tested = [sample.id for fold in folds for sample in fold.test]
    whole = (*dataset.train, *dataset.validation, *dataset.test)
    assert sorted(tested) == sorted({sample.id for sample in whole})
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [10, 5, 5]
    with pytest.raises(ParameterError, match="no fold 4 of 4"):
        data_set("ManyGraphs", folds=4, target="label", split=4)
    with pytest.raises(DataError, match="no labels 'y'; available: edge_index, label, x"):
        data_set("ManyGraphs")


def test_a_class_with_splits_is_made_for_each() -> None:
    dataset = data_set("Splits")
    assert (dataset.task, dataset.num_classes) == ("multi-label", 2)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [2, 2, 2]
    assert not torch.equal(dataset.train[0].x, dataset.test[0].x)


@pytest.mark.parametrize(
    ("name", "task", "classes", "whole"),
    [
        ("partly_known", "multi-label", 2, True),
        ("yes_or_no", "multi-label", 1, True),
        ("whole_numbers", "multi-label", 3, False),
        ("first_is_one", "regression", 1, True),
        ("first_is_small", "single-label", 3, True),
    ],
)
def test_all_labels_tell_what_the_task_is(name: str, task: str, classes: int, whole: bool) -> None:
    for split in range(3):  # whichever graph comes first
        dataset = data_set(name, folds=3, split=split)
        assert (dataset.task, dataset.num_classes) == (task, classes)
        assert ("batch" in dataset.inputs) == whole
        batch = gkd.collate(list(dataset.train))
        rows = len(dataset.train) if whole else batch.num_nodes
        find_task(task).check(torch.zeros(rows, classes), batch.y)


def test_classes_in_floating_point_are_taken_for_numbers_and_that_is_said() -> None:
    with pytest.warns(UserWarning, match="few whole numbers: they are taken for numbers"):
        dataset = data_set("classes_as_floats", folds=3)
    assert dataset.task == "regression"


def test_classes_in_columns_are_taken_for_labels_of_their_own_and_that_is_said() -> None:
    with pytest.warns(UserWarning, match=r"3 columns with one 1 in each row: .*y\.argmax\(1\)"):
        dataset = data_set("classes_as_columns", folds=3)
    assert dataset.task == "multi-label"


def test_labels_may_be_plain_numbers() -> None:
    dataset = data_set("numbers", folds=3)
    assert (dataset.task, dataset.num_classes) == ("regression", 1)
    batch = gkd.collate(list(dataset.train))
    assert batch.y.shape == (len(dataset.train), 1)


def test_a_function_may_return_a_data_set_of_theirs() -> None:
    dataset = data_set("a_data_set", folds=3)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [4, 4, 4]


@pytest.mark.parametrize("name", ["by_split", "one_at_a_time"])
def test_a_function_may_split_its_graphs(name: str) -> None:
    dataset = data_set(name)
    counts = [len(part) for part in (dataset.train, dataset.validation, dataset.test)]
    assert counts == {"by_split": [4, 1, 1], "one_at_a_time": [4, 1, 2]}[name]
    assert not torch.equal(dataset.train[0].x, dataset.validation[0].x)


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("misnamed", {}, "no split 'vali'; did you mean 'val"),
        ("untested", {}, "untested has no graphs of the split test"),
        ("by_split", {"split": "seed"}, "by_split has splits of its own"),
        ("numbered_rows", {}, "train_mask has 3 entries for 12 nodes: .*index_to_mask"),
        ("Named", {}, "Named needs a name: write name_ = "),
    ],
)
def test_what_cannot_be_split_is_said(name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(GkdError, match=words):
        data_set(name, **params)


def test_code_of_ones_own_is_named_by_a_colon() -> None:
    with pytest.raises(ParameterError, match="by a colon, pyg_sets:masked"):
        gkd.create("dataset", "pyg", dataset="pyg_sets.masked")


def test_a_parameter_of_another_meaning_has_an_underscore_behind_it() -> None:
    assert len(data_set("Named", name_="abcdef", folds=3).train) == 2


def test_several_columns_of_counts_are_refused() -> None:
    with pytest.raises(DataError, match="labels of 3 columns of whole numbers: expected one of"):
        data_set("counts_in_columns", folds=3)


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # what torch says of such tensors
def test_numbers_are_predicted_and_sparse_edges_are_edges() -> None:
    dataset = data_set("Regression", folds=5)
    assert (dataset.task, dataset.num_classes) == ("regression", 1)
    import pyg_sets

    plain = pyg_sets.graph(0)
    (first,) = (
        s for s in (*dataset.train, *dataset.validation, *dataset.test) if s.id.endswith("-0")
    )
    assert gkd.Graph(first.edge_index, 12) == gkd.Graph(plain.edge_index, 12)


def test_a_type_of_nodes_and_the_edges_among_them_are_a_graph() -> None:
    import pyg_sets

    edges = pyg_sets.graph(0).edge_index
    cites = data_set("Mixed", nodes="paper", edges="paper__cites__paper")
    assert (cites.num_features, cites.num_classes, cites.task) == (4, 3, "single-label")
    assert torch.equal(cites.train[0].edge_index, edges)
    assert cites.train[0].edge_attr.shape == (36, 2)
    assert torch.equal(data_set("Mixed", follows=False, nodes="paper").train[0].edge_index, edges)
    names = ["paper__cites__paper", "paper__follows__paper"]
    both = data_set("Mixed", nodes="paper", edges=names).train[0]
    assert torch.equal(both.edge_index[:, 36:], torch.tensor([[0, 1], [1, 2]]))
    assert both.edge_attr.sum() == 72


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "heterogeneous, with nodes of author, paper: choose a type by nodes"),
        ({"nodes": "papers"}, "no type 'papers'; did you mean 'paper'"),
        ({"nodes": "paper"}, "2 types of edges among paper; name some by edges: paper__cites__pap"),
        ({"nodes": "author"}, "0 types of edges among author; a transform such as AddMetaPaths"),
        ({"nodes": "paper", "edges": "paper__cite__paper"}, "did you mean 'paper__cites__paper'"),
        (
            {"nodes": "paper", "edges": "author__writes__paper"},
            "join author with paper, and a graph is of paper alone; name paper__cites__paper or",
        ),
    ],
)
def test_types_that_make_no_graph_are_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(GkdError, match=words):
        data_set("Mixed", **params)
    with pytest.raises(ParameterError, match="has nodes of one type"):
        data_set("OneGraph", nodes="paper")


@pytest.mark.parametrize("name", ["OneGraph", "Splits"])
def test_data_sets_pass_the_kit(name: str) -> None:
    params = {"dataset": f"pyg_sets:{name}"}
    testing.check_dataset("pyg", params=params).raise_if_failed()


def test_a_run_of_names_alone(run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "graphs.toml"
    recipe.write_text(
        """
seeds = [0]
dataset = { name = "pyg", dataset = "pyg_sets:ManyGraphs", folds = 4, target = "label" }
training = { epochs = 1, batch_size = 4 }

[[methods]]
name = "baseline"

[[methods]]
name = "kd"
terms = [{ loss = "kd" }]

[[methods]]
name = "lsp"
terms = [{ loss = "lsp", student = "network.convs.0", teacher = "network.convs.1" }]

[teacher]
name = "pyg"
params = { model = "GIN", hidden_channels = 8, num_layers = 3, pool = "sum" }
training = { epochs = 1 }

[student]
name = "pyg"
params = { model = "GCN", hidden_channels = 4, num_layers = 2, pool = "mean" }
"""
    )
    outcome = run("run", recipe, "--out", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    student = gkd.load_student(tmp_path / "run", "kd")
    assert student(torch.randn(3, 4), torch.tensor([[0], [1]])).shape == (1, 2)


@pytest.mark.parametrize("name", ["MASKED", "masked"])
def test_a_graph_of_ones_own_is_a_data_set(name):
    data, same = data_set(name), data_set("OneGraph")
    assert torch.equal(data.train[0].x, same.train[0].x)
    assert data.rows == same.rows
    assert data.num_classes == 3


@pytest.mark.parametrize("params", [{"name": "links"}, {"name": "both", "target": "edge_label"}])
def test_links_of_one_graph_are_split_by_pairs(params: dict[str, str]) -> None:
    data = data_set(**params)
    assert (data.task, data.inputs, data.num_features) == (
        "link-prediction",
        ("x", "edge_index"),
        4,
    )
    graphs = pyg_sets.links()
    for name, split in (("train", data.train), ("val", data.validation), ("test", data.test)):
        (sample,) = split
        assert torch.equal(sample.edge_label_index, graphs[name].edge_label_index)
        assert torch.equal(sample.edge_label, graphs[name].edge_label)
        assert torch.equal(sample.edge_index, graphs[name].edge_index)


def test_labels_of_that_name_without_pairs_are_labels_as_any_other() -> None:
    assert data_set("labelled_edges", target="edge_label", folds=3).task == "single-label"


def test_pairs_go_along_with_labels_of_nodes() -> None:
    data = data_set("both")
    assert (data.task, data.num_classes) == ("single-label", 3)
    # Else the task would take the edges of messages for those to be predicted.
    embeddings = torch.randn(20, 5)
    task, batch = find_task("link-prediction"), gkd.data.collate([*data.test])
    _, y = task.examples(embeddings, batch, task.target)
    assert torch.equal(y, pyg_sets.links()["test"].edge_label)


def test_pairs_without_labels_are_not_left_out_for_edges() -> None:
    data = data_set("unlabelled_pairs")
    assert (data.task, data.num_classes) == ("single-label", 3)
    task, batch = find_task("link-prediction"), gkd.data.collate([*data.test])
    with pytest.raises(gkd.DataError, match="their labels edge_label, 0 or 1"):
        task.examples(torch.randn(20, 5), batch, task.target)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lists_in_a_split", "a dict whose 'val' is a list of tuple: expected a graph"),
        ("nothing_in_a_split", "a dict whose 'val' is an empty list: expected a graph"),
        ("short_edge_attr", r"train-0: edge_attr has the shape \[3, 2\] for 15 edges"),
        ("flat_labels", r"train-0: y has 3 numbers for 5 nodes and 15 edges: .* a row, \[1, 3\]"),
        ("numpy_labels", "train-0: y is an array of numpy: torch.from_numpy makes a tensor"),
        ("NoDataSet", "NoDataSet makes a NoDataSet: expected a data set of PyTorch Geometric"),
    ],
)
def test_what_is_wrong_with_graphs_is_named(name: str, words: str) -> None:
    with pytest.raises(gkd.GkdError, match=words):
        data_set(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("signs", "are few whole numbers: they are taken for numbers to be predicted"),
        ("columns_of_signs", "columns of labels of -1, 0 and 1: they are taken for numbers"),
    ],
)
def test_labels_that_may_be_classes_under_other_numbers_are_told(name: str, words: str) -> None:
    with pytest.warns(UserWarning, match=words):
        assert data_set(name).task == "regression"


def test_a_list_of_graphs_is_folded():
    data = data_set("GRAPHS", folds=4, split=1)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [6, 3, 3]


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("MASKED", {"root": "data"}, "pyg_sets:MASKED names graphs, which take no root"),
        (
            "no_graph",
            {},
            r"pyg_sets:no_graph\(\) returns int: expected a graph of PyTorch Geometric",
        ),
        ("featureless", {}, "featureless has neither x nor pos: expected features of its nodes"),
        ("one_feature", {}, "one_feature has x without columns: expected features of its nodes"),
        ("graph", {}, r"pyg_sets:graph\(\) raised TypeError: "),
        (
            "links",
            {"target": "edge_lable"},
            "no labels 'edge_lable'; did you mean 'edge_label'",
        ),
    ],
)
def test_what_makes_no_graphs_is_one_error(name, params, words):
    with pytest.raises((ParameterError, DataError), match=words):
        data_set(name, **params)


@pytest.mark.parametrize(
    "name", ["pyg_sets:masked", "pyg_sets:GRAPHS", "pyg_sets:partly_known", "Planetoid"]
)
def test_graphs_that_are_named_as_a_data_set_are_told_where_they_are(name: str) -> None:
    with pytest.raises(gkd.GkdError) as caught:
        gkd.create("dataset", name)
    assert str(caught.value).endswith(f'; did you mean name = "pyg", dataset = "{name}"?')


@pytest.mark.parametrize("name", ["pyg_sets:no_graph", "pyg_sets:Mine", "planetoid"])
def test_what_are_no_graphs_are_not_sent_there(name: str) -> None:
    with pytest.raises(gkd.GkdError) as caught:
        gkd.create("dataset", name)
    assert "dataset = " not in str(caught.value)


def test_a_check_downloads_nothing(tmp_path: Path) -> None:
    with without_downloads(), pytest.raises(ParameterError, match=r"no Planetoid at .*Cora/raw: a"):
        gkd.create("dataset", "pyg", dataset="Planetoid", root=str(tmp_path), name_="Cora")
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("name", "params"), [("FakeDataset", {"num_graphs": 20}), ("pyg_sets:OneGraph", {})]
)
def test_a_check_makes_data_that_need_no_download(name: str, params: dict[str, int]) -> None:
    with without_downloads():
        assert gkd.create("dataset", "pyg", dataset=name, **params).train
