import copy
import pickle

import pytest
import torch
from torch.utils.data import DataLoader

from gkd import AbstractDataset, Batch, DataError, Sample, collate


def path_graph(id: str, num_nodes: int, width: int = 3) -> Sample:
    ends = torch.arange(num_nodes - 1)
    return Sample(
        id=id,
        x=torch.randn(num_nodes, width),
        edge_index=torch.stack([ends, ends + 1]),
        y=torch.randint(0, 2, (num_nodes, 4)).float(),
    )


def cloud(id: str, label: int) -> Sample:
    return Sample(id=id, pos=torch.randn(5, 3), y=torch.tensor([label]))


class TestSample:
    def test_counts_nodes_from_the_first_tensor_with_one_row_per_node(self) -> None:
        assert path_graph("a", 6).num_nodes == 6
        assert cloud("a", 0).num_nodes == 5
        assert Sample(id="a", y=torch.zeros(4, 2)).num_nodes == 4

    def test_takes_the_number_of_nodes_where_nothing_tells_it(self) -> None:
        edges = torch.tensor([[0], [6]])
        assert Sample(id="a", num_nodes=7, edge_index=edges).num_nodes == 7
        with pytest.raises(DataError, match="give num_nodes"):
            Sample(id="a", edge_index=edges)

    def test_lists_its_tensors(self) -> None:
        sample = path_graph("a", 3)
        assert sample.keys() == ("x", "edge_index", "y")
        assert dict(sample.items())["x"] is sample.x
        assert "x" in sample
        assert "pos" not in sample

    def test_missing_attribute_names_the_nearest(self) -> None:
        with pytest.raises(AttributeError, match="did you mean 'edge_index'"):
            _ = path_graph("a", 3).edge_indx

    def test_a_missing_attribute_names_the_nearest_from_a_loader_process(self) -> None:
        loader = DataLoader(
            [path_graph("a", 3)], collate_fn=lambda s: s[0].edge_indx, num_workers=1
        )
        with pytest.raises(AttributeError, match="did you mean 'edge_index'"):
            next(iter(loader))

    def test_asking_with_a_default_searches_for_no_name(self, monkeypatch) -> None:
        monkeypatch.setattr("gkd.data.sample.suggestion", None)
        assert getattr(path_graph("a", 3), "train_mask", None) is None

    @pytest.mark.parametrize(
        ("tensors", "message"),
        [
            ({"x": [1.0, 2.0]}, "x must be a tensor with rows, not list"),
            ({"x": torch.tensor(1.0)}, "x must be a tensor with rows, not a number"),
            ({"x": torch.zeros(2, 1), "ptr": torch.zeros(2)}, "'ptr' is a name of the container"),
            ({"x": torch.zeros(2, 1), "split": torch.zeros(2)}, "'split' is a name of the contain"),
            ({"x": torch.zeros(2, 1), "items": torch.zeros(2)}, "'items' is a name of the contain"),
            ({"x": torch.zeros(2, 1), "_x": torch.zeros(2)}, "'_x' is a name of the container"),
            ({"x": torch.zeros(2, 1), "pos": torch.zeros(3, 3)}, "pos has 3 rows for 2 nodes"),
            (
                {"x": torch.zeros(2, 1), "edge_index": torch.zeros(2, 3)},
                r"int64 \[2, E\], not torch.float32 \[2, 3\]",
            ),
            (
                {"x": torch.zeros(2, 1), "edge_index": torch.zeros(3, 2, dtype=torch.int64)},
                r"int64 \[2, E\], not torch.int64 \[3, 2\]",
            ),
            (
                {"x": torch.zeros(2, 1), "edge_index": torch.tensor([[0], [2]])},
                "names nodes 0 to 2, but there are 2",
            ),
            (
                {"x": torch.zeros(2, 1), "edge_index": torch.tensor([[-1], [1]])},
                "names nodes -1 to 1",
            ),
            (
                {"x": torch.zeros(2, 1), "part_index": torch.tensor([5, 1])},
                "part_index names nodes 1 to 5, .*; what numbers no nodes needs another name",
            ),
            (
                {"x": torch.zeros(2, 1), "face": torch.zeros(3, 1)},
                r"face must be int64 \[k, L\] or \[L\], not torch.float32 .*holds numbers of nodes",
            ),
            (
                {"x": torch.zeros(2, 1), "pair_index": torch.zeros(2, 1, dtype=torch.int32)},
                r"pair_index must be int64 \[k, L\] or \[L\], not torch.int32",
            ),
        ],
    )
    def test_refuses_what_is_no_data(self, tensors: dict, message: str) -> None:
        with pytest.raises(DataError, match=message) as caught:
            Sample(id="tissue-3", **tensors)
        assert "tissue-3" in str(caught.value)

    def test_does_not_change(self) -> None:
        sample = path_graph("a", 3)
        with pytest.raises(AttributeError, match="does not change"):
            sample.x = torch.zeros(3, 3)

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
    def test_survives_copies_and_pickling(self, duplicate) -> None:
        sample = path_graph("a", 4)
        twin = duplicate(sample)
        assert twin.id == "a"
        assert twin.num_nodes == 4
        assert torch.equal(twin.x, sample.x)

    def test_moves_to_a_device(self) -> None:
        sample = path_graph("a", 3)
        moved = sample.to("meta")
        assert {tensor.device.type for _, tensor in moved.items()} == {"meta"}
        assert (moved.id, moved.num_nodes) == ("a", 3)
        assert sample.x.device.type == "cpu"
        assert sample.to("cpu").x is sample.x


class TestCollate:
    def test_equals_the_batch_of_pytorch_geometric(self) -> None:
        from torch_geometric.data import Batch as GeometricBatch
        from torch_geometric.data import Data

        samples = [path_graph("a", 3), path_graph("b", 1), path_graph("c", 5)]
        theirs = GeometricBatch.from_data_list([Data(**dict(s.items())) for s in samples])
        ours = collate(samples)
        for name in ("x", "edge_index", "y", "batch", "ptr"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
        assert ours.num_nodes == theirs.num_nodes
        assert ours.num_graphs == theirs.num_graphs

    def test_stacks_labels_of_whole_graphs(self) -> None:
        batch = collate([cloud("a", 3), cloud("b", 7)])
        assert batch.y.tolist() == [3, 7]
        assert batch.pos.shape == (10, 3)
        assert batch.batch.tolist() == [0] * 5 + [1] * 5
        assert batch.ids == ("a", "b")

    def test_offsets_numbers_of_nodes_and_no_other_tensor(self) -> None:
        samples = [
            Sample(
                id=id,
                x=torch.zeros(2, 1),
                edge_index=torch.tensor([[0], [1]]),
                student_edge_index=torch.tensor([[1, 1], [0, 1]]),
                edge_weight=torch.tensor([1.0]),
                index=torch.tensor([0, 1]),
                index_weight=torch.tensor([0.0, 1.0]),
                count=torch.tensor([0, 1]),
            )
            for id in "ab"
        ]
        batch = collate(samples)
        assert batch.edge_index.tolist() == [[0, 2], [1, 3]]
        assert batch.student_edge_index.tolist() == [[1, 1, 3, 3], [0, 1, 2, 3]]
        assert batch.edge_weight.tolist() == [1.0, 1.0]
        assert batch.index.tolist() == [0, 1, 2, 3]
        assert batch.index_weight.tolist() == [0.0, 1.0, 0.0, 1.0]
        assert batch.count.tolist() == [0, 1, 0, 1]

    def test_numbers_of_nodes_are_those_of_pytorch_geometric(self) -> None:
        data = pytest.importorskip("torch_geometric.data")

        def tensors(nodes: int) -> dict[str, torch.Tensor]:
            numbers = torch.arange(nodes)
            return {
                "x": torch.randn(nodes, 2),
                "edge_index": torch.stack([numbers, numbers.roll(1)]),
                "edge_label_index": torch.stack([numbers[1:], numbers[:-1]]),
                "face": torch.stack([numbers[:1], numbers[1:2], numbers[2:3]]),
                "assoc_index": torch.stack([numbers, numbers, numbers.flip(0)]),
                "seed_index": numbers[:2],
            }

        parts = [tensors(4), tensors(3), tensors(5)]
        theirs = data.Batch.from_data_list([data.Data(**part) for part in parts])
        ours = collate([Sample(id=str(i), **part) for i, part in enumerate(parts)])
        for name in parts[0]:
            assert torch.equal(ours._tensors[name], theirs[name]), name
        for part, sample in zip(parts, ours.split(), strict=True):
            for name, tensor in part.items():
                assert torch.equal(sample._tensors[name], tensor), name

    @pytest.mark.parametrize(
        ("name", "twin", "message"),
        [
            ("face", torch.zeros(2, 3, dtype=torch.int64), r"int64 \[3, 2\] in one, .* \[2, 3\]"),
            (
                "pair_index",
                torch.zeros(4, dtype=torch.int64),
                r"\[3, 2\] in one, .* \[4\]",
            ),
            ("pair_index", torch.zeros(3, 2), r"torch.int64 \[3, 2\] in one, torch.float32"),
        ],
    )
    def test_numbers_of_nodes_that_differ_in_form(self, name: str, twin, message: str) -> None:
        first = {"x": torch.zeros(4, 1), name: torch.zeros(3, 2, dtype=torch.int64)}
        second = {"x": torch.zeros(4, 1), name: twin}
        with pytest.raises(DataError, match=message):
            collate([Sample(id="a", **first), Sample(id="b", **second)])

    def test_accepts_graphs_without_edges_and_without_nodes(self) -> None:
        empty = Sample(
            id="empty", x=torch.zeros(0, 3), edge_index=torch.zeros(2, 0, dtype=torch.int64)
        )
        single = Sample(
            id="single", x=torch.ones(1, 3), edge_index=torch.zeros(2, 0, dtype=torch.int64)
        )
        batch = collate([empty, single, empty])
        assert batch.ptr.tolist() == [0, 0, 1, 1]
        assert batch.batch.tolist() == [1]
        assert [part.num_nodes for part in batch.split()] == [0, 1, 0]

    def test_keeps_dtypes(self) -> None:
        samples = [Sample(id="a", x=torch.zeros(2, 1, dtype=torch.float64))] * 2
        assert collate(samples).x.dtype == torch.float64

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (Sample(id="b", x=torch.zeros(2, 3)), r"one has \['edge_index', 'x', 'y'\]"),
            (path_graph("b", 2, width=4), r"x is torch.float32 \[3, 3\] in one"),
            (
                Sample(
                    id="b",
                    x=torch.zeros(2, 3, dtype=torch.float64),
                    edge_index=torch.zeros(2, 0, dtype=torch.int64),
                    y=torch.zeros(2, 4),
                ),
                "torch.float64",
            ),
        ],
    )
    def test_refuses_samples_that_do_not_go_together(self, other: Sample, message: str) -> None:
        with pytest.raises(DataError, match=message) as caught:
            collate([path_graph("a", 3), other])
        assert "'a' and 'b'" in str(caught.value)

    def test_refuses_no_sample(self) -> None:
        with pytest.raises(DataError, match="at least one"):
            collate([])


class TestBatch:
    def test_serves_a_data_loader(self) -> None:
        samples = [path_graph(str(i), i + 1) for i in range(5)]
        batches = list(DataLoader(samples, batch_size=2, collate_fn=collate))
        assert [batch.ids for batch in batches] == [("0", "1"), ("2", "3"), ("4",)]
        assert all(isinstance(batch, Batch) for batch in batches)

    def test_is_moved_by_lightning(self) -> None:
        from lightning.fabric.utilities.apply_func import move_data_to_device

        moved = move_data_to_device(collate([path_graph("a", 3)]), torch.device("meta"))
        assert {tensor.device.type for _, tensor in moved.items()} == {"meta"}
        assert moved.ids == ("a",)

    def test_says_what_it_holds(self) -> None:
        shown = repr(collate([path_graph("a", 3), path_graph("b", 2)]))
        assert shown == "Batch(2 graphs, x=[5, 3], edge_index=[2, 3], y=[5, 4], batch=[5], ptr=[3])"


class TestAbstractDataset:
    def test_asks_for_the_three_splits(self) -> None:
        class Unfinished(AbstractDataset):
            @property
            def train(self) -> list[Sample]:
                return []

        with pytest.raises(TypeError, match=r"test.*validation"):
            Unfinished()

    def test_takes_splits_as_attributes_of_a_class(self) -> None:
        class Assigned(AbstractDataset):
            train = validation = test = ()

            def __init__(self) -> None:
                self.train = [cloud("a", 0)]

        dataset = Assigned()
        assert [sample.id for sample in dataset.train] == ["a"]
        assert len(dataset.test) == 0

    def test_does_not_change_from_epoch_to_epoch_unless_it_says_so(self) -> None:
        class Fixed(AbstractDataset):
            samples = (cloud("a", 0),)
            train = validation = test = property(lambda self: self.samples)

        dataset = Fixed()
        before = dataset.train[0].pos.clone()
        dataset.set_epoch(3)
        assert not dataset.augmented
        assert torch.equal(dataset.train[0].pos, before)
