import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from gkd import DataError, create
from gkd_data import PPI, ppi
from gkd_data.download import Remote

FEATURES, CLASSES = 3, 2
GRAPH_SIZES = {"train": {1: 3, 2: 2}, "valid": {3: 2}, "test": {4: 4}}


def miniature() -> dict[str, object]:
    """Files of a small archive in the public layout: arrays, and graphs as objects."""
    rng = np.random.default_rng(0)
    files: dict[str, object] = {}
    for split, sizes in GRAPH_SIZES.items():
        total = sum(sizes.values())
        starts = np.cumsum([0, *sizes.values()])[:-1]
        links = [
            {"source": int(start + i), "target": int(start + i + 1)}
            for start, size in zip(starts, sizes.values(), strict=True)
            for i in range(size - 1)
        ]
        files[f"{split}_graph.json"] = {
            "directed": False,
            "multigraph": False,
            "graph": {},
            "nodes": [{"id": i} for i in range(total)],
            "links": links,
        }
        files[f"{split}_feats.npy"] = rng.standard_normal((total, FEATURES))
        files[f"{split}_labels.npy"] = rng.integers(0, 2, (total, CLASSES))
        files[f"{split}_graph_id.npy"] = np.repeat(list(sizes), list(sizes.values()))
    return files


def write(folder: Path, files: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif name.endswith(".json"):
            (folder / name).write_text(json.dumps(content))
        else:
            np.save(folder / name, content)
    return folder


def zipped(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for file in sorted(folder.iterdir()):
            target.write(file, file.name)
    return archive


def same(first: PPI, second: PPI) -> bool:
    pairs = [
        (ours, theirs)
        for split in ("train", "validation", "test")
        for ours, theirs in zip(getattr(first, split), getattr(second, split), strict=True)
    ]
    return all(
        ours.id == theirs.id and all(torch.equal(t, getattr(theirs, n)) for n, t in ours.items())
        for ours, theirs in pairs
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", miniature())


class TestLayouts:
    def test_reads_folders_and_archives_alike(self, folder: Path, tmp_path: Path) -> None:
        expected = PPI(folder, download=False)
        archive = zipped(folder, tmp_path / "ppi.zip")
        for place in (archive, tmp_path, str(archive)):
            assert same(PPI(place, download=False), expected), place

    @pytest.mark.parametrize("name", ["ppi", "raw"])
    def test_finds_an_archive_unpacked_below_the_root(self, tmp_path: Path, name: str) -> None:
        write(tmp_path / name, miniature())
        assert len(PPI(tmp_path, download=False).train) == 2

    def test_is_offered_as_a_plugin(self, folder: Path) -> None:
        dataset = create("dataset", "ppi", root=str(folder))
        assert dataset.task == "multi-label"
        assert dataset.inputs == ("x", "edge_index")
        assert (dataset.num_features, dataset.num_classes) == (FEATURES, CLASSES)

    def test_splits_into_graphs_with_their_own_numbering(self, folder: Path) -> None:
        dataset = PPI(folder, standardise=False)
        files = miniature()
        assert [s.id for s in dataset.train] == ["graph-1", "graph-2"]
        assert [s.id for s in (*dataset.validation, *dataset.test)] == ["graph-3", "graph-4"]
        second = dataset.train[1]
        assert second.x.dtype == second.y.dtype == torch.float32
        assert second.edge_index.tolist() == [[1, 0], [0, 1]]
        np.testing.assert_array_equal(second.x, files["train_feats.npy"][3:].astype(np.float32))
        np.testing.assert_array_equal(second.y, files["train_labels.npy"][3:])

    def test_accepts_nodes_of_different_graphs_in_turns(self, tmp_path: Path) -> None:
        files = miniature()
        files["train_graph_id.npy"] = np.array([1, 2, 1, 2, 1])
        files["train_graph.json"]["links"] = [
            {"source": 0, "target": 4},
            {"source": 3, "target": 1},
        ]
        first, second = PPI(write(tmp_path, files), standardise=False).train
        np.testing.assert_array_equal(
            first.x, files["train_feats.npy"][[0, 2, 4]].astype(np.float32)
        )
        assert first.edge_index.tolist() == [[2, 0], [0, 2]]
        assert second.edge_index.tolist() == [[1, 0], [0, 1]]


class TestLinks:
    def with_links(self, folder: Path, pairs: list[tuple[int, int]], **options: bool) -> list:
        files = miniature()
        files["test_graph.json"]["links"] = [{"source": i, "target": j} for i, j in pairs]
        return PPI(write(folder, files), **options).test[0].edge_index.tolist()

    def test_directed_links_equal_undirected_ones(self, tmp_path: Path) -> None:
        undirected = self.with_links(tmp_path / "a", [(0, 1), (2, 3)])
        directed = self.with_links(tmp_path / "b", [(1, 0), (3, 2), (0, 1), (2, 3), (2, 3)])
        assert undirected == directed == [[1, 0, 3, 2], [0, 1, 2, 3]]

    def test_self_loops_go_unless_asked_for(self, tmp_path: Path) -> None:
        pairs = [(0, 0), (0, 1), (2, 2)]
        assert self.with_links(tmp_path / "a", pairs) == [[1, 0], [0, 1]]
        kept = self.with_links(tmp_path / "b", pairs, self_loops=True)
        assert kept == [[0, 1, 0, 2], [0, 0, 1, 2]]

    def test_no_link_is_no_edge(self, tmp_path: Path) -> None:
        assert self.with_links(tmp_path, []) == [[], []]


class TestStandardisation:
    def test_training_nodes_have_mean_zero_and_deviation_one(self, folder: Path) -> None:
        features = torch.cat([sample.x for sample in PPI(folder).train]).double()
        torch.testing.assert_close(
            features.mean(0), torch.zeros(FEATURES).double(), atol=1e-6, rtol=0
        )
        torch.testing.assert_close(features.std(0, correction=0), torch.ones(FEATURES).double())

    def test_other_nodes_are_measured_by_the_training_nodes(self, folder: Path) -> None:
        files = miniature()
        train, test = files["train_feats.npy"], files["test_feats.npy"]
        expected = (test - train.mean(0)) / train.std(0)
        np.testing.assert_allclose(PPI(folder).test[0].x, expected, rtol=1e-5)

    def test_changes_nothing_that_is_standardised_already(self, tmp_path: Path) -> None:
        files = miniature()
        train = files["train_feats.npy"]
        mean, deviation = train.mean(0), train.std(0)
        for split in GRAPH_SIZES:
            files[f"{split}_feats.npy"] = (files[f"{split}_feats.npy"] - mean) / deviation
        standardised = PPI(write(tmp_path, files))
        kept = PPI(tmp_path, standardise=False)
        for ours, theirs in zip(standardised.test, kept.test, strict=True):
            torch.testing.assert_close(ours.x, theirs.x)

    def test_only_centres_a_feature_without_deviation(self, tmp_path: Path) -> None:
        files = miniature()
        for split in GRAPH_SIZES:
            files[f"{split}_feats.npy"][:, 0] = 0.1
        files["test_feats.npy"][0, 0] = 2.1
        dataset = PPI(write(tmp_path, files))
        assert all((sample.x[:, 0].abs() < 1e-6).all() for sample in dataset.train)
        assert dataset.test[0].x[0, 0] == pytest.approx(2.0)


def bad(array: np.ndarray, value: object) -> np.ndarray:
    copy = array.astype(np.asarray(value).dtype)
    copy.flat[0] = value
    return copy


DAMAGES = {
    "features with NaN": ("train_feats.npy", lambda a: bad(a, np.nan), "NaN or infinity"),
    "infinite labels": ("test_labels.npy", lambda a: bad(a, np.inf), "NaN or infinity"),
    "labels beyond one": ("valid_labels.npy", lambda a: bad(a, 2), "only zeros and ones"),
    "text": ("train_feats.npy", lambda a: a.astype(str), "must hold real numbers, not <U"),
    "complex": ("train_feats.npy", lambda a: a + 1j, "must hold real numbers, not complex"),
    "objects": ("train_feats.npy", lambda a: a.astype(object), "not a complete .npy array"),
    "no array": ("train_feats.npy", lambda a: b"PK what is this", "not a complete .npy array"),
    "half an array": (
        "train_feats.npy",
        lambda a: b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9, 9)",
        "not a complete .npy array",
    ),
    "flat labels": ("train_labels.npy", lambda a: a[:, 0], r"2 axes, but has shape \(5,\)"),
    "missing rows": ("train_labels.npy", lambda a: a[1:], "4 rows, but train_feats.npy has 5"),
    "missing ids": ("test_graph_id.npy", lambda a: a[1:], "3 rows, but test_feats.npy has 4"),
    "fractional ids": ("train_graph_id.npy", lambda a: a + 0.5, "whole numbers, not float64"),
    "gap in ids": (
        "train_graph_id.npy",
        lambda a: np.where(a == 2, 3, a),
        "graphs 1 to 3 are numbered, but 2 has no node",
    ),
    "graph in two splits": (
        "valid_graph_id.npy",
        lambda a: np.full_like(a, 2),
        "graph 2 is in train and in valid",
    ),
    "features of another width": (
        "test_feats.npy",
        lambda a: a[:, 1:],
        "test has 2 features, but train has 3",
    ),
    "labels of another width": (
        "valid_labels.npy",
        lambda a: a[:, 1:],
        "valid has 1 labels, but train has 2",
    ),
    "no JSON": ("train_graph.json", lambda g: b'{"nodes": [', "not valid JSON"),
    "no UTF-8": ("train_graph.json", lambda g: b"\xff\xfe{}", "not valid JSON"),
    "another JSON": ("train_graph.json", lambda g: [1, 2], "not a node-link graph"),
    "no links": ("train_graph.json", lambda g: {"nodes": g["nodes"]}, "KeyError 'links'"),
    "missing node": (
        "train_graph.json",
        lambda g: g | {"nodes": g["nodes"][1:]},
        "4 nodes; expected ids 0 to 4",
    ),
    "named nodes": (
        "train_graph.json",
        lambda g: g | {"nodes": [{"id": "P53"}] * 5},
        "expected ids",
    ),
    "link out of range": (
        "train_graph.json",
        lambda g: g | {"links": [*g["links"], {"source": 1, "target": 5}]},
        "link 3 joins 1 and 5; expected node ids from 0 to 4",
    ),
    "negative link": (
        "train_graph.json",
        lambda g: g | {"links": [*g["links"], {"source": -1, "target": 0}]},
        "link 3 joins -1 and 0",
    ),
    "fractional link": (
        "train_graph.json",
        lambda g: g | {"links": [*g["links"], {"source": 0.5, "target": 0}]},
        "its links join float64 values",
    ),
    "link to another graph": (
        "train_graph.json",
        lambda g: g | {"links": [*g["links"], {"source": 2, "target": 3}]},
        "link 3 joins node 2 of graph 1 and node 3 of graph 2",
    ),
}


class TestDamagedFiles:
    @pytest.mark.parametrize(("name", "change", "message"), DAMAGES.values(), ids=DAMAGES.keys())
    def test_names_the_file_and_what_is_wrong(
        self, tmp_path: Path, name: str, change, message: str
    ) -> None:
        files = miniature()
        files[name] = change(files[name])
        write(tmp_path, files)
        with pytest.raises(DataError, match=message) as caught:
            PPI(tmp_path, download=False)
        assert str(tmp_path) in str(caught.value)

    def test_empty_split(self, tmp_path: Path) -> None:
        files = miniature()
        for kind in ("feats", "labels", "graph_id"):
            files[f"valid_{kind}.npy"] = files[f"valid_{kind}.npy"][:0]
        files["valid_graph.json"].update(nodes=[], links=[])
        with pytest.raises(DataError, match="valid_graph_id.npy is empty"):
            PPI(write(tmp_path, files))

    def test_missing_members(self, tmp_path: Path) -> None:
        files = miniature()
        del files["test_feats.npy"]
        write(tmp_path / "data", files)
        archive = zipped(tmp_path / "data", tmp_path / "ppi.zip")
        for place in (archive, tmp_path / "data"):
            with pytest.raises(DataError, match="lacks test_feats.npy; it has"):
                PPI(place, download=False)

    def test_foreign_archive(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "ppi.zip", "w") as archive:
            archive.writestr("holiday.jpg", b"sunset")
        with pytest.raises(DataError, match=r"it has holiday.jpg\. Is it the archive of another"):
            PPI(tmp_path, download=False)

    @pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
    def test_truncated_archive(self, folder: Path, tmp_path: Path, kept: float) -> None:
        archive = zipped(folder, tmp_path / "ppi.zip")
        content = archive.read_bytes()
        length = int(len(content) * kept) if isinstance(kept, float) else kept
        archive.write_bytes(content[:length])
        with pytest.raises(DataError, match="not a complete zip archive"):
            PPI(archive, download=False)

    def test_archive_with_a_flipped_byte(self, folder: Path, tmp_path: Path) -> None:
        archive = zipped(folder, tmp_path / "ppi.zip")
        content = bytearray(archive.read_bytes())
        with zipfile.ZipFile(archive) as whole:
            member = whole.getinfo("train_feats.npy")
        content[member.header_offset + 60 + len(member.filename)] ^= 0xFF
        archive.write_bytes(content)
        with pytest.raises(DataError, match="train_feats.npy cannot be read"):
            PPI(archive, download=False)


class TestMissing:
    def test_says_where_to_get_it_and_where_to_put_it(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"https://data\.dgl\.ai/dataset/ppi\.zip") as caught:
            PPI(tmp_path, download=False)
        assert f"put it at {tmp_path / 'ppi.zip'}" in str(caught.value)

    def test_downloads_into_the_root(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = zipped(folder, tmp_path / "source.zip")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        monkeypatch.setattr(ppi, "PUBLIC_ARCHIVE", Remote(source.as_uri(), digest))
        root = tmp_path / "new" / "place"
        assert same(PPI(root), PPI(folder))
        assert [file.name for file in root.iterdir()] == ["ppi.zip"]

    def test_downloads_to_the_archive_that_the_root_names(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = zipped(folder, tmp_path / "source.zip")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        monkeypatch.setattr(ppi, "PUBLIC_ARCHIVE", Remote(source.as_uri(), digest))
        assert same(PPI(tmp_path / "mine.zip"), PPI(folder))
        assert (tmp_path / "mine.zip").is_file()

    def test_what_was_downloaded_is_verified(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = zipped(folder, tmp_path / "source.zip")
        monkeypatch.setattr(ppi, "PUBLIC_ARCHIVE", Remote(source.as_uri(), "0" * 64))
        with pytest.raises(DataError, match="SHA-256"):
            PPI(tmp_path / "new")
        assert list((tmp_path / "new").iterdir()) == []


@pytest.fixture(scope="module")
def dataset(data_root: Path) -> PPI:
    return PPI(data_root, download=False)


class TestRealArchive:
    def test_has_the_published_counts(self, dataset: PPI) -> None:
        splits = (dataset.train, dataset.validation, dataset.test)
        assert [len(split) for split in splits] == [20, 2, 2]
        assert [sum(s.num_nodes for s in split) for split in splits] == [44906, 6514, 5524]
        assert sum(s.edge_index.shape[1] for s in dataset.train) == 1_226_368
        assert (dataset.num_features, dataset.num_classes) == (50, 121)

    def test_has_the_features_of_the_public_file(self, dataset: PPI) -> None:
        # The row of a protein without any feature, as users of the public file print it.
        bare = dataset.train[0].x[0, [0, 1, 2, -3, -2, -1]]
        expected = torch.tensor([-0.0855, -0.0884, -0.1128, -0.1399, -0.1494, -0.1481])
        torch.testing.assert_close(bare, expected, atol=5e-5, rtol=0)

    def test_every_graph_is_symmetric_without_self_loops(self, dataset: PPI) -> None:
        for sample in (*dataset.train, *dataset.validation, *dataset.test):
            source, target = sample.edge_index
            key = target * sample.num_nodes + source
            assert (key.diff() > 0).all()
            assert torch.equal((source * sample.num_nodes + target).sort().values, key)
            assert not (source == target).any()
