"""ModelNet: CAD models of objects as point clouds, in the layout of the public HDF5 files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gkd import DataError
from gkd_data.archive import Archive
from gkd_data.clouds import Clouds, unit_cloud
from gkd_data.modelnet_shard import read_shard
from gkd_data.point_clouds import PointCloudDataset
from gkd_data.public_archive import PublicArchive
from gkd_data.ranges import check_fraction, check_range
from gkd_data.splits import held_out

PUBLIC_ARCHIVE = PublicArchive(
    title="ModelNet40",
    url="https://shapenet.cs.stanford.edu/media/modelnet40_ply_hdf5_2048.zip",
    # As TensorFlow Graphics publishes it.
    sha256="07670e237db72ece0f723b9abb571534c9ad655a6456b389646587dc72bb8bae",
)
_CLASSES = "shape_names.txt"
_LISTS = {"train": "train_files.txt", "test": "test_files.txt"}


class ModelNet40(PointCloudDataset):
    """Point clouds from the surfaces of CAD models: 40 classes, 9,840 to train on, 2,468 to test.

    Reads any data set in the layout of ``modelnet40_ply_hdf5_2048``, whatever its classes, shards
    and points: ``shape_names.txt`` (one class per line), ``train_files.txt`` and
    ``test_files.txt`` (one shard per line; only its base name counts), and the shards with
    ``data [n, P, 3]`` (float16, float32 or float64, the same in all) and ``label [n]`` or
    ``[n, 1]``.

    Every cloud is centred and scaled into the unit sphere. Validation objects are held out from
    the training objects, the same share of every class. A sample is ``pos [points, 3]`` and
    ``y [1]``: of a validation or test object the first points, of a training object others in
    each epoch, in random order, scaled per axis by 2/3 to 3/2 and shifted by up to 0.2.

    Args:
        root: the zip archive; or a folder with the archive or its files, in the folder itself or
            in ``modelnet40_ply_hdf5_2048/`` below it.
        points: points per sample, at most as many as each cloud has.
        augment: draw training samples anew in each epoch; False takes the first points.
        validation_fraction: share of the training objects held out for validation.
        seed: of the augmentation and of the choice of validation objects.
        download: fetch the public archive into ``root``, a folder that is there, when it has none.

    Raises:
        DataError: the archive is missing and cannot be fetched, or is not what it should be.
        ParameterError: a value is out of its range.

    Source: Wu et al., CVPR 2015; sampled as points by Qi et al., CVPR 2017 (PointNet).
    """

    def __init__(
        self,
        root: str | Path,
        points: int = 1024,
        augment: bool = True,
        validation_fraction: float = 0.1,
        seed: int = 0,
        download: bool = True,
    ) -> None:
        check_range("modelnet40", "points", points, 1)
        check_fraction("modelnet40", "validation_fraction", validation_fraction)
        texts = (_CLASSES, *_LISTS.values())
        archive = PUBLIC_ARCHIVE.find(Path(root), texts, download)
        class_names = _class_names(archive)
        shards = _shards(archive)
        clouds = _read(archive, shards, points, len(class_names))
        train, validation = held_out(
            clouds["train"],
            validation_fraction,
            class_names,
            archive.where(_LISTS["train"]),
            seed,
        )
        super().__init__(train, validation, clouds["test"], class_names, points, augment, seed)


def _class_names(archive: Archive) -> tuple[str, ...]:
    names = archive.lines(_CLASSES)
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated or len(names) < 2:
        problem = f"lists {repeated[0]!r} twice" if repeated else f"lists {len(names)} classes"
        raise DataError(f"{archive.where(_CLASSES)} {problem}; expected one class per line")
    return tuple(names)


def _shards(archive: Archive) -> dict[str, list[str]]:
    # The public lists have paths of the machine they were made on.
    shards = {
        split: [line.replace("\\", "/").rpartition("/")[2] for line in archive.lines(name)]
        for split, name in _LISTS.items()
    }
    seen: set[str] = set()
    for split, names in shards.items():
        if not names:
            raise DataError(f"{archive.where(_LISTS[split])} lists no shard")
        archive.require(names)
        for name in names:
            if name in seen:
                raise DataError(
                    f"{archive.where(_LISTS[split])} lists {name}, which was listed before: "
                    "its objects would be used twice"
                )
            seen.add(name)
    return shards


def _read(
    archive: Archive, shards: dict[str, list[str]], points: int, num_classes: int
) -> dict[str, Clouds]:
    first: tuple[str, np.dtype] | None = None
    clouds = {}
    for split, names in shards.items():
        ids: list[str] = []
        positions: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        for name in names:
            data, label = read_shard(archive, name, num_classes)
            first = first or (name, data.dtype)
            if data.dtype != first[1]:
                raise DataError(
                    f"{archive.where(name)} holds {data.dtype}, but {first[0]} holds {first[1]}"
                )
            ids += [f"{Path(name).stem}/{i}" for i in range(len(data))]
            positions += _unit_clouds(archive.where(name), data, points)
            labels.append(label)
        clouds[split] = Clouds(tuple(ids), tuple(positions), np.concatenate(labels))
    return clouds


def _unit_clouds(where: str, data: np.ndarray, points: int) -> Iterator[np.ndarray]:
    for i, cloud in enumerate(data):
        yield unit_cloud(cloud, points, f"{where}: object {i}")
