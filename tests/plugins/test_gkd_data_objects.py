from pathlib import Path

import numpy as np
import pytest
import torch
from cloud_samples import everyone, same
from object_folders import POINTS, box, cloud, objects, save

from gkd import DataError, ParameterError, create


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    """Three classes of clouds, 10, 6 and 3 of them."""
    for name, count in (("ant", 10), ("bee", 6), ("cat", 3)):
        for i in range(count):
            save(tmp_path / "clouds" / name / f"{i}.npy", cloud(10 * count + i))
    return tmp_path / "clouds"


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """Two classes of meshes as ModelNet lays them out."""
    for label, name in enumerate(("cube", "rod")):
        for split, count in (("train", 4), ("test", 2)):
            for i in range(count):
                file = tmp_path / "meshes" / name / split / f"{name}_{i:04}.off"
                save(file, box(1 + 9 * label + 0.1 * i))
    return tmp_path / "meshes"


class TestFolders:
    def test_is_offered_as_a_plugin(self, clouds: Path) -> None:
        data = create("dataset", "objects", root=str(clouds), points=POINTS)
        assert (data.task, data.inputs) == ("single-label", ("pos", "batch"))
        assert (data.num_features, data.num_classes) == (3, 3)
        assert data.class_names == ("ant", "bee", "cat")

    def test_classes_are_folders(self, clouds: Path) -> None:
        data = objects(clouds)
        for sample in everyone(data):
            assert sample.id.split("/")[0] == data.class_names[int(sample.y)]
            assert sample.pos.shape == (POINTS, 3)
            assert sample.pos.dtype == torch.float32
            assert sample.y.dtype == torch.int64

    def test_every_object_is_in_one_split(self, clouds: Path) -> None:
        ids = [sample.id for sample in everyone(objects(clouds))]
        assert sorted(ids) == sorted(
            file.relative_to(clouds).as_posix() for file in clouds.glob("*/*.npy")
        )

    def test_every_class_is_in_every_split(self, clouds: Path) -> None:
        data = objects(clouds, test_fraction=0.3, validation_fraction=0.3)
        for split, counts in (("train", [5, 3, 1]), ("validation", [2, 1, 1]), ("test", [3, 2, 1])):
            labels = torch.cat([sample.y for sample in getattr(data, split)])
            assert labels.bincount().tolist() == counts, split

    def test_splits_are_as_the_folders_say(self, meshes: Path) -> None:
        data = objects(meshes)
        assert sorted(s.id for s in data.test) == [
            "cube/test/cube_0000.off",
            "cube/test/cube_0001.off",
            "rod/test/rod_0000.off",
            "rod/test/rod_0001.off",
        ]
        assert len(data.train) == 6
        assert len(data.validation) == 2
        assert all("/train/" in s.id for s in (*data.train, *data.validation))

    def test_the_seed_chooses_the_splits(self, clouds: Path) -> None:
        assert same(everyone(objects(clouds)), everyone(objects(clouds)))
        tests = {tuple(s.id for s in objects(clouds, seed=seed).test) for seed in range(4)}
        assert len(tests) > 1

    def test_an_object_does_not_depend_on_the_others(self, meshes: Path) -> None:
        before = {s.id: s.pos for s in objects(meshes).test}
        save(meshes / "cube" / "test" / "another.off", box(1.05))
        after = {s.id: s.pos for s in objects(meshes).test}
        assert len(after) == len(before) + 1
        assert all(torch.equal(pos, after[id]) for id, pos in before.items())

    def test_training_samples_differ_from_epoch_to_epoch(self, meshes: Path) -> None:
        data = objects(meshes)
        assert data.augmented
        first = list(data.train)
        data.set_epoch(1)
        assert not same(first, list(data.train))
        data.set_epoch(0)
        assert same(first, list(data.train))
        assert not objects(meshes, augment=False).augmented

    def test_passes_over_what_is_no_object(self, clouds: Path) -> None:
        before = everyone(objects(clouds))
        for name in (".DS_Store", "notes.txt", "preview.png", ".hidden.npy"):
            save(clouds / "ant" / name, "nothing")
        save(clouds / "README.md", "nothing")
        (clouds / ".git").mkdir()
        assert same(everyone(objects(clouds)), before)

    @pytest.mark.parametrize(
        "place", ["cube/val/a.npy", "cube/b.off", "cube/train/more/c.PLY", "d.ply"]
    )
    def test_no_object_is_left_out_in_silence(self, meshes: Path, place: str) -> None:
        save(meshes / place, "whatever it holds")
        with pytest.raises(DataError, match="would be left out") as caught:
            objects(meshes)
        assert str(meshes / place) in str(caught.value)

    def test_objects_below_a_class_are_not_left_out_either(self, clouds: Path) -> None:
        save(clouds / "ant" / "val" / "a.npy", cloud(0))
        with pytest.raises(DataError, match=r"val.a\.npy would be left out"):
            objects(clouds)

    @pytest.mark.parametrize("suffix", [".npy", ".ply"])
    def test_a_point_that_is_nan_is_named_by_its_number(self, clouds: Path, suffix: str) -> None:
        positions = cloud(0)
        positions[7] = np.nan
        file = clouds / "ant" / f"broken{suffix}"
        rows = "".join(" ".join(map(str, row)) + "\n" for row in positions.tolist())
        axes = "".join(f"property float {axis}\n" for axis in "xyz")
        header = f"ply\nformat ascii 1.0\nelement vertex 20\n{axes}end_header\n"
        save(file, positions if suffix == ".npy" else header + rows)
        with pytest.raises(DataError, match=r"(at point 7|first at \[7, 0\])$"):
            objects(clouds)

    @pytest.mark.parametrize("name", ["a.npy", "a.off", "a.ply"])
    def test_no_file_is_read_that_memory_cannot_hold(self, clouds: Path, name: str) -> None:
        with (clouds / "ant" / name).open("wb") as file:
            file.truncate(2**42)  # a hole, which takes no room on the disk
        with pytest.raises(DataError, match=r"would take 4 TiB of memory, of which .* are free"):
            objects(clouds)

    @pytest.mark.parametrize("far", [1e9, -1e30])
    def test_no_cloud_becomes_one_point(self, clouds: Path, far: float) -> None:
        positions = cloud(0)
        positions[5, 1] = far
        save(clouds / "ant" / "0.npy", positions)
        with pytest.raises(DataError, match=r"a point lies so far out that 19 of 20 become one"):
            objects(clouds)

    def test_a_class_may_mix_formats(self, clouds: Path) -> None:
        save(clouds / "ant" / "mesh.OFF", box(2))
        ids = {sample.id for sample in everyone(objects(clouds))}
        assert "ant/mesh.OFF" in ids

    def test_points_of_a_file_come_in_random_order(self, tmp_path: Path) -> None:
        sorted_cloud = np.stack([np.linspace(0, 1, 100)] * 3, axis=1)
        for name in ("ant", "bee"):
            for i in range(3):
                save(tmp_path / name / f"{i}.npy", sorted_cloud)
        for sample in objects(tmp_path, points=30, surface_points=30).test:
            assert float(sample.pos.amax()) > 0.3
            assert float(sample.pos.amin()) < -0.3

    def test_points_are_on_the_surface(self, meshes: Path) -> None:
        data = objects(meshes, surface_points=500, points=500)
        sample = data.test[0]
        # A cube in the unit sphere, its middle a little beside that of its points.
        extent = (sample.pos.amax(0) - sample.pos.amin(0)).tolist()
        middle = (sample.pos.amax(0) + sample.pos.amin(0)) / 2
        depth = (sample.pos - middle).abs().amax(1)
        torch.testing.assert_close(depth, torch.full_like(depth, extent[0] / 2), rtol=0.02, atol=0)


class TestBadFolders:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=f"there is no folder {tmp_path / 'none'}"):
            objects(tmp_path / "none")

    def test_without_classes(self, clouds: Path) -> None:
        with pytest.raises(DataError, match=r"the data are not in .*ant, but in"):
            objects(clouds / "ant")

    def test_with_splits_above_classes(self, tmp_path: Path) -> None:
        root = tmp_path / "data"  # beside folders of other tests, these would seem to be the data
        for split in ("train", "test"):
            save(root / split / "ant" / "0.npy", cloud(0))
        with pytest.raises(
            DataError, match=r"2 sub-folders \(test, train\); expected one per class"
        ):
            objects(root)

    def test_empty_class(self, clouds: Path) -> None:
        (clouds / "dog").mkdir()
        with pytest.raises(DataError, match=r"dog has no object: expected files that end in .npy"):
            objects(clouds)

    def test_class_in_another_format(self, clouds: Path) -> None:
        save(clouds / "dog" / "dog.obj", "v 0 0 0")
        with pytest.raises(DataError, match=r"dog has no object: .*; it has dog\.obj"):
            objects(clouds)

    def test_class_without_tests(self, meshes: Path) -> None:
        for file in (meshes / "rod" / "test").iterdir():
            file.unlink()
        with pytest.raises(DataError, match="rod/test has no object"):
            objects(meshes)
        (meshes / "rod" / "test").rmdir()
        with pytest.raises(DataError, match="rod/test has no object"):
            objects(meshes)

    def test_classes_laid_out_differently(self, meshes: Path) -> None:
        save(meshes / "ring" / "ring.off", box(1))
        with pytest.raises(DataError, match="cube has train/ and test/, but ring does not"):
            objects(meshes)

    @pytest.mark.parametrize(("count", "where"), [(1, "clouds: class"), (2, "to train on: class")])
    def test_class_with_too_few_to_split(self, clouds: Path, count: int, where: str) -> None:
        for i in range(count):
            save(clouds / "dog" / f"{i}.npy", cloud(i))
        with pytest.raises(DataError, match=f"{where} 'dog' has one object only"):
            objects(clouds)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"points": 0}, "'points' must be int > 0, got 0"),
            (
                {"surface_points": 11},
                "must be at least 12, the points of a sample, got 11",
            ),
            ({"test_fraction": 0.0}, "'test_fraction' must be 0 < float < 1, got 0.0"),
            ({"validation_fraction": 1.0}, "'validation_fraction' must be 0 < float < 1, got 1.0"),
        ],
    )
    def test_values_out_of_range(self, clouds: Path, options: dict, message: str) -> None:
        with pytest.raises(ParameterError, match=message):
            objects(clouds, **options)


class TestBadClouds:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (cloud(0, 11), "has 11 points, but 12 are asked for"),
            (cloud(0).T, r"floating-point numbers \[points, 3\], not float32 \[3, 20\]"),
            (cloud(0)[:, :2], r"not float32 \[20, 2\]"),
            (cloud(0)[0], r"must have 2 axes, but has shape \(3,\)"),
            (cloud(0).astype(np.int64), r"floating-point numbers \[points, 3\], not int64"),
            (cloud(0, dtype="float64"), r"holds float64, but .*ant/0.npy holds float32"),
            (np.full((20, 3), 0.3, np.float32), "has no size: its 20 points are all the same"),
            (np.where(np.eye(20, 3) > 0, np.nan, cloud(0)), "holds NaN or infinity"),
            (b"\x93NUMPY nonsense", "not a complete .npy array"),
            (b"", "not a complete .npy array"),
        ],
        ids=lambda value: value[:12] if isinstance(value, str) else "",
    )
    def test_names_the_file_and_what_is_wrong(
        self, clouds: Path, content: object, message: str
    ) -> None:
        save(clouds / "bee" / "3.npy", content)
        with pytest.raises(DataError, match=message) as caught:
            objects(clouds)
        assert str(clouds / "bee" / "3.npy") in str(caught.value)

    def test_float64_is_centred_before_it_is_rounded(self, tmp_path: Path) -> None:
        # Map coordinates: float32 would leave a grid of half a metre.
        near = cloud(0, dtype="float64")
        for name in ("ant", "bee"):
            for i in range(3):
                save(tmp_path / "near" / name / f"{i}.npy", near)
                save(tmp_path / "far" / name / f"{i}.npy", near + 4e6)
        first, second = objects(tmp_path / "near").test[0], objects(tmp_path / "far").test[0]
        torch.testing.assert_close(first.pos, second.pos, atol=1e-6, rtol=0)
