import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ppi_archive import CLASSES, FEATURES, GRAPH_SIZES, miniature, write, zipped

from gkd import DataError, create
from gkd_data import ppi
from gkd_data.ppi import PPI
from gkd_data.public_archive import PublicArchive


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


@pytest.fixture
def public(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PublicArchive:
    """The files of the folder, at an address of their own."""
    (tmp_path / "public").mkdir()
    source = zipped(folder, tmp_path / "public" / "ppi.zip")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    archive = PublicArchive("PPI", source.as_uri(), digest)
    monkeypatch.setattr(ppi, "PUBLIC_ARCHIVE", archive)
    return archive


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

    def test_links_may_be_called_edges(self, folder: Path, tmp_path: Path) -> None:
        files = miniature()
        for split in ("train", "valid", "test"):
            graph = files[f"{split}_graph.json"]
            graph["edges"] = graph.pop("links")  # as networkx 3.4 writes them
        ours, theirs = (PPI(p, download=False) for p in (folder, write(tmp_path / "new", files)))
        for one, other in zip(ours.train, theirs.train, strict=True):
            assert one.edge_index.numel() > 0
            assert torch.equal(one.edge_index, other.edge_index)

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

    @pytest.mark.parametrize("size", [1e-320, 1e-170])
    def test_only_centres_a_feature_whose_deviation_is_too_small_for_a_number(
        self, tmp_path: Path, size: float
    ) -> None:
        files = miniature()
        train = files["train_feats.npy"]
        train[:, 0] = size * np.arange(len(train))
        dataset = PPI(write(tmp_path, files))
        assert torch.isfinite(dataset.test[0].x).all()
        np.testing.assert_allclose(dataset.test[0].x[:, 0], files["test_feats.npy"][:, 0], 1e-6)

    def test_refuses_what_standardising_makes_too_large(self, tmp_path: Path) -> None:
        files = miniature()
        train = files["train_feats.npy"]
        train[:, 0] = 1e-60 * np.arange(len(train))
        with pytest.raises(DataError, match=r"standardised .* holds .*: too large for float32"):
            PPI(write(tmp_path, files))


class TestMissing:
    def test_says_where_to_get_it_and_where_to_put_it(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"https://data\.dgl\.ai/dataset/ppi\.zip") as caught:
            PPI(tmp_path, download=False)
        assert f"put it at {tmp_path / 'ppi.zip'}" in str(caught.value)

    @pytest.mark.parametrize("name", ["data", "data.zip"])
    def test_downloads_into_the_root(
        self, folder: Path, tmp_path: Path, public: PublicArchive, name: str
    ) -> None:
        root = tmp_path / "new" / name
        root.mkdir(parents=True)
        assert same(PPI(root), PPI(folder))
        assert [file.name for file in root.iterdir()] == ["ppi.zip"]

    def test_downloads_to_the_archive_that_the_root_names(
        self, folder: Path, tmp_path: Path, public: PublicArchive
    ) -> None:
        assert same(PPI(tmp_path / "mine.zip"), PPI(folder))
        assert (tmp_path / "mine.zip").is_file()

    def test_a_folder_of_other_files_is_not_downloaded_into(
        self, folder: Path, tmp_path: Path, public: PublicArchive
    ) -> None:
        root = tmp_path / "deep" / "other"
        root.mkdir(parents=True)
        for name in ("a.h5", "b.h5", "c.txt", "d.txt"):
            (root / name).touch()
        for place in ("ppi.zip.part", ".hidden"):  # what a killed download leaves, and a system
            (root / place).touch()
        words = r"other has no ppi\.zip and none of its files \(it has a\.h5, b\.h5, c\.txt, …\)"
        with pytest.raises(DataError, match=words) as caught:
            PPI(root)
        assert f"put it at {root / 'ppi.zip'}" in str(caught.value)
        assert not (root / "ppi.zip").exists()
        zipped(folder, root.parent / "ppi.zip")
        with pytest.raises(DataError, match=f"not in {root}, but in {root.parent}: set root"):
            PPI(root)
        for name in ("a.h5", "b.h5", "c.txt", "d.txt"):
            (root / name).unlink()
        assert same(PPI(root), PPI(folder))

    def test_a_mistyped_root_does_not_become_a_folder(
        self, tmp_path: Path, public: PublicArchive
    ) -> None:
        with pytest.raises(DataError, match=f"there is no folder {tmp_path / 'dta'}; make it"):
            PPI(tmp_path / "dta")
        assert not (tmp_path / "dta").exists()

    def test_what_was_downloaded_is_verified(
        self, tmp_path: Path, public: PublicArchive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ppi, "PUBLIC_ARCHIVE", replace(public, sha256="0" * 64))
        with pytest.raises(DataError, match="SHA-256"):
            PPI(tmp_path / "mine.zip")
        assert not (tmp_path / "mine.zip").exists()


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
