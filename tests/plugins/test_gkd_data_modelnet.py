import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cloud_samples import everyone, same
from modelnet_files import NAMES, POINTS, SIZES, dataset, miniature, write, zipped

from gkd import DataError, ParameterError, collate, create
from gkd_data import modelnet
from gkd_data.modelnet import ModelNet40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", miniature())


class TestLayouts:
    def test_is_offered_as_a_plugin(self, folder: Path) -> None:
        data = create("dataset", "modelnet40", root=str(folder), points=8)
        assert (data.task, data.inputs) == ("single-label", ("pos", "batch"))
        assert (data.num_features, data.num_classes) == (3, 3)
        assert data.class_names == tuple(NAMES)

    def test_a_sample_is_a_cloud_with_its_class(self, folder: Path) -> None:
        data = dataset(folder, augment=False)
        for sample in everyone(data):
            stem, _, number = sample.id.partition("/")
            expected = miniature()[f"{stem}.h5"]["label"][int(number)].tolist()
            assert sample.pos.shape == (POINTS, 3)
            assert sample.pos.dtype == torch.float32
            assert sample.y.dtype == torch.int64
            assert sample.y.tolist() == expected

    def test_samples_can_be_batched(self, folder: Path) -> None:
        batch = collate(dataset(folder).train[:3])
        assert batch.pos.shape == (3 * POINTS, 3)
        assert batch.y.shape == (3,)
        assert batch.ptr.tolist() == [0, POINTS, 2 * POINTS, 3 * POINTS]

    def test_ids_differ_between_all_samples(self, folder: Path) -> None:
        ids = [sample.id for sample in everyone(dataset(folder))]
        assert len(set(ids)) == len(ids) == sum(SIZES.values())

    @pytest.mark.parametrize("prefix", ["", "modelnet40_ply_hdf5_2048/"])
    def test_reads_folders_and_archives_alike(
        self, folder: Path, tmp_path: Path, prefix: str
    ) -> None:
        expected = everyone(dataset(folder))
        archive = zipped(folder, tmp_path / "modelnet40_ply_hdf5_2048.zip", prefix)
        for place in (archive, tmp_path, str(archive)):
            assert same(everyone(dataset(place)), expected), place

    @pytest.mark.parametrize("name", ["modelnet40_ply_hdf5_2048", "raw"])
    def test_finds_an_archive_unpacked_below_the_root(self, tmp_path: Path, name: str) -> None:
        write(tmp_path / name, miniature())
        assert len(dataset(tmp_path).test) == 6

    def test_reads_flat_labels(self, folder: Path, tmp_path: Path) -> None:
        files = miniature()
        for name in SIZES:
            files[name]["label"] = files[name]["label"][:, 0].astype(np.int64)
        assert same(everyone(dataset(write(tmp_path, files))), everyone(dataset(folder)))

    def test_reads_lists_made_on_windows(self, folder: Path, tmp_path: Path) -> None:
        files = miniature()
        for name in ("train_files.txt", "test_files.txt"):
            files[name] = files[name].replace("/", "\\").replace("\n", "\r\n")
        assert same(everyone(dataset(write(tmp_path, files))), everyone(dataset(folder)))

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_reads_floating_types(self, tmp_path: Path, dtype: str) -> None:
        files = miniature(dtype)
        cloud = files["ply_data_test0.h5"]["data"][0].astype(np.float64)
        centred = cloud - cloud.mean(0)
        expected = centred / np.linalg.norm(centred, axis=1).max()
        sample = dataset(write(tmp_path, files)).test[0]
        np.testing.assert_allclose(sample.pos, expected, atol=1e-6)


class TestPoints:
    def test_tests_take_the_first_points(self, folder: Path) -> None:
        whole, part = dataset(folder), dataset(folder, points=5)
        for split in ("validation", "test"):
            for long, short in zip(getattr(whole, split), getattr(part, split), strict=True):
                assert torch.equal(long.pos[:5], short.pos)

    def test_clouds_of_different_sizes_give_samples_of_one(self, tmp_path: Path) -> None:
        files = miniature()
        files["ply_data_train1.h5"]["data"] = files["ply_data_train1.h5"]["data"][:, :9]
        data = dataset(write(tmp_path, files), points=9)
        assert {sample.num_nodes for sample in everyone(data)} == {9}
        with pytest.raises(DataError, match=r"ply_data_train1.h5: object 0 has 9 points, but 10"):
            dataset(tmp_path, points=10)

    def test_defaults_to_as_many_as_dgcnn_was_trained_with(self, folder: Path) -> None:
        with pytest.raises(DataError, match="has 16 points, but 1024 are asked for"):
            ModelNet40(folder, download=False)


class TestEpochs:
    def test_training_samples_depend_on_the_epoch_alone(self, folder: Path) -> None:
        data, other = dataset(folder, points=5), dataset(folder, points=5)
        assert data.augmented
        epochs = []
        for epoch in (0, 1, 2):
            data.set_epoch(epoch)
            epochs.append(list(data.train))
        assert not same(epochs[0], epochs[1])
        assert not same(epochs[1], epochs[2])
        other.set_epoch(2)
        assert same([other.train[i] for i in (3, 1)], [epochs[2][3], epochs[2][1]])
        other.set_epoch(0)
        assert same(list(other.train), epochs[0])

    def test_every_sample_is_drawn_for_itself(self, tmp_path: Path) -> None:
        files = miniature()
        data = files["ply_data_train0.h5"]["data"]
        data[:] = data[0]
        train = dataset(write(tmp_path, files)).train
        twins = [sample for sample in train if sample.id.startswith("ply_data_train0/")]
        assert not torch.equal(twins[0].pos, twins[1].pos)

    def test_ids_and_classes_stay(self, folder: Path) -> None:
        data = dataset(folder)
        before = [(sample.id, int(sample.y)) for sample in data.train]
        data.set_epoch(7)
        assert [(sample.id, int(sample.y)) for sample in data.train] == before

    def test_validation_and_test_do_not_change(self, folder: Path) -> None:
        data = dataset(folder)
        before = [*data.validation, *data.test]
        data.set_epoch(7)
        assert same([*data.validation, *data.test], before)

    def test_the_seed_changes_what_is_drawn(self, folder: Path) -> None:
        first, second = dataset(folder, seed=0), dataset(folder, seed=1)
        shared = {s.id: s for s in first.train}
        pairs = [(shared[s.id], s) for s in second.train if s.id in shared]
        assert pairs
        assert not any(torch.equal(a.pos, b.pos) for a, b in pairs)

    def test_without_augmentation_nothing_changes(self, folder: Path) -> None:
        data = dataset(folder, augment=False)
        assert not data.augmented
        before = list(data.train)
        data.set_epoch(7)
        assert same(list(data.train), before)

    def test_training_samples_are_a_sequence(self, folder: Path) -> None:
        train = dataset(folder).train
        assert same(list(train), [train[i] for i in range(len(train))])
        assert same(train[-2:], [train[len(train) - 2], train[-1]])
        with pytest.raises(IndexError):
            train[len(train)]


class TestValidation:
    def test_holds_out_the_same_share_of_every_class(self, folder: Path) -> None:
        data = dataset(folder, validation_fraction=0.25)
        held = [int(sample.y) for sample in data.validation]
        # 24 training objects, 9, 8 and 7 of the classes.
        assert [held.count(label) for label in range(3)] == [2, 2, 2]
        assert len(data.train) == 18

    def test_comes_from_the_training_objects(self, folder: Path) -> None:
        data = dataset(folder)
        ids = {sample.id for sample in (*data.train, *data.validation)}
        assert ids == {
            f"{Path(name).stem}/{i}"
            for name, n in SIZES.items()
            if "train" in name
            for i in range(n)
        }

    def test_depends_on_the_seed_alone(self, folder: Path) -> None:
        def held(seed: int) -> list[str]:
            return [s.id for s in dataset(folder, seed=seed, validation_fraction=0.4).validation]

        assert held(0) == held(0)
        assert len({tuple(held(seed)) for seed in range(5)}) > 1

    def test_needs_two_objects_of_a_class(self, tmp_path: Path) -> None:
        files = miniature()
        for name in ("ply_data_train0.h5", "ply_data_train1.h5"):
            files[name]["label"][:] = 0
        files["ply_data_train0.h5"]["label"][4] = 1
        write(tmp_path, files)
        with pytest.raises(
            DataError, match=r"class 'lamp' has one object only \(ply_data_train0/4\)"
        ):
            dataset(tmp_path)


class TestParameters:
    @pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
    def test_validation_is_a_part_of_the_whole(self, folder: Path, fraction: float) -> None:
        with pytest.raises(ParameterError, match="_fraction' must be 0 < float < 1, got"):
            dataset(folder, validation_fraction=fraction)

    def test_there_is_a_point(self, folder: Path) -> None:
        with pytest.raises(ParameterError, match="'points' must be int > 0, got 0"):
            dataset(folder, points=0)


class TestMissing:
    def test_says_where_to_get_it_and_where_to_put_it(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"https://shapenet\.cs\.stanford\.edu") as caught:
            dataset(tmp_path)
        assert f"put it at {tmp_path / 'modelnet40_ply_hdf5_2048.zip'}" in str(caught.value)

    def test_downloads_into_the_root(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "public").mkdir()
        name = "modelnet40_ply_hdf5_2048"
        source = zipped(folder, tmp_path / "public" / f"{name}.zip", f"{name}/")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        public = replace(modelnet.PUBLIC_ARCHIVE, url=source.as_uri(), sha256=digest)
        monkeypatch.setattr(modelnet, "PUBLIC_ARCHIVE", public)
        root = tmp_path / "new"
        root.mkdir()
        assert same(everyone(ModelNet40(root, points=POINTS)), everyone(dataset(folder)))
        assert [file.name for file in root.iterdir()] == [f"{name}.zip"]

    def test_a_folder_of_other_files_is_not_downloaded_into(self, tmp_path: Path) -> None:
        (tmp_path / "ppi.zip").touch()
        words = r"has no modelnet40_ply_hdf5_2048\.zip and none of its files \(it has ppi\.zip\)"
        with pytest.raises(DataError, match=words):
            ModelNet40(tmp_path)

    def test_what_was_downloaded_is_verified(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = zipped(folder, tmp_path / "source.zip")
        public = replace(modelnet.PUBLIC_ARCHIVE, url=source.as_uri())
        monkeypatch.setattr(modelnet, "PUBLIC_ARCHIVE", public)
        root = tmp_path / "new"
        root.mkdir()
        with pytest.raises(DataError, match="SHA-256"):
            ModelNet40(root)
        assert list(root.iterdir()) == []


@pytest.fixture(scope="module")
def modelnet10(data_root: Path) -> ModelNet40:
    return ModelNet40(data_root / "modelnet10_hdf5_1024", download=False)


class TestRealFiles:
    def test_has_the_official_split(self, modelnet10: ModelNet40) -> None:
        train, validation, test = modelnet10.train, modelnet10.validation, modelnet10.test
        assert (len(train), len(validation), len(test)) == (3592, 399, 908)
        trained = torch.cat([sample.y for sample in (*train, *validation)]).bincount()
        tested = torch.cat([sample.y for sample in test]).bincount()
        # Bathtub, bed, chair, desk, dresser, monitor, night stand, sofa, table, toilet.
        assert trained.tolist() == [106, 515, 889, 200, 200, 465, 200, 680, 392, 344]
        assert tested.tolist() == [50, 100, 100, 86, 86, 100, 86, 100, 100, 100]
        assert modelnet10.class_names[0] == "bathtub"
        assert modelnet10.class_names[9] == "toilet"

    def test_validation_has_a_tenth_of_every_class(self, modelnet10: ModelNet40) -> None:
        counts = torch.cat([sample.y for sample in modelnet10.validation]).bincount()
        assert counts.tolist() == [11, 52, 89, 20, 20, 46, 20, 68, 39, 34]

    def test_every_cloud_fills_the_unit_sphere(self, modelnet10: ModelNet40) -> None:
        positions = torch.stack([sample.pos for sample in modelnet10.test]).double()
        radii = positions.norm(dim=2).amax(1)
        torch.testing.assert_close(radii, torch.ones_like(radii), atol=1e-6, rtol=0)
        torch.testing.assert_close(
            positions.mean(1), torch.zeros(908, 3).double(), atol=1e-6, rtol=0
        )
