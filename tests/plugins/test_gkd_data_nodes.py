"""nodes: both layouts, splits, settings, and files that are not what they should be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from node_archives import CLASSES, LINKS, NODES, platonov, shchur, write

from gkd import DataError, ParameterError, Sample
from gkd_data.nodes import Nodes

FEW = {"train_per_class": 2, "validation_per_class": 1}


def official(folder: Path, **options) -> Nodes:
    return Nodes(write(folder / "official.npz", platonov()), **options)


def drawn(folder: Path, **options) -> Nodes:
    return Nodes(write(folder / "drawn.npz", shchur()), **(FEW | options))


def masks(sample: Sample) -> tuple[torch.Tensor, ...]:
    return sample.train_mask, sample.val_mask, sample.test_mask


def pairs(sample: Sample) -> set[tuple[int, int]]:
    """Edges by the numbers of their nodes in the file."""
    return set(map(tuple, sample.n_id[sample.edge_index].T.tolist()))


def test_a_file_with_official_splits(tmp_path):
    arrays = platonov()
    data = official(tmp_path, split=1)
    assert data.train is data.validation is data.test
    (sample,) = data.train
    assert torch.equal(sample.x, torch.from_numpy(arrays["node_features"]))
    assert sample.y.tolist() == arrays["node_labels"].tolist()
    assert pairs(sample) == {p for i, j in LINKS.tolist() if i != j for p in ((i, j), (j, i))}
    assert len(pairs(sample)) == sample.edge_index.shape[1]
    for mask, name in zip(masks(sample), ("train_masks", "val_masks", "test_masks"), strict=True):
        assert mask.tolist() == arrays[name][1].tolist()
    assert (data.num_features, data.num_classes) == (4, CLASSES)
    assert not torch.equal(sample.train_mask, official(tmp_path, split=0).train[0].train_mask)


def test_both_layouts_hold_the_same(tmp_path):
    one, other = official(tmp_path).train[0], drawn(tmp_path).train[0]
    for name in ("x", "edge_index", "y", "n_id"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_dense_features_in_the_layout_of_sparse_ones(tmp_path):
    arrays = {n: a for n, a in shchur().items() if not n.startswith("attr")}
    arrays["attr_matrix"] = platonov()["node_features"]
    dense = Nodes(write(tmp_path / "dense.npz", arrays), **FEW)
    assert torch.equal(dense.train[0].x, drawn(tmp_path).train[0].x)


def test_what_is_not_needed_may_be_pickled(tmp_path):
    names = np.array(["a", None], dtype=object)
    data = Nodes(write(tmp_path / "names.npz", {**shchur(), "node_names": names}), **FEW)
    assert len(data.train[0].y) == NODES


def test_a_stored_zero_is_no_link(tmp_path):
    arrays = shchur()
    arrays["adj_data"][0] = 0
    assert len(pairs(Nodes(write(tmp_path / "zero.npz", arrays), **FEW).train[0])) == 44
    assert len(pairs(drawn(tmp_path).train[0])) == 46


def test_a_drawn_split_has_as_many_nodes_of_every_class(tmp_path):
    sample = drawn(tmp_path).train[0]
    train, validation, test = masks(sample)
    assert torch.bincount(sample.y[train]).tolist() == [2] * CLASSES
    assert torch.bincount(sample.y[validation]).tolist() == [1] * CLASSES
    assert (train.int() + validation.int() + test.int() == 1).all()
    assert torch.equal(train, drawn(tmp_path).train[0].train_mask)
    others = [drawn(tmp_path, split=split).train[0].train_mask for split in range(1, 6)]
    assert len({tuple(mask.tolist()) for mask in [train, *others]}) > 3


@pytest.mark.parametrize("make", [official, drawn])
def test_the_largest_component(tmp_path, make):
    sample = make(tmp_path, largest_component=True).train[0]
    assert sample.n_id.tolist() == list(range(16))
    assert sample.edge_index.shape[1] == 32
    if make is official:
        assert sample.train_mask.tolist() == platonov()["train_masks"][0][:16].tolist()


def test_two_classes_are_compared_by_the_area_under_the_curve(tmp_path):
    arrays = platonov()
    assert official(tmp_path).task == {"name": "single-label", "metric": "accuracy"}
    binary = write(tmp_path / "two.npz", {**arrays, "node_labels": np.arange(NODES) % 2})
    assert Nodes(binary).task == {"name": "single-label", "metric": "roc_auc"}
    assert Nodes(binary, metric="accuracy").task["metric"] == "accuracy"
    seeds = Nodes(binary, split="seed", metric="accuracy")
    assert seeds.for_seed(1).task == seeds.task


def test_features_of_each_node_sum_to_one(tmp_path):
    arrays = platonov()
    arrays["node_features"][3] = 0
    data = Nodes(write(tmp_path / "a.npz", arrays), normalise=True)
    lengths = data.train[0].x.abs().sum(1)
    expected = torch.ones(NODES)
    expected[3] = 0
    torch.testing.assert_close(lengths, expected)
    signs = torch.from_numpy(arrays["node_features"]).sign()
    assert torch.equal(data.train[0].x.sign(), signs)


@pytest.mark.parametrize("make", [official, drawn])
def test_inductive_test_nodes_are_absent_from_training(tmp_path, make):
    whole = make(tmp_path).train[0]
    data = make(tmp_path, setting="inductive", held_out_share=0.4)
    (observed,), (tested,) = data.train, data.test
    assert data.validation is data.train
    hidden = set(tested.n_id[tested.test_mask].tolist())
    every = set(whole.n_id[whole.test_mask].tolist())
    assert hidden < every
    assert len(hidden) == int(0.4 * len(every))
    assert set(observed.n_id.tolist()) == set(range(NODES)) - hidden
    assert pairs(observed) == {(i, j) for i, j in pairs(whole) if not {i, j} & hidden}
    assert pairs(tested) == pairs(whole)
    assert torch.equal(observed.x, whole.x[observed.n_id])
    assert torch.equal(observed.y, whole.y[observed.n_id])
    for part in ("train_mask", "val_mask"):
        kept = observed.n_id[getattr(observed, part)]
        assert torch.equal(kept, whole.n_id[getattr(whole, part)])


def test_production_tests_on_both_graphs(tmp_path):
    whole = official(tmp_path).train[0]
    inductive = official(tmp_path, setting="inductive", held_out_share=0.4)
    data = official(tmp_path, setting="production", held_out_share=0.4)
    observed, complete = data.test
    assert data.train == [observed]
    assert torch.equal(complete.test_mask, inductive.test[0].test_mask)
    seen, unseen = (set(s.n_id[s.test_mask].tolist()) for s in (observed, complete))
    assert seen | unseen == set(whole.n_id[whole.test_mask].tolist())
    assert not seen & unseen
    assert data.test_parts == {"observed": [observed], "unseen": [complete]}


@pytest.mark.parametrize("make", [official, drawn])
def test_each_seed_may_take_its_split(tmp_path, make):
    data = make(tmp_path, split="seed", setting="inductive", held_out_share=0.4)
    for seed in (0, 1):
        own = data.for_seed(seed)
        fixed = make(tmp_path, split=seed, setting="inductive", held_out_share=0.4)
        assert fixed.for_seed(1) is fixed
        for name, tensor in own.test[0].items():
            assert torch.equal(tensor, getattr(fixed.test[0], name))
        assert own.train[0].id == fixed.train[0].id
    with pytest.raises(DataError, match="there is no split 7; its splits are 0 to 1"):
        official(tmp_path, split="seed").for_seed(7)


def test_samples_of_different_graphs_have_different_names(tmp_path):
    made = [official(tmp_path, split=s, setting=t) for s in (0, 1) for t in ("production",)]
    ids = [sample.id for data in made for sample in data.test]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("minesweeper", (10_000, 78_804, 7, 2)),
        ("tolokers", (11_758, 1_038_000, 10, 2)),
        ("actor", (7_600, 53_318, 932, 5)),
        ("chameleon_filtered", (890, 17_708, 2_325, 5)),
        ("squirrel_filtered", (2_223, 93_996, 2_089, 5)),
    ],
)
def test_the_published_files(data_root, name, sizes):
    data = Nodes(data_root / "node" / f"{name}.npz", split=9)
    (sample,) = data.train
    found = (sample.num_nodes, sample.edge_index.shape[1], data.num_features, data.num_classes)
    assert found == sizes
    assert sum(mask.sum() for mask in masks(sample)) == sample.num_nodes


def test_cora_has_the_published_component_and_split(data_root):
    data = Nodes(data_root / "node" / "cora.npz", largest_component=True)
    (sample,) = data.train
    assert (sample.num_nodes, sample.edge_index.shape[1]) == (2_485, 2 * 5_069)
    assert [int(mask.sum()) for mask in masks(sample)] == [140, 210, 2_135]


def without(name):
    return lambda arrays: {n: a for n, a in arrays.items() if n != name}


def changed(name, change):
    def apply(arrays):
        copy = arrays[name].copy()
        made = change(copy)
        return {**arrays, name: copy if made is None else made}

    return apply


def put(name, place, value):
    return changed(name, lambda array: array.__setitem__(place, value))


def overlapping(arrays):
    node = int(arrays["train_masks"][0].argmax())
    return put("test_masks", (0, node), True)(arrays)


DAMAGES = {
    "no labels": (platonov, without("node_labels"), "lacks node_labels.npy"),
    "no masks to validate": (platonov, without("val_masks"), "lacks val_masks.npy"),
    "no pointers": (shchur, without("adj_indptr"), "lacks adj_indptr.npy"),
    "no features": (shchur, without("attr_data"), "lacks attr_data.npy"),
    "another layout": (
        platonov,
        without("node_features"),
        "neither node_features, .* nor adj_data",
    ),
    "features of other nodes": (
        platonov,
        changed("node_features", lambda a: a[1:]),
        "24 labels for 23 rows of features",
    ),
    "labels of other nodes": (
        shchur,
        changed("labels", lambda a: a[1:]),
        "24 rows, but there are 23 labels",
    ),
    "flat features": (platonov, changed("node_features", lambda a: a[0]), "must have 2 axes"),
    "features with NaN": (platonov, put("node_features", (0, 0), np.nan), "NaN or infinity"),
    "pickled features": (
        platonov,
        changed("node_features", lambda a: a.astype(object)),
        "must hold real numbers, not object",
    ),
    "features beyond float32": (
        platonov,
        changed("node_features", lambda a: np.where(a == a[3, 1], 1e300, a.astype(np.float64))),
        r"features holds 1e\+300 at \[3, 1\]: too large for float32",
    ),
    "features of 10^13 columns": (
        shchur,
        changed("attr_shape", lambda a: np.array([a[0], 10**13])),
        r"announces \[24, 10000000000000\] features: they would take .* of memory, of which",
    ),
    "a class for more than every node": (
        platonov,
        put("node_labels", 0, 10**9),
        "not more than nodes",
    ),
    "edges the other way round": (platonov, changed("edges", lambda a: a.T), r"\[links, 2\]"),
    "a node that does not exist": (
        platonov,
        put("edges", (0, 0), NODES),
        "nodes 0 to 24, but .* 24",
    ),
    "a node below zero": (platonov, put("edges", (0, 1), -1), "nodes -1 to 2.*, but there are 24"),
    "fractional edges": (platonov, changed("edges", lambda a: a + 0.5), "whole numbers"),
    "a label below zero": (platonov, put("node_labels", 0, -1), "classes from 0.*got -1 to 2"),
    "fractional labels": (platonov, changed("node_labels", lambda a: a + 0.5), "whole numbers"),
    "one class": (platonov, changed("node_labels", lambda a: a * 0), "at least two.*got 0 to 0"),
    "masks of other nodes": (platonov, changed("val_masks", lambda a: a[:, 1:]), r"\[splits, 24\]"),
    "masks of other splits": (platonov, changed("val_masks", lambda a: a[1:]), "the same splits"),
    "masks of numbers": (
        platonov,
        changed("train_masks", lambda a: np.cumsum(a, 1)),
        r"boolean \[splits, 24\]",
    ),
    "overlapping masks": (platonov, overlapping, "is in train and in test of split 0"),
    "an empty mask": (
        platonov,
        changed("val_masks", lambda a: a & False),
        "no node for validation",
    ),
    "a rectangle": (shchur, put("adj_shape", 1, 25), "must be square"),
    "a shape of one": (shchur, changed("adj_shape", lambda a: a[:1]), "two sizes"),
    "pointers that fall": (shchur, put("adj_indptr", 1, 9), "no sparse matrix of 24 rows"),
    "fewer pointers": (shchur, changed("adj_indptr", lambda a: a[1:]), "24 row pointers"),
    "fewer values": (shchur, changed("attr_data", lambda a: a[1:]), "no sparse matrix of 24 rows"),
    "a column too far": (shchur, put("attr_indices", 0, 4), "columns 0 to 4, but the matrix has 4"),
}


@pytest.mark.parametrize(("make", "damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_are_explained(tmp_path, make, damage, message):
    file = write(tmp_path / "bad.npz", damage(make()))
    with pytest.raises(DataError, match=message) as raised:
        Nodes(file, **FEW)
    assert "bad.npz" in str(raised.value)


def test_a_file_cut_short(tmp_path):
    file = write(tmp_path / "cut.npz", platonov())
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"cut.npz is not a complete zip archive"):
        Nodes(file)


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path / "minesweeper.npz", platonov())
    with pytest.raises(
        DataError, match=r"no file .*minesweper.npz; did you mean 'minesweeper.npz'"
    ):
        Nodes(tmp_path / "minesweper.npz")
    with pytest.raises(DataError, match="there is no folder"):
        Nodes(tmp_path / "elsewhere" / "minesweeper.npz")


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (official, {"split": 2}, "there is no split 2; its splits are 0 to 1"),
        (drawn, {"train_per_class": 8}, "class 0 has 8 nodes, .* asks for 9"),
        (drawn, {"train_per_class": 7}, "no node for test"),
        (official, {"setting": "inductive", "held_out_share": 0.1}, "6 test nodes are too few"),
    ],
)
def test_splits_that_cannot_be_had(tmp_path, make, options, message):
    with pytest.raises(DataError, match=message):
        make(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"setting": "induktive"}, "did you mean 'inductive'"),
        ({"split": -1}, "'split' must be int >= 0 .*, got -1"),
        ({"split": "sed"}, "'split' must be .*'seed'.*, got 'sed'"),
        ({"held_out_share": 1.0}, "'held_out_share' must be 0 < float < 1"),
        ({"train_per_class": 0}, "'train_per_class' must be int > 0"),
    ],
)
def test_parameters_out_of_range(tmp_path, options, message):
    with pytest.raises(ParameterError, match=message):
        official(tmp_path, **options)
